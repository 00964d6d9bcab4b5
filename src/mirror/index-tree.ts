import { createHash } from 'node:crypto';
import { lstat, mkdir, readFile, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ProjectName } from '../packaging/names.ts';
import { makePublicFolder, temporaryName, writeAtomically } from '../store/atomic-file.ts';
import { sha256Of } from '../store/digest.ts';
import { OWN_TREE_MARK } from '../store/layout.ts';
import { placeFile, wheelMetadata } from './download-folders.ts';
import type { DownloadedFile } from './download-folders.ts';
import { projectPages, rootPages } from './index-pages.ts';
import type { PageFile } from './index-pages.ts';

/** An index to be written below one folder: `<folder>/<project>/…`. */
export interface TreeIndex {
  readonly folder: string;
  readonly title: string;
  readonly files: readonly DownloadedFile[];
  /** Whether what is listed now and not in `files` leaves the pages. */
  readonly isPruned: boolean;
  /** Whether projects are reachable by their name as written, too. */
  readonly legacyNames: boolean;
}

/** How indexes are written. */
export interface TreeWriting {
  readonly now: Date;
  /** How long files and pages outlive the page that named them. */
  readonly graceMs: number;
}

/** What was written of one index. */
export interface WrittenIndex {
  readonly folder: string;
  readonly projects: number;
  readonly files: number;
  /** Files that were not there before. */
  readonly added: number;
  readonly bytes: number;
}

/** What an index remembers in its folder: without it nobody could tell what is ours. */
interface TreeRecord {
  readonly format: 1;
  readonly listed: Readonly<Record<string, readonly PageFile[]>>;
  /** Paths that no page names any more, and since when (epoch milliseconds). */
  readonly unlisted: Readonly<Record<string, number>>;
}

/** An index whose files are in place, and whose pages are not yet. */
interface PlacedIndex {
  readonly index: TreeIndex;
  readonly listed: ReadonlyMap<ProjectName, readonly PageFile[]>;
  readonly before: TreeRecord;
  readonly added: number;
}

/**
 * Writes indexes so that a reader never meets half a page or a dead link, and a kill at any moment leaves
 * the same: all files first, then pages, then the roots, the last index's root last. What leaves a page
 * stays on the disk for the grace time.
 */
export async function writeIndexes(
  indexes: readonly TreeIndex[],
  writing: TreeWriting,
): Promise<WrittenIndex[]> {
  const placed: PlacedIndex[] = [];
  for (const index of indexes) placed.push(await placeFiles(index));
  for (const each of placed) await writeProjectPages(each);
  const written: WrittenIndex[] = [];
  for (const each of placed) written.push(await writeRoot(each, writing));
  for (const { index } of placed) await removeUnlisted(index.folder, writing);
  return written;
}

async function placeFiles(index: TreeIndex): Promise<PlacedIndex> {
  const { folder } = index;
  await makePublicFolder(folder);
  await removeLitter(folder);
  const before = await readRecord(folder);
  // From here on others know whose folder this is.
  await writeRecord(folder, before);
  const listed = new Map<ProjectName, PageFile[]>();
  let added = 0;
  for (const file of index.files) {
    const files = listed.get(file.project) ?? [];
    const { page, isNew } = await placeOne(join(folder, file.project), file);
    if (isNew) added++;
    listed.set(file.project, [...files, page]);
  }
  if (!index.isPruned) {
    for (const [project, files] of Object.entries(before.listed))
      await keepListed(folder, listed, project as ProjectName, files);
  }
  return { index, listed, before, added };
}

/** What was listed before stays, unless its file has gone. */
async function keepListed(
  folder: string,
  listed: Map<ProjectName, PageFile[]>,
  project: ProjectName,
  before: readonly PageFile[],
): Promise<void> {
  const files = listed.get(project) ?? [];
  const known = new Set(files.map(({ filename }) => filename));
  for (const file of before) {
    if (known.has(file.filename)) continue;
    const present = await lstat(join(folder, project, file.place)).catch(() => undefined);
    if (present?.isFile() === true) files.push(file);
  }
  if (files.length > 0) listed.set(project, files);
}

async function placeOne(
  folder: string,
  file: DownloadedFile,
): Promise<{ page: PageFile; isNew: boolean }> {
  await makePublicFolder(folder);
  // Bytes never change under a name that a page has given out.
  const plain = join(folder, file.filename);
  const isTaken = await holdsOther(plain, file);
  const place = isTaken ? `${file.sha256.slice(0, 16)}/${file.filename}` : file.filename;
  const target = join(folder, place);
  const isNew = (await lstat(target).catch(() => undefined)) === undefined;
  if (isNew) {
    await makePublicFolder(dirname(target));
    await placeFile(file.path, target);
  }
  const metadata = await wheelMetadata(target, file.filename);
  const metadataSha256 =
    metadata === null ? null : createHash('sha256').update(metadata).digest('hex');
  if (metadata !== null && (await digestOf(`${target}.metadata`)) !== metadataSha256)
    await writeAtomically(`${target}.metadata`, dirname(target), metadata, { mode: 0o444 });
  const { filename, sha256, sizeBytes, requiresPython, yanked, uploadTime } = file;
  return {
    page: {
      filename,
      place,
      sha256,
      sizeBytes,
      requiresPython,
      yanked,
      uploadTime,
      metadataSha256,
    },
    isNew,
  };
}

/** Whether a file of this name is there and is another one. */
async function holdsOther(path: string, file: DownloadedFile): Promise<boolean> {
  const present = await lstat(path).catch(() => undefined);
  if (present === undefined) return false;
  if (!present.isFile() || present.size !== file.sizeBytes) return true;
  const source = await lstat(file.path);
  const isSame = present.ino === source.ino && present.dev === source.dev;
  if (isSame || Math.floor(present.mtimeMs) === file.mtimeMs) return false;
  return (await digestOf(path)) !== file.sha256;
}

async function digestOf(path: string): Promise<string | undefined> {
  return await sha256Of(path).catch(() => undefined);
}

async function writeProjectPages({ index, listed }: PlacedIndex): Promise<void> {
  for (const [project, files] of listed) {
    const { html, json } = projectPages(project, files);
    await writeIfOther(join(index.folder, project, 'index.json'), json);
    await writeIfOther(join(index.folder, project, 'index.html'), html);
    if (index.legacyNames) {
      for (const { filename } of files) await aliasRawName(index.folder, project, filename);
    }
  }
}

async function writeRoot(
  { index, listed, before, added }: PlacedIndex,
  { now }: TreeWriting,
): Promise<WrittenIndex> {
  const { folder, title } = index;
  const pages = rootPages(title, listed, now);
  await writePage(join(folder, 'full.html'), pages.full);
  await writePage(join(folder, 'index.json'), pages.json);
  await writePage(join(folder, 'index.html'), pages.html);
  const unlisted = unlistedNow(before, listed, now);
  await writeRecord(folder, { format: 1, listed: Object.fromEntries(listed), unlisted });
  const files = [...listed.values()].flat();
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return { folder, projects: listed.size, files: files.length, added, bytes };
}

/** Paths that some page has named and none does now; for projects without any file, their pages too. */
function unlistedNow(
  before: TreeRecord,
  listed: ReadonlyMap<ProjectName, readonly PageFile[]>,
  now: Date,
): Record<string, number> {
  const named = new Set([...listed].flatMap(([project, files]) => pathsOf(project, files)));
  const unlisted: Record<string, number> = {};
  const gone = Object.entries(before.listed).flatMap(([project, files]) => pathsOf(project, files));
  for (const path of gone) if (!named.has(path)) unlisted[path] = now.getTime();
  for (const [path, since] of Object.entries(before.unlisted))
    if (!named.has(path)) unlisted[path] = since;
  return unlisted;
}

function pathsOf(project: string, files: readonly PageFile[]): string[] {
  const paths = files.flatMap(({ place, metadataSha256 }) =>
    metadataSha256 === null ? [place] : [place, `${place}.metadata`],
  );
  return ['index.html', 'index.json', ...paths].map((path) => `${project}/${path}`);
}

/** Removes what left the pages long enough ago; pages first, since they name the files. */
async function removeUnlisted(folder: string, { now, graceMs }: TreeWriting): Promise<void> {
  const record = await readRecord(folder);
  const due = Object.entries(record.unlisted)
    .filter(([, since]) => now.getTime() - since >= graceMs)
    .map(([path]) => path);
  if (due.length === 0) return;
  const isPage = (path: string): boolean => /\/index\.(?:html|json)$/.test(path);
  for (const path of due.toSorted((a, b) => Number(isPage(b)) - Number(isPage(a)))) {
    await rm(join(folder, path), { force: true });
    await removeIfEmpty(dirname(join(folder, path)));
  }
  const left = Object.entries(record.unlisted).filter(([path]) => !due.includes(path));
  await writeRecord(folder, { ...record, unlisted: Object.fromEntries(left) });
}

async function removeIfEmpty(folder: string): Promise<void> {
  const entries = await readdir(folder).catch(() => ['?']);
  if (entries.length === 0) await rm(folder, { recursive: true, force: true });
}

/** `MarkupSafe` → `markupsafe`, where a file is named so; a folder of that name stays. */
async function aliasRawName(folder: string, project: string, filename: string): Promise<void> {
  const raw = /^(.+?)-\d/.exec(filename)?.[1] ?? project;
  if (raw === project || !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(raw)) return;
  const path = join(folder, raw);
  if ((await readlink(path).catch(() => undefined)) === project) return;
  if ((await lstat(path).catch(() => undefined)) !== undefined) return;
  await symlink(project, path);
}

/** Equal pages keep their time, so that copies of the tree have less to do. */
async function writeIfOther(path: string, text: string): Promise<void> {
  if ((await readFile(path, 'utf8').catch(() => undefined)) !== text) await writePage(path, text);
}

async function writePage(path: string, text: string): Promise<void> {
  await writeAtomically(path, dirname(path), text, { mode: 0o644 });
}

async function readRecord(folder: string): Promise<TreeRecord> {
  try {
    const text = await readFile(join(folder, OWN_TREE_MARK), 'utf8');
    const record = JSON.parse(text) as TreeRecord;
    if (record.format === 1) return record;
  } catch {
    // None yet, or none that can be read: nothing counts as ours, so nothing is removed.
  }
  return { format: 1, listed: {}, unlisted: {} };
}

async function writeRecord(folder: string, record: TreeRecord): Promise<void> {
  const text = `${JSON.stringify(record)}\n`;
  await writeIfOther(join(folder, OWN_TREE_MARK), text);
}

/** Temporary files of a run that was killed; the lock says that nobody else is at work here. */
async function removeLitter(folder: string): Promise<void> {
  const folders = [folder];
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => []))
    if (entry.isDirectory()) folders.push(join(folder, entry.name));
  for (const each of folders) {
    for (const name of await readdir(each))
      if (/^\.[\w-]{12}\.tmp$/.test(name)) await rm(join(each, name), { force: true });
  }
}

/** Points a symbolic link at another folder in one step. */
export async function swapLink(path: string, target: string): Promise<void> {
  const temporary = temporaryName(dirname(path));
  await mkdir(dirname(path), { recursive: true });
  await symlink(target, temporary);
  try {
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}
