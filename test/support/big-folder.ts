/**
 * A cache folder with many small files, made directly: bytes, stored pages and rows, as a server would
 * have left them. The static pages are written by whoever opens it next (`finishStaticPages`).
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { systemClock } from '../../src/core/clock.ts';
import type { ProjectName } from '../../src/packaging/names.ts';
import type { DistributionFile } from '../../src/simple/model.ts';
import { Catalog } from '../../src/store/catalog.ts';
import type { HeldFile } from '../../src/store/catalog.ts';
import { layoutOf, prepareLayout } from '../../src/store/layout.ts';
import { PageFiles } from '../../src/store/page-files.ts';

export interface BigFolderOptions {
  readonly cacheDir: string;
  readonly files: number;
  /** Distribution files of one project; 10 by default. */
  readonly filesPerProject?: number;
  /** The index they are from; nobody listens there by default. */
  readonly indexUrl?: string;
}

/** One file of the folder. */
export interface BigFolderFile {
  readonly project: ProjectName;
  readonly filename: string;
  /** Relative to `mirror/`. */
  readonly path: string;
  readonly sha256: string;
  readonly content: string;
}

/** What was made. */
export interface BigFolder {
  readonly cacheDir: string;
  readonly projects: readonly ProjectName[];
  readonly files: readonly BigFolderFile[];
}

const NOBODY = 'http://127.0.0.1:9/simple/';

/** Makes the folder, without a server. */
export async function makeBigFolder(options: BigFolderOptions): Promise<BigFolder> {
  const layout = layoutOf(options.cacheDir);
  const indexUrl = options.indexUrl ?? NOBODY;
  prepareLayout(layout);
  const catalog = await Catalog.open(layout, systemClock);
  const pages = new PageFiles(layout);
  const files: BigFolderFile[] = [];
  const projects: ProjectName[] = [];
  const perProject = options.filesPerProject ?? 10;
  for (let first = 0; first < options.files; first += perProject) {
    const project = `project-${String(projects.length).padStart(6, '0')}` as ProjectName;
    const count = Math.min(perProject, options.files - first);
    const own = Array.from({ length: count }, (_, at) => bigFolderFile(project, at));
    projects.push(project);
    files.push(...own);
    const entries = own.map((file) => entryOf(file, indexUrl));
    await putPage(catalog, pages, project, entries, indexUrl);
    await Promise.all(
      own.map((file, at) => {
        const target = layout.fileAt(file.path);
        mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
        writeFileSync(target, file.content);
        chmodSync(target, 0o444);
        return catalog.addFile(rowOf(file, entries[at]!, target), () => {});
      }),
    );
  }
  await catalog.setNote('recovered', 'yes');
  await catalog.close();
  return { cacheDir: options.cacheDir, projects, files };
}

/** The file that a folder of any size has at this place. */
function bigFolderFile(project: ProjectName, at: number): BigFolderFile {
  const filename = `${project.replaceAll('-', '_')}-1.${at}-py3-none-any.whl`;
  const content = `${filename}\n`.repeat(4);
  const sha256 = createHash('sha256').update(content).digest('hex');
  const [a, b, rest] = [sha256.slice(0, 2), sha256.slice(2, 4), sha256.slice(4)];
  return { project, filename, path: `packages/${a}/${b}/${rest}/${filename}`, sha256, content };
}

function entryOf(file: BigFolderFile, indexUrl: string): DistributionFile {
  return {
    filename: file.filename,
    url: new URL(`/${file.path}`, indexUrl).href,
    hashes: { sha256: file.sha256 },
    requiresPython: '>=3.8',
    sizeBytes: file.content.length,
    uploadTime: '2026-01-02T03:04:05.000000Z',
    coreMetadata: false,
    yanked: false,
    provenance: null,
    gpgSig: null,
    extra: {},
  };
}

function rowOf(file: BigFolderFile, entry: DistributionFile, target: string): HeldFile {
  return {
    upstream: 'pypi',
    path: file.path,
    project: file.project,
    filename: file.filename,
    kind: 'distribution',
    sha256: file.sha256,
    sizeBytes: file.content.length,
    mtimeMs: Math.floor(statSync(target).mtimeMs),
    entry,
    listed: true,
    origin: 'fetched',
  };
}

async function putPage(
  catalog: Catalog,
  pages: PageFiles,
  project: ProjectName,
  files: readonly DistributionFile[],
  indexUrl: string,
): Promise<void> {
  const at = systemClock.now();
  const bodyDigest = `${project}.+`;
  const sizeBytes = await pages.write('pypi', project, {
    format: 1,
    indexUrl,
    bodyDigest,
    fetchedAt: at,
    detail: {
      name: project,
      status: 'active',
      statusReason: null,
      versions: null,
      files,
      lastSerial: 1,
      extra: {},
    },
  });
  const row = { upstream: 'pypi', project, indexUrl, absent: false, etag: null } as const;
  await catalog.putPage(
    {
      ...row,
      lastModified: null,
      bodyDigest,
      lastSerial: 1,
      sizeBytes,
      fetchedAt: at,
      checkedAt: at,
      maxAgeMs: null,
      missingSince: null,
    },
    null,
  );
}
