import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { codeOf, messageOf } from '../../core/errors.ts';
import { sleep } from '../../core/sleep.ts';
import type { HeldFile } from '../held-file.ts';
import type { Layout } from '../layout.ts';
import type { Problem } from './report.ts';

/** Files of the mirror are read by everybody and written by nobody. */
const FILE_MODE = 0o444;
const PIECE_BYTES = 256 * 1024;

/** What is wrong with one file. */
export interface FileDamage {
  readonly problem: Problem;
  readonly detail: string;
}

/** How a file is looked at. */
export interface FileCheck {
  /** Read the bytes; otherwise only if the file has another time than it was published with. */
  readonly digest: boolean;
  /** Bytes a second at most; absent: as fast as it goes. */
  readonly bytesPerSecond?: number;
  readonly signal?: AbortSignal;
}

/** What a look has shown. */
export interface FileLook {
  readonly damage: FileDamage | null;
  /** Whether the bytes were read. */
  readonly isDigested: boolean;
  /** Its time, if the bytes are right and it is not the one in the row. */
  readonly newMtimeMs: number | null;
}

/** Holds a held file against its row: kind of file, size, permission bits, digest. Changes nothing. */
export async function lookAtFile(
  layout: Layout,
  file: HeldFile,
  check: FileCheck,
): Promise<FileLook> {
  const path = layout.fileAt(file.path);
  const damaged = (problem: Problem, detail: string, isDigested = false): FileLook => ({
    damage: { problem, detail },
    isDigested,
    newMtimeMs: null,
  });
  try {
    const stat = await lstat(path);
    if (!stat.isFile())
      return damaged('not-a-file', stat.isSymbolicLink() ? 'a symbolic link' : 'no regular file');
    if (stat.size !== file.sizeBytes)
      return damaged('wrong-size', `${stat.size} bytes in place of ${file.sizeBytes}`);
    const mtimeMs = Math.floor(stat.mtimeMs);
    const isChanged = mtimeMs !== file.mtimeMs;
    const isDigested = check.digest || isChanged;
    if (isDigested) {
      const sha256 = await digestOf(path, check);
      if (sha256 === null) return { damage: null, isDigested: false, newMtimeMs: null };
      if (sha256 !== file.sha256)
        return damaged('wrong-digest', `sha256 ${sha256} in place of ${file.sha256}`, true);
    }
    // What was adopted keeps the permissions its owner gave it: it is a link to their file.
    const mode = stat.mode & 0o777;
    if (mode !== FILE_MODE && file.origin !== 'adopted')
      return damaged('wrong-mode', `mode ${mode.toString(8)} in place of 444`, isDigested);
    return { damage: null, isDigested, newMtimeMs: isChanged ? mtimeMs : null };
  } catch (error) {
    const code = codeOf(error) ?? '';
    if (code === 'ENOENT' || code === 'ENOTDIR') return damaged('missing', 'is not there');
    if (code === 'ELOOP') return damaged('not-a-file', 'a symbolic link');
    return damaged('unreadable', messageOf(error));
  }
}

/** The sha256 of a regular file; `null` when it was broken off. */
async function digestOf(path: string, check: FileCheck): Promise<string | null> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const hash = createHash('sha256');
    for await (const piece of piecesOf(handle)) {
      if (check.signal?.aborted === true) return null;
      hash.update(piece);
      if (check.bytesPerSecond !== undefined)
        await sleep((piece.length / check.bytesPerSecond) * 1000, check.signal);
    }
    return hash.digest('hex');
  } finally {
    await handle.close();
  }
}

async function* piecesOf(handle: FileHandle): AsyncGenerator<Uint8Array, void, void> {
  const { size } = await handle.stat();
  const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(PIECE_BYTES, size)));
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}
