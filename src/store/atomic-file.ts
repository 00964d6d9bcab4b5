import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** How a file is written as a whole. */
/** What a file is made of: all at once, or piece after piece. */
export type FileContent = string | Uint8Array | Iterable<Uint8Array>;

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
    await rm(temporary, { force: true });
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
    await rm(path, { force: true });
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

/** Makes a folder of the mirror and its parents, 0755 whatever the umask says: others read them. */
export function makePublicFolder(path: string): void {
  const made = mkdirSync(path, { recursive: true, mode: 0o755 });
  if (made === undefined) return;
  for (let folder = path; ; folder = dirname(folder)) {
    chmodSync(folder, 0o755);
    if (folder === made || folder === dirname(folder)) return;
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
