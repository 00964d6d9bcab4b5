import { createHash } from 'node:crypto';

/** One distribution file of a fake index, and the lies told about it. */
export interface FakeFile {
  readonly filename: string;
  readonly content: Buffer;
  readonly requiresPython?: string;
  /** `true` or a reason (PEP 592). */
  readonly yanked?: boolean | string;
  /** `YYYY-MM-DDThh:mm:ssZ`. */
  readonly uploadTime?: string;
  /** Core metadata: served as `<file>.metadata` and advertised with its digest (PEP 658). */
  readonly metadata?: string;
  /** Advertise the metadata with this digest instead of the true one. */
  readonly listedMetadataSha256?: string;
  /** Advertise metadata but answer 404 for it. */
  readonly metadataMissing?: boolean;
  /** List this digest instead of the true one. */
  readonly listedSha256?: string;
  /** List this size instead of the true one. */
  readonly listedSize?: number;
  /** List no digest at all. */
  readonly hashless?: boolean;
  /** Path on the server instead of the digest-made one; begins with `/`. */
  readonly path?: string;
  /** The `url` or `href` to print instead of the true one. */
  readonly listedUrl?: string;
  /** Absolute URL of attestations (PEP 740). */
  readonly provenance?: string;
}

/** What a fake project page says beside its files. */
export interface FakeProject {
  readonly name: string;
  readonly files: readonly FakeFile[];
  /** PEP 792. */
  readonly status?: string;
  readonly statusReason?: string;
  readonly serial: number | null;
}

/** Digests of contents by algorithm: an index that looks for a path would digest all its files each time. */
const digests = new WeakMap<Buffer, Map<string, string>>();

function digestOf(content: Buffer, algorithm: string): string {
  const known = digests.get(content) ?? new Map<string, string>();
  digests.set(content, known);
  const digest = known.get(algorithm) ?? createHash(algorithm).update(content).digest('hex');
  known.set(algorithm, digest);
  return digest;
}

/** Hexadecimal SHA-256. */
export function sha256Of(content: Buffer | string): string {
  return createHash('sha256').update(content).digest('hex');
}

/**
 * Where a file lies: shaped like the official file host's paths, made of a digest that is not the
 * SHA-256, so that nobody can mistake the one for the other.
 */
export function pathOfFile(file: FakeFile): string {
  if (file.path !== undefined) return file.path;
  const digest = digestOf(file.content, 'blake2s256');
  const folder = `${digest.slice(0, 2)}/${digest.slice(2, 4)}/${digest.slice(4)}`;
  return `/packages/${folder}/${encodeURIComponent(file.filename)}`;
}

/** The version in a wheel's or sdist's filename; good enough for generated names. */
function versionOfFilename(filename: string): string {
  if (filename.endsWith('.whl')) return filename.split('-')[1] ?? '0';
  const stem = filename.replace(/\.(tar\.gz|tar\.bz2|tgz|zip|egg)$/, '');
  return stem.slice(stem.lastIndexOf('-') + 1);
}

const escaped = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');

const metadataDigest = (file: FakeFile): string | undefined =>
  file.metadata === undefined ? undefined : (file.listedMetadataSha256 ?? sha256Of(file.metadata));

const hashesOf = (file: FakeFile): Record<string, string> =>
  file.hashless === true ? {} : { sha256: file.listedSha256 ?? digestOf(file.content, 'sha256') };

function anchor(file: FakeFile, prefix: string): string {
  const digest = hashesOf(file)['sha256'];
  const fragment = digest === undefined ? '' : `#sha256=${digest}`;
  const attributes = [
    `href="${escaped((file.listedUrl ?? prefix + pathOfFile(file)) + fragment)}"`,
  ];
  const add = (name: string, value: string): void => {
    attributes.push(`${name}="${escaped(value)}"`);
  };
  if (file.requiresPython !== undefined) add('data-requires-python', file.requiresPython);
  if (file.yanked === true) add('data-yanked', '');
  if (typeof file.yanked === 'string') add('data-yanked', file.yanked);
  if (file.uploadTime !== undefined) add('data-upload-time', file.uploadTime);
  if (file.provenance !== undefined) add('data-provenance', file.provenance);
  const metadata = metadataDigest(file);
  if (metadata !== undefined) {
    add('data-dist-info-metadata', `sha256=${metadata}`);
    add('data-core-metadata', `sha256=${metadata}`);
  }
  return `    <a ${attributes.join(' ')}>${escaped(file.filename)}</a><br />`;
}

/** The HTML form; `prefix` is put before each file's path (`../..`, or an origin). */
export function htmlPage(project: FakeProject, prefix: string): string {
  const status =
    project.status === undefined
      ? []
      : [
          `    <meta name="pypi:project-status" content="${escaped(project.status)}">`,
          ...(project.statusReason === undefined
            ? []
            : [
                `    <meta name="pypi:project-status-reason" content="${escaped(project.statusReason)}">`,
              ]),
        ];
  return [
    '<!DOCTYPE html>',
    '<html>',
    '  <head>',
    '    <meta name="pypi:repository-version" content="1.4">',
    ...status,
    `    <title>Links for ${escaped(project.name)}</title>`,
    '  </head>',
    '  <body>',
    `    <h1>Links for ${escaped(project.name)}</h1>`,
    ...project.files.map((file) => anchor(file, prefix)),
    '  </body>',
    '</html>',
    ...(project.serial === null ? [] : [`<!--SERIAL ${project.serial}-->`]),
    '',
  ].join('\n');
}

/** The JSON form, API 1.4, shaped like the official index's. */
export function jsonPage(project: FakeProject, prefix: string): string {
  const files = project.files.map((file) => {
    const metadata = metadataDigest(file);
    const coreMetadata = metadata === undefined ? false : { sha256: metadata };
    return {
      filename: file.filename,
      url: file.listedUrl ?? prefix + pathOfFile(file),
      hashes: hashesOf(file),
      size: file.listedSize ?? file.content.length,
      'upload-time': file.uploadTime ?? '2024-01-02T03:04:05.678900Z',
      'requires-python': file.requiresPython ?? null,
      yanked: file.yanked ?? false,
      'core-metadata': coreMetadata,
      'data-dist-info-metadata': coreMetadata,
      provenance: file.provenance ?? null,
    };
  });
  return JSON.stringify({
    meta: {
      'api-version': '1.4',
      ...(project.serial === null ? {} : { '_last-serial': project.serial }),
    },
    name: project.name,
    ...(project.status === undefined
      ? {}
      : { 'project-status': { status: project.status, reason: project.statusReason ?? null } }),
    versions: [...new Set(project.files.map((file) => versionOfFilename(file.filename)))],
    files,
  });
}

/** The legacy JSON API's answer for a project, or for one of its versions. */
export function legacyJson(
  project: FakeProject,
  origin: string,
  version?: string,
): string | undefined {
  const releases: Record<string, unknown[]> = {};
  for (const file of project.files) {
    const yanked = file.yanked ?? false;
    (releases[versionOfFilename(file.filename)] ??= []).push({
      filename: file.filename,
      url: origin + pathOfFile(file),
      size: file.content.length,
      digests: { sha256: file.listedSha256 ?? digestOf(file.content, 'sha256') },
      packagetype: file.filename.endsWith('.whl') ? 'bdist_wheel' : 'sdist',
      requires_python: file.requiresPython ?? null,
      upload_time_iso_8601: file.uploadTime ?? '2024-01-02T03:04:05.678900Z',
      yanked: yanked !== false,
      yanked_reason: typeof yanked === 'string' ? yanked : null,
    });
  }
  const wanted = version ?? Object.keys(releases).at(-1) ?? '0';
  if (version !== undefined && releases[version] === undefined) return undefined;
  return JSON.stringify({
    info: {
      name: project.name,
      version: wanted,
      requires_dist: requiresOf(project, wanted),
      summary: 'A fake project',
    },
    last_serial: project.serial,
    ...(version === undefined ? { releases } : {}),
    urls: releases[wanted] ?? [],
    vulnerabilities: [],
  });
}

/** `null` where no wheel of the version says anything, as the official index has it. */
function requiresOf({ files }: FakeProject, version: string): string[] | null {
  const text = files.find(
    (file) => file.metadata !== undefined && versionOfFilename(file.filename) === version,
  )?.metadata;
  const requires = text?.match(/^Requires-Dist: .*$/gm);
  return requires?.map((line) => line.slice('Requires-Dist: '.length)) ?? null;
}

/** The root list, JSON or HTML. Nobody should fetch it on a client's behalf. */
export function rootPage(names: readonly string[], asJson: boolean): string {
  if (asJson) {
    return JSON.stringify({
      meta: { 'api-version': '1.4' },
      projects: names.map((name) => ({ name })),
    });
  }
  const anchors = names.map((name) => `<a href="/simple/${name}/">${name}</a>`);
  return `<!DOCTYPE html>\n<html><body>\n${anchors.join('\n')}\n</body></html>\n`;
}
