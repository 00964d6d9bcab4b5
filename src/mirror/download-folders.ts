import { constants } from 'node:fs';
import {
  chmod,
  copyFile,
  link,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  utimes,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { codeOf } from '../core/errors.ts';
import { metadataFacts } from '../packaging/core-metadata.ts';
import { parseFilename } from '../packaging/filenames.ts';
import { isValidVersion } from '../packaging/versions.ts';
import { readWheelMetadata } from '../packaging/wheel-metadata.ts';
import { temporaryName } from '../store/atomic-file.ts';
import { sha256Of } from '../store/digest.ts';
import type { Ledger, LedgerFile } from './ledger.ts';

/** A file of the download folders, and what is known of it. */
export interface DownloadedFile extends LedgerFile {
  /** Where its bytes are. */
  readonly path: string;
}

/** What lies in a mirror's download folders. */
export interface DownloadFolders {
  readonly files: readonly DownloadedFile[];
  /** Files that no installer would take, as sentences. */
  readonly problems: readonly string[];
}

/** Where a mirror keeps its sdists, and what people put in beside them. */
export function downloadDir(cacheRoot: string, mirror: string): string {
  return join(cacheRoot, 'pip', mirror);
}

/** Where a mirror keeps its wheels; each its own, so that no versions leak from one to another. */
export function wheelhouseDir(cacheRoot: string, mirror: string): string {
  return join(cacheRoot, 'wheelhouse', mirror);
}

/**
 * Everything in the download folders. What the ledger does not know was dropped there by a person and is
 * digested; names that pip's old download cache gave its files (`https%3A%2F%2F…%2Fsix-1.16.0.tar.gz`) are
 * understood.
 */
export async function readDownloadFolders(
  cacheRoot: string,
  mirror: string,
  ledger: Ledger,
): Promise<DownloadFolders> {
  const files = new Map<string, DownloadedFile>();
  const problems: string[] = [];
  for (const dir of [downloadDir(cacheRoot, mirror), wheelhouseDir(cacheRoot, mirror)]) {
    for (const entry of await entriesOf(dir)) {
      const filename = plainName(entry);
      if (filename === undefined || files.has(filename)) continue;
      const path = join(dir, entry);
      const file = await describe(path, filename, ledger.files.get(filename));
      if (file === undefined) problems.push(`${path} is no wheel or sdist that installers take.`);
      else files.set(filename, { ...file, path });
    }
  }
  return { files: [...files.values()], problems };
}

/** Gives a file a second name in a folder (hard link, reflink or copy); a file that is there stays. */
export async function placeFile(source: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const temporary = temporaryName(dirname(target));
  try {
    await linkOrCopy(source, temporary);
    await link(temporary, target).catch(async (error: unknown) => {
      if (codeOf(error) === 'EEXIST') return;
      // A file system without hard links.
      await rename(temporary, target);
    });
  } finally {
    await rm(temporary, { force: true });
  }
}

async function linkOrCopy(source: string, target: string): Promise<void> {
  try {
    await link(source, target);
  } catch (error) {
    if (!['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'ENOSYS'].includes(codeOf(error) ?? ''))
      throw error;
    await copyFile(source, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    const { mtime, atime } = await stat(source);
    // The time tells later that it is the same file.
    await utimes(target, atime, mtime);
    await chmod(target, 0o444);
    const handle = await open(target, 'r');
    try {
      await handle.datasync();
    } finally {
      await handle.close();
    }
  }
}

/** What a file is: by its name, its bytes and (of wheels) its metadata. */
export async function describeFile(
  path: string,
  origin: LedgerFile['origin'],
): Promise<LedgerFile | undefined> {
  const file = await describe(path, basename(path), undefined);
  return file && { ...file, origin };
}

/** Core metadata out of a wheel; `null` when it cannot be read, and of sdists. */
export async function wheelMetadata(path: string, filename: string): Promise<Uint8Array | null> {
  if (!filename.endsWith('.whl')) return null;
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const read = async (start: number, end: number): Promise<Uint8Array> => {
      const length = end - start;
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, start);
      return buffer.subarray(0, bytesRead);
    };
    return await readWheelMetadata(filename, { sizeBytes: size, read });
  } catch {
    return null;
  } finally {
    await handle.close();
  }
}

async function entriesOf(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map(({ name }) => name)
    .toSorted();
}

/** The name that a file is served under; `undefined` for what pip wrote beside the files, and hidden ones. */
function plainName(entry: string): string | undefined {
  if (entry.startsWith('.') || entry.endsWith('content-type') || entry.endsWith('.metadata'))
    return undefined;
  let decoded = entry;
  try {
    if (entry.includes('%')) decoded = decodeURIComponent(entry);
  } catch {
    return undefined;
  }
  const last = decoded.slice(decoded.lastIndexOf('/') + 1);
  return last.replace(/[?#].*$/, '') || undefined;
}

async function describe(
  path: string,
  filename: string,
  known: LedgerFile | undefined,
): Promise<LedgerFile | undefined> {
  const parsed = parseFilename(filename);
  if (parsed === undefined || (parsed.kind !== 'wheel' && parsed.kind !== 'sdist'))
    return undefined;
  if (!isValidVersion(parsed.version)) return undefined;
  const present = await stat(path).catch(() => undefined);
  if (present === undefined || !present.isFile()) return undefined;
  const sizeBytes = present.size;
  const mtimeMs = Math.floor(present.mtimeMs);
  if (known?.sizeBytes === sizeBytes && known.mtimeMs === mtimeMs) return known;
  const sha256 = await sha256Of(path);
  // The same bytes at another time, as after a copy.
  if (known?.sha256 === sha256) return { ...known, sizeBytes, mtimeMs };
  const metadata = await wheelMetadata(path, filename);
  return {
    filename,
    project: parsed.project,
    version: parsed.version,
    kind: parsed.kind,
    origin: 'dropped',
    sha256,
    sizeBytes,
    mtimeMs,
    requiresPython: metadata === null ? null : metadataFacts(metadata).requiresPython,
    yanked: false,
    uploadTime: null,
    url: null,
  };
}
