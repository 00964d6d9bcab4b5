import type { ProjectName } from '../packaging/names.ts';
import { encodePathSegments } from '../simple/link.ts';
import type { DistributionFile, ProjectDetail } from '../simple/model.ts';
import { writeHtmlPage } from '../simple/write-html.ts';
import { writeJsonList, writeJsonPage } from '../simple/write-json.ts';

/** A file as the pages of a tree name it. */
export interface PageFile {
  readonly filename: string;
  /** Relative to the folder of its project, decoded. */
  readonly place: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly requiresPython: string | null;
  readonly yanked: false | string;
  readonly uploadTime: string | null;
  /** Digest of the core metadata beside it; `null` without. */
  readonly metadataSha256: string | null;
}

/** Both forms of a project's page (PEP 503, 592, 658, 691, 700), files in the order of their names. */
export function projectPages(
  project: ProjectName,
  files: readonly PageFile[],
): { readonly html: string; readonly json: string } {
  const entries = new Map<DistributionFile, PageFile>();
  const sorted = files.toSorted((a, b) => (a.filename < b.filename ? -1 : 1));
  for (const file of sorted) entries.set(entryOf(file), file);
  const detail: ProjectDetail = {
    name: project,
    status: 'active',
    statusReason: null,
    versions: null,
    files: [...entries.keys()],
    lastSerial: null,
    extra: {},
  };
  const linkTo = (entry: DistributionFile): string =>
    encodePathSegments(entries.get(entry)?.place ?? entry.filename);
  // Read without a server to negotiate with: see PEP 714.
  const writing = { linkTo, withOldMetadataName: false };
  return { html: writeHtmlPage(detail, writing), json: writeJsonPage(detail, writing) };
}

function entryOf(file: PageFile): DistributionFile {
  return {
    filename: file.filename,
    url: `file:${encodePathSegments(file.place)}`,
    hashes: { sha256: file.sha256 },
    requiresPython: file.requiresPython,
    sizeBytes: file.sizeBytes,
    uploadTime: file.uploadTime,
    coreMetadata: file.metadataSha256 === null ? false : { sha256: file.metadataSha256 },
    yanked: file.yanked,
    provenance: null,
    gpgSig: null,
    extra: {},
  };
}

/** The pages of a tree's root. */
export interface RootPages {
  /** A link for each project. */
  readonly html: string;
  readonly json: string;
  /** A link for each file. */
  readonly full: string;
}

/** The root's pages, with the time of the update in the head and the number of entries in the foot. */
export function rootPages(
  title: string,
  projects: ReadonlyMap<ProjectName, readonly PageFile[]>,
  updatedAt: Date,
): RootPages {
  const names = [...projects.keys()].toSorted();
  const links = names.map((name) => `<a href="${name}/">${name}</a><br>`);
  const fileLinks = names.flatMap((name) =>
    (projects.get(name) ?? [])
      .toSorted((a, b) => (a.filename < b.filename ? -1 : 1))
      .map(({ place, sha256, filename }) => {
        const href = escaped(`${name}/${encodePathSegments(place)}#sha256=${sha256}`);
        return `<a href="${href}">${escaped(filename)}</a><br>`;
      }),
  );
  return {
    html: document(title, links, updatedAt, 'projects'),
    json: writeJsonList(names),
    full: document(title, fileLinks, updatedAt, 'files'),
  };
}

function document(title: string, links: readonly string[], updatedAt: Date, what: string): string {
  const at = updatedAt.toISOString().slice(0, 19).replace('T', ' ');
  return `<!DOCTYPE html>
<html>
  <head>
    <meta charset="utf-8">
    <meta name="pypi:repository-version" content="1.0">
    <meta name="generator" content="wheelcellar run-mirror">
    <title>${escaped(title)}</title>
  </head>
  <body>
    <h1>${escaped(title)}</h1>
    <p>Last update: ${at} UTC</p>
${links.map((link) => `    ${link}\n`).join('')}    <p>${links.length} ${what}</p>
  </body>
</html>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
