import { sha256Of } from './fake-upstream.ts';
import type { FakeUpstream } from './fake-upstream.ts';

/** How a huge page is told. */
export interface HugePageOptions {
  readonly files: number;
  /** Another number is another page: it is in the versions, and the serial. */
  readonly variant: number;
  /** HTML without sizes, which the legacy JSON completes; else JSON. */
  readonly html?: boolean;
  /** PEP 792. */
  readonly status?: string;
}

/** Has an index serve a page of many files about `project`, with a legacy JSON that says the same. */
export function setHugePage(
  upstream: FakeUpstream,
  project: string,
  { files, variant, html = false, status }: HugePageOptions,
): void {
  const entries = Array.from({ length: files }, (_, at) => entryOf(project, at, variant));
  const page = JSON.stringify({
    meta: { 'api-version': '1.4', '_last-serial': variant },
    name: project,
    ...(status === undefined ? {} : { 'project-status': { status } }),
    versions: [...new Set(entries.map(({ version }) => version))],
    files: entries.map(({ filename, sha256, metadata }) => ({
      filename,
      url: `../../packages/${sha256}/${filename}`,
      hashes: { sha256 },
      size: 123_456,
      'upload-time': '2024-01-02T03:04:05.678900Z',
      'requires-python': '>=3.8',
      'core-metadata': metadata,
      'data-dist-info-metadata': metadata,
    })),
  });
  const anchors = entries.map(
    ({ filename, sha256 }) =>
      `<a href="../../packages/${sha256}/${filename}#sha256=${sha256}">${filename}</a><br>`,
  );
  const body = html ? `<!DOCTYPE html>\n${anchors.join('\n')}\n<!--SERIAL ${variant}-->` : page;
  upstream.setRaw(`/simple/${project}/`, {
    headers: {
      'content-type': html ? 'text/html' : 'application/vnd.pypi.simple.v1+json',
      'cache-control': 'max-age=0',
      etag: `"${variant}-${status ?? ''}"`,
    },
    body,
  });
  const releases: Record<string, object[]> = {};
  for (const { filename, sha256, metadata, version } of entries) {
    const upload_time_iso_8601 = '2024-01-02T03:04:05.678900Z';
    const digests = { sha256 };
    const entry = { filename, digests, size: 123_456, upload_time_iso_8601 };
    (releases[version] ??= []).push({ ...entry, 'core-metadata': metadata });
  }
  upstream.setRaw(`/pypi/${project}/json`, {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ info: { name: project }, last_serial: variant, releases, urls: [] }),
  });
}

interface HugePageEntry {
  readonly filename: string;
  readonly version: string;
  readonly sha256: string;
  readonly metadata: false | { readonly sha256: string };
}

function entryOf(project: string, at: number, variant: number): HugePageEntry {
  const version = `1.${Math.floor(at / 20)}.${variant}`;
  const python = `cp3${at % 20}-cp3${at % 20}`;
  const filename = `${project}-${version}-${python}-manylinux_2_17_x86_64.manylinux2014_x86_64.whl`;
  const sha256 = sha256Of(filename);
  return { filename, version, sha256, metadata: at % 3 > 0 && { sha256 } };
}
