/** A copy of the mirror that stays as it is: for nginx, rsync, or the web page of an object store. */
import { constants } from 'node:fs';
import {
  chmod,
  copyFile,
  link,
  lstat,
  readFile,
  readdir,
  realpath,
  rename,
  rm,
  rmdir,
  utimes,
} from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import {
  BusyError,
  ConfigurationError,
  NotFoundError,
  NotHeldOfflineError,
  codeOf,
} from '../core/errors.ts';
import { isSafeSegment } from '../packaging/filenames.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { Repository } from '../repository/repository.ts';
import { relativeLink } from '../simple/link.ts';
import type { DistributionFile } from '../simple/model.ts';
import { writeHtmlList, writeHtmlPage } from '../simple/write-html.ts';
import { writeJsonList, writeJsonPage } from '../simple/write-json.ts';
import { makePublicFolder, temporaryName, writeAtomically } from '../store/atomic-file.ts';
import { sha256Of } from '../store/digest.ts';
import { tryFolderLock } from '../store/folder-lock.ts';
import { isIntact } from '../store/held-file.ts';
import type { HeldFile } from '../store/held-file.ts';
import type { Store } from '../store/store.ts';

/** What an export has written, so that a later one knows what it may remove. */
const RECORD_NAME = '.wheelcellar-export.json';

/** How a tree is exported. */
export interface ExportOptions {
  /** Where it goes; made when it is missing. */
  readonly folder: string;
  /** Folder of the tree that the index lies in, `/`-separated; empty for its top. */
  readonly prefix: string;
  /** Whether what an earlier export wrote and this one does not is removed. */
  readonly prune: boolean;
  readonly signal: AbortSignal;
  readonly onProgress?: (doneProjects: number, projects: number) => void;
}

/** What was done; files are wheels, sdists and core metadata. */
export interface ExportedTree {
  readonly projects: number;
  readonly files: number;
  /** Made as another name of the cache's own bytes. */
  readonly linked: number;
  readonly copied: number;
  readonly unchanged: number;
  readonly pagesWritten: number;
  /** Of an earlier export, not held any more. */
  readonly gone: number;
  readonly pruned: number;
  /** Bytes of all files of the tree. */
  readonly sizeBytes: number;
}

/** Counts while a tree is written. */
interface Tally {
  linked: number;
  copied: number;
  unchanged: number;
  pagesWritten: number;
  sizeBytes: number;
}

/**
 * Writes what is held now as a static tree, while servers go on adding and removing: files come before the pages
 * that name them, and a page names only files that are in the tree.
 *
 * @throws ConfigurationError when the folder cannot be an export; BusyError when another export is at work
 */
export async function exportTree(
  place: { readonly repository: Repository; readonly store: Store },
  options: ExportOptions,
): Promise<ExportedTree> {
  const { folder, prefix, prune, signal, onProgress } = options;
  if (prefix !== '' && !prefix.split('/').every((each) => isSafeSegment(each)))
    throw new ConfigurationError([`${JSON.stringify(prefix)} is no folder of the tree.`]);
  await makePublicFolder(folder);
  await checkPlace(folder, place.store);
  const lock = await tryFolderLock(folder, 'export', () => {});
  if (lock === undefined) throw new BusyError(`Another export is at work on ${folder}.`);
  try {
    const before = await readRecord(folder);
    const tally: Tally = { linked: 0, copied: 0, unchanged: 0, pagesWritten: 0, sizeBytes: 0 };
    const written = new Set<string>();
    const projects: ProjectName[] = [];
    const names = place.store.catalog.heldProjects();
    for (const [at, project] of names.entries()) {
      signal.throwIfAborted();
      if (await exportProject(place, project, options, tally, written)) projects.push(project);
      onProgress?.(at + 1, names.length);
    }
    const files = tally.linked + tally.copied + tally.unchanged;
    const root = [
      ['index.html', writeHtmlList(projects)],
      ['index.json', writeJsonList(projects)],
    ] as const;
    for (const [name, text] of root)
      await writePage(folder, join(prefix, name), text, tally, written);
    const gone = [...before].filter((path) => !written.has(path));
    // Before anything is removed: what a killed run leaves is for the next one.
    await writeRecord(folder, new Set([...written, ...gone]));
    if (prune) {
      await removeAll(folder, gone);
      await writeRecord(folder, written);
    }
    return {
      projects: projects.length,
      files,
      ...tally,
      gone: gone.length,
      pruned: prune ? gone.length : 0,
    };
  } finally {
    await lock.release();
  }
}

/** An export inside the cache would be adopted, and one around it would be pruned. */
async function checkPlace(folder: string, { layout }: Store): Promise<void> {
  const [target, cache] = await Promise.all([realpath(folder), realpath(layout.cacheDir)]);
  const isInside = (inner: string, outer: string): boolean =>
    `${inner}${sep}`.startsWith(`${outer}${sep}`);
  if (isInside(target, cache) || isInside(cache, target)) {
    throw new ConfigurationError(
      [`${folder} and the cache ${layout.cacheDir} lie in each other.`],
      {
        hint: 'Export to a folder of its own; mirror/ itself can be served as it is, too.',
      },
    );
  }
}

/** Files, then both pages. @returns whether anything of the project is in the tree */
async function exportProject(
  { repository, store }: { readonly repository: Repository; readonly store: Store },
  project: ProjectName,
  { folder, prefix, signal }: ExportOptions,
  tally: Tally,
  written: Set<string>,
): Promise<boolean> {
  const snapshot = await repository
    .projectDetail(project, { networkMode: 'offline', signal })
    .catch((error: unknown) => {
      signal.throwIfAborted();
      // Held, but nobody may be served it now.
      if (error instanceof NotFoundError || error instanceof NotHeldOfflineError) return null;
      throw error;
    });
  if (snapshot === null) return false;
  const { detail, pathOf } = await snapshot.load();
  const rows = new Map(store.catalog.filesOf(project).map((row) => [row.path, row]));
  const files: DistributionFile[] = [];
  const paths = new Map<DistributionFile, string>();
  for (const entry of detail.status === 'quarantined' ? [] : detail.files) {
    signal.throwIfAborted();
    const path = pathOf(entry);
    const row = rows.get(path);
    if (row === undefined || !(await place(store, row, folder, tally))) continue;
    written.add(path);
    const metadata = rows.get(`${path}.metadata`);
    const hasMetadata = metadata !== undefined && (await place(store, metadata, folder, tally));
    if (hasMetadata) written.add(metadata.path);
    const coreMetadata = hasMetadata ? { sha256: metadata.sha256 } : false;
    const listed = { ...entry, coreMetadata };
    files.push(listed);
    paths.set(listed, path);
  }
  if (files.length === 0) return false;
  const depth = prefix === '' ? 1 : prefix.split('/').length + 1;
  const writing = {
    linkTo: (file: DistributionFile) => relativeLink(depth, paths.get(file) ?? ''),
    withOldMetadataName: false,
  };
  const shown = { ...detail, versions: null, files };
  const pages = [
    ['index.html', writeHtmlPage(shown, writing)],
    ['index.json', writeJsonPage(shown, writing)],
  ] as const;
  for (const [name, text] of pages)
    await writePage(folder, join(prefix, project, name), text, tally, written);
  return true;
}

/** Puts one held file into the tree; `false` when it has left the cache meanwhile. */
async function place(store: Store, row: HeldFile, folder: string, tally: Tally): Promise<boolean> {
  const source = store.layout.fileAt(row.path);
  const target = join(folder, row.path);
  const present = await lstat(target).catch(() => undefined);
  const isSame =
    present?.isFile() === true &&
    present.size === row.sizeBytes &&
    Math.floor(present.mtimeMs) === row.mtimeMs;
  if (isSame) tally.unchanged++;
  else {
    if (!isIntact(store.layout, row)) return false;
    const how = await putFile(source, target, row);
    if (how === null) return false;
    tally[how]++;
  }
  tally.sizeBytes += row.sizeBytes;
  return true;
}

async function putFile(
  source: string,
  target: string,
  row: HeldFile,
): Promise<'linked' | 'copied' | null> {
  await makePublicFolder(dirname(target));
  const temporary = temporaryName(dirname(target));
  try {
    try {
      await link(source, temporary);
      await rename(temporary, target);
      return 'linked';
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null;
    }
    await copyFile(source, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    // A copy is other bytes on another disk.
    if ((await sha256Of(temporary)) !== row.sha256) return null;
    await chmod(temporary, 0o644);
    // Half a millisecond more: as a number of seconds it could come out as the millisecond before.
    const mtimeSeconds = (row.mtimeMs + 0.5) / 1000;
    await utimes(temporary, mtimeSeconds, mtimeSeconds);
    await rename(temporary, target);
    return 'copied';
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Equal pages keep their time, so that rsync has less to do. */
async function writePage(
  folder: string,
  name: string,
  text: string,
  tally: Tally,
  written: Set<string>,
): Promise<void> {
  const path = join(folder, name);
  written.add(name.split(sep).join('/'));
  if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return;
  await makePublicFolder(dirname(path));
  await writeAtomically(path, dirname(path), text, { mode: 0o644 });
  tally.pagesWritten++;
}

async function readRecord(folder: string): Promise<ReadonlySet<string>> {
  try {
    const text = await readFile(join(folder, RECORD_NAME), 'utf8');
    const { written } = JSON.parse(text) as { written: unknown };
    if (Array.isArray(written)) return new Set(written.map(String).filter(isOfTree));
  } catch {
    // None yet, or none that can be read: nothing counts as ours, so nothing is removed.
  }
  return new Set();
}

function isOfTree(path: string): boolean {
  return path.split('/').every((segment) => segment === '-' || isSafeSegment(segment));
}

async function writeRecord(folder: string, written: ReadonlySet<string>): Promise<void> {
  const text = `${JSON.stringify({ format: 1, written: [...written].toSorted() })}\n`;
  const path = join(folder, RECORD_NAME);
  if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return;
  await writeAtomically(path, folder, text, { mode: 0o644 });
}

/** Pages first, since they name the files; folders that are empty then go, too. */
async function removeAll(folder: string, paths: readonly string[]): Promise<void> {
  const isPage = (path: string): boolean => /(?:^|\/)index\.(?:html|json)$/.test(path);
  for (const path of paths.toSorted((a, b) => Number(isPage(b)) - Number(isPage(a)))) {
    await rm(join(folder, path), { force: true });
    for (let at = dirname(path); at !== '.'; at = dirname(at)) {
      const entries = await readdir(join(folder, at)).catch(() => ['?']);
      if (entries.length > 0) break;
      await rmdir(join(folder, at)).catch(() => {});
    }
  }
}
