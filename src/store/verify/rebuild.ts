import { createHash } from 'node:crypto';
import { existsSync, lstatSync, statSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../core/logger.ts';
import { sleep } from '../../core/sleep.ts';
import type { ProjectName } from '../../packaging/names.ts';
import { readWheelMetadata } from '../../packaging/wheel-metadata.ts';
import type { DistributionFile } from '../../simple/model.ts';
import type { Catalog, HeldFile } from '../catalog.ts';
import { sha256Of } from '../digest.ts';
import type { KeptFiles } from '../kept-files.ts';
import { LOCAL_UPSTREAM } from '../layout.ts';
import type { Layout } from '../layout.ts';
import type { LocalFiles } from '../local-files.ts';
import { mirrorPathOf } from '../mirror-path.ts';
import type { PageFiles, StoredPage } from '../page-files.ts';
import type { Records } from '../records.ts';

const METADATA_SUFFIX = '.metadata';
/** Files of one page that are looked at together. */
const AT_A_TIME = 8;

/** The parts of a store that rows are made from and go into. */
export interface StoreParts {
  readonly layout: Layout;
  readonly catalog: Catalog;
  readonly records: Records;
  readonly pages: PageFiles;
  readonly local: LocalFiles;
  readonly kept: KeptFiles;
}

/**
 * Makes the rows of a lost catalog again: for every stored page, the files it names that lie in the
 * mirror with the listed sha256. Pages come back as long unconfirmed, so that they are asked for again
 * when there is an upstream and serve meanwhile.
 *
 * @returns how many files were found
 */
export async function rebuildFromPages(
  store: Pick<StoreParts, 'layout' | 'catalog' | 'records' | 'pages'>,
  log: Logger,
  signal: AbortSignal,
): Promise<number> {
  let found = 0;
  for (const { upstream, project } of await storedPages(store)) {
    if (signal.aborted) return found;
    found += await restoreFromPage(store, upstream, project);
    // Requests come first.
    await sleep(1, signal);
  }
  found += await restoreSets(store, signal);
  if (found > 0) log.info('the catalog was made again from pages and files', { files: found });
  return found;
}

/**
 * Makes the catalog again from pages and files, in place and beside running servers: every row that a
 * page's entry and a file's bytes speak for is there afterwards and says what they say; how files were
 * used stays. Rows without a good file are left to the verification that follows.
 *
 * @returns how many rows were made or corrected
 */
export async function rebuildCatalog(
  store: Pick<StoreParts, 'layout' | 'catalog' | 'records' | 'pages' | 'local' | 'kept'>,
  signal: AbortSignal,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<number> {
  const todo = await storedPages(store);
  let rows = 0;
  for (const [at, { upstream, project }] of todo.entries()) {
    if (signal.aborted) return rows;
    rows += await restoreFromPage(store, upstream, project);
    onProgress(at + 1, todo.length);
  }
  rows += await restoreSets(store, signal);
  rows += await store.local.rebuild();
  rows += await store.local.adopt(signal);
  await store.kept.mirror();
  return rows;
}

async function storedPages({
  layout,
  pages,
}: Pick<StoreParts, 'layout' | 'pages'>): Promise<{ upstream: string; project: ProjectName }[]> {
  const found: { upstream: string; project: ProjectName }[] = [];
  for (const upstream of await readdir(layout.pagesDir).catch(() => [])) {
    for (const project of await pages.list(upstream)) found.push({ upstream, project });
  }
  return found;
}

/** @returns how many rows were made or corrected */
async function restoreFromPage(
  store: Pick<StoreParts, 'layout' | 'catalog' | 'records' | 'pages'>,
  upstream: string,
  project: ProjectName,
): Promise<number> {
  const page = await store.pages.read(upstream, project);
  if (page === undefined) return 0;
  await restorePage(store.catalog, upstream, page);
  let made = 0;
  for (let at = 0; at < page.detail.files.length; at += AT_A_TIME) {
    const entries = page.detail.files.slice(at, at + AT_A_TIME);
    const results = await Promise.all(
      entries.map((entry) => restoreFile(store, upstream, page, entry)),
    );
    made += results.filter(Boolean).length;
  }
  return made;
}

async function restorePage(catalog: Catalog, upstream: string, page: StoredPage): Promise<void> {
  const { name } = page.detail;
  if (catalog.findPage(upstream, name, page.indexUrl) !== undefined) return;
  await catalog.putPage(
    {
      upstream,
      project: name,
      indexUrl: page.indexUrl,
      absent: false,
      etag: null,
      lastModified: null,
      bodyDigest: page.bodyDigest,
      lastSerial: page.detail.lastSerial,
      sizeBytes: 0,
      fetchedAt: page.fetchedAt,
      checkedAt: 0,
      maxAgeMs: null,
      missingSince: null,
    },
    null,
  );
}

/**
 * Makes the row of one entry, and of its core metadata, if its file lies in the mirror with the listed
 * digest (or, where none is listed, the one it was first seen with). A row that says the same already is
 * left as it is.
 *
 * @returns whether a row was made or corrected
 */
export async function restoreFile(
  store: Pick<StoreParts, 'layout' | 'catalog' | 'records'>,
  upstream: string,
  page: StoredPage,
  entry: DistributionFile,
): Promise<boolean> {
  const { layout, catalog, records } = store;
  const path = mirrorPathOf(upstream, page.indexUrl, entry.url);
  if (path === undefined || !existsSync(layout.fileAt(path))) return false;
  const sha256 = entry.hashes['sha256'] ?? records.firstSeen(upstream, path)?.sha256;
  if (sha256 === undefined) return false;
  const project = page.detail.name;
  // A quarantined project offers nothing, held files included (PEP 792).
  const listed = page.detail.status !== 'quarantined';
  const common = { upstream, project, listed, origin: 'fetched' } as const;
  const file = { ...common, path, filename: entry.filename, kind: 'distribution', entry } as const;
  const row = catalog.findFile(upstream, path);
  const isKnown =
    row?.sha256 === sha256 && row.listed === listed && isDeepStrictEqual(row.entry, entry);
  const isMade = !isKnown && (await record(layout, catalog, file, sha256));
  if (isKnown || isMade) {
    const filename = `${entry.filename}${METADATA_SUFFIX}`;
    const sidecar = { ...common, path: `${path}${METADATA_SUFFIX}`, filename, entry: null };
    await restoreMetadata(layout, catalog, { ...sidecar, kind: 'metadata' }, entry);
  }
  return isMade;
}

/**
 * Files of recorded sets that no page lists any more: the records speak for them. A row that is there
 * is left as it is.
 */
async function restoreSets(
  { layout, catalog, records }: Pick<StoreParts, 'layout' | 'catalog' | 'records'>,
  signal: AbortSignal,
): Promise<number> {
  let made = 0;
  for (const { upstream, path, project, entry, sha256 } of records.sets.members()) {
    if (signal.aborted) return made;
    // What people added or adopted is found by itself.
    if (upstream === LOCAL_UPSTREAM || catalog.findFile(upstream, path) !== undefined) continue;
    if (!existsSync(layout.fileAt(path))) continue;
    const common = { upstream, project, listed: false, origin: 'fetched' } as const;
    const file = {
      ...common,
      path,
      filename: entry.filename,
      kind: 'distribution',
      entry,
    } as const;
    if (!(await record(layout, catalog, file, sha256))) continue;
    made++;
    const filename = `${entry.filename}${METADATA_SUFFIX}`;
    const sidecar = { ...common, path: `${path}${METADATA_SUFFIX}`, filename, entry: null };
    await restoreMetadata(layout, catalog, { ...sidecar, kind: 'metadata' }, entry);
  }
  return made;
}

/** Core metadata is what its index lists, or what its wheel holds. */
async function restoreMetadata(
  layout: Layout,
  catalog: Catalog,
  sidecar: UnreadFile,
  entry: DistributionFile,
): Promise<void> {
  const { upstream, path } = sidecar;
  if (catalog.findFile(upstream, path) !== undefined || !existsSync(layout.fileAt(path))) return;
  const listed = typeof entry.coreMetadata === 'object' ? entry.coreMetadata['sha256'] : undefined;
  const wheel = layout.fileAt(path.slice(0, -METADATA_SUFFIX.length));
  const sha256 = listed ?? (await metadataDigestOf(wheel, entry.filename));
  if (sha256 !== undefined) await record(layout, catalog, sidecar, sha256);
}

async function metadataDigestOf(wheel: string, filename: string): Promise<string | undefined> {
  if (!filename.endsWith('.whl')) return undefined;
  const handle = await open(wheel, 'r');
  try {
    const { size } = await handle.stat();
    const bytes = await readWheelMetadata(filename, {
      sizeBytes: size,
      read: async (start, end) =>
        (await handle.read(Buffer.alloc(end - start), 0, end - start, start)).buffer,
    });
    return createHash('sha256').update(bytes).digest('hex');
  } catch {
    return undefined;
  } finally {
    await handle.close();
  }
}

/** A file as its row will name it, before its bytes were looked at. */
type UnreadFile = Omit<HeldFile, 'sha256' | 'sizeBytes' | 'mtimeMs'>;

async function record(
  layout: Layout,
  catalog: Catalog,
  file: UnreadFile,
  listedSha256: string,
): Promise<boolean> {
  const target = layout.fileAt(file.path);
  // A symbolic link was not put there by us.
  if (!lstatSync(target).isFile() || (await sha256Of(target)) !== listedSha256) return false;
  const { size, mtimeMs } = statSync(target);
  const row = { ...file, sha256: listedSha256, sizeBytes: size, mtimeMs: Math.floor(mtimeMs) };
  await catalog.addFile(row, () => void statSync(target));
  return true;
}
