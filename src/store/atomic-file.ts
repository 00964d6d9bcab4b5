import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, statSync, unlinkSync } from 'node:fs';
import { mkdir, open, rename, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../core/errors.ts';

/** What a file is made of: all at once, or piece after piece. */
export type FileContent = string | Uint8Array | Iterable<Uint8Array>;

/** How a file is written as a whole. */
export interface AtomicWriteOptions {
  /** Permission bits of the finished file. */
  readonly mode: number;
  /** Wait until the bytes are on the disk before the name is. For what cannot be made again. */
  readonly durable?: boolean;
}

/** A name for a temporary file; in `partial/`, where a sweep finds what killed processes leave. */
export function temporaryName(partialDir: string): string {
  return join(partialDir, `.${randomBytes(9).toString('base64url')}.tmp`);
}

/**
 * Puts `content` under `path` so that a reader sees the old file or the new one, never a part:
 * temporary file (in `partialDir`, on the same file system), mode, (fdatasync,) rename.
 */
export async function writeAtomically(
  path: string,
  partialDir: string,
  content: FileContent,
  options: AtomicWriteOptions,
): Promise<void> {
  const temporary = temporaryName(partialDir);
  await writeNewFile(temporary, content, options);
  try {
    await rename(temporary, path);
  } catch (error) {
    await removeFile(temporary);
    throw error;
  }
}

/** Writes a file that must not exist yet; removes it again when anything fails. */
export async function writeNewFile(
  path: string,
  content: FileContent,
  options: AtomicWriteOptions,
): Promise<void> {
  const handle = await open(path, 'wx', 0o600);
  try {
    await writeContent(handle, content);
    await handle.chmod(options.mode);
    if (options.durable === true) await handle.datasync();
    await handle.close();
  } catch (error) {
    await handle.close().catch(() => {});
    await removeFile(path);
    throw error;
  }
}

/** The next piece is made when the one before is written. */
async function writeContent(handle: FileHandle, content: FileContent): Promise<void> {
  if (typeof content === 'string' || content instanceof Uint8Array) {
    await handle.writeFile(content);
    return;
  }
  let position = 0;
  for (const piece of content) {
    await writeFully(handle, piece, position);
    position += piece.byteLength;
  }
}

/**
 * Makes a folder of the mirror and its parents, 0755 whatever the umask says: others read them. `false`:
 * it was there.
 */
export async function makePublicFolder(path: string): Promise<boolean> {
  const made = await mkdir(path, { recursive: true, mode: 0o755 });
  if (made !== undefined) openToOthers(path, made);
  return made !== undefined;
}

/** As {@link makePublicFolder}, at once. */
export function makePublicFolderNow(path: string): void {
  const made = mkdirSync(path, { recursive: true, mode: 0o755 });
  if (made !== undefined) openToOthers(path, made);
}

function openToOthers(path: string, made: string): void {
  // All that one call has made have the same mode.
  if ((statSync(path).mode & 0o777) === 0o755) return;
  for (let folder = path; ; folder = dirname(folder)) {
    chmodSync(folder, 0o755);
    if (folder === made || folder === dirname(folder)) return;
  }
}

/** Removes a file; one that is gone is no error. Not `rm`, which looks twice at what it removes. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** As {@link removeFile}, at once. */
export function removeFileNow(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** Writes all of `bytes` at `position`: a short write (disk quota, file-size limit) is carried on until it fails. */
export async function writeFully(
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const { bytesWritten } = await handle.write(
      bytes,
      done,
      bytes.byteLength - done,
      position + done,
    );
    done += bytesWritten;
  }
}
