import type { FileHandle } from 'node:fs/promises';
import { StorageError, codeOf } from '../../core/errors.ts';
import type { FillRequest } from './byte-source.ts';
import type { DataFile } from './data-file.ts';
import { Verifier } from './verifier.ts';

/** What one owner has of its file so far. */
export class FillBody {
  readonly verifier: Verifier;
  /** Bytes that are here, digested and written. */
  position = 0;
  /** Length of the whole file, once somebody knows it. */
  totalBytes: number | null;
  /** Strong ETag of these bytes at the upstream. */
  etag: string | null = null;
  /** All bytes are here; the digest has not spoken yet. */
  isComplete = false;
  #handle: FileHandle | undefined;
  #file: DataFile | undefined;

  constructor(request: FillRequest) {
    this.verifier = new Verifier(request.hashes);
    this.totalBytes = request.sizeBytes;
  }

  /** The owner's descriptor, for writing. */
  get handle(): FileHandle {
    if (this.#handle === undefined) throw new StorageError('The data file is not open yet.');
    return this.#handle;
  }

  set handle(handle: FileHandle) {
    this.#handle = handle;
  }

  /** The same inode as the readers of this process see it. */
  get file(): DataFile {
    if (this.#file === undefined) throw new StorageError('The data file is not open yet.');
    return this.#file;
  }

  set file(file: DataFile) {
    this.#file = file;
  }

  /** Whether readers can see the bytes: the data file was begun. */
  get isShown(): boolean {
    return this.#file !== undefined;
  }

  /** Closes what is open. Never throws. */
  async close(): Promise<void> {
    // Slow readers may hold the file for hours.
    this.#file?.recent.clear();
    this.#file?.release();
    this.#file = undefined;
    await this.#handle?.close().catch(() => {});
    this.#handle = undefined;
  }
}

/**
 * Runs work on the disk and marks every failure of it as such: readers then get the bytes past the disk.
 *
 * @throws StorageError for system and SQLite errors; others pass unchanged
 */
export async function storing<T>(filename: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = codeOf(error);
    if (error instanceof StorageError || code === undefined) throw error;
    if (!/^(E[A-Z0-9]+|SQLITE_.*)$/.test(code)) throw error;
    const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL';
    throw new StorageError(`${filename} cannot be stored: ${code}.`, {
      cause: error,
      hint: isFull
        ? 'The disk is full: free some space.'
        : 'Look at the cache folder and its disk.',
    });
  }
}
