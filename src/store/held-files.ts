import { constants, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { IntegrityError, codeOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Catalog, HeldFile } from './catalog.ts';
import { sha256Of } from './digest.ts';
import type { Layout } from './layout.ts';

/** Larger pieces are quicker; each response holds at most one. */
const PIECE_BYTES = 512 * 1024;

/** A held file, open for reading. */
export interface OpenHeldFile {
  readonly sizeBytes: number;
  /** The bytes from `start` to `end` (exclusive). Closes the file when it ends, however it ends. */
  read(start: number, end: number): AsyncGenerator<Uint8Array, void, void>;
  /** For a file that is opened but not read. */
  close(): Promise<void>;
}

/** Bytes that can be read in any order; `end` is exclusive. */
export interface RandomRead {
  readonly sizeBytes: number;
  read(start: number, end: number): Promise<Uint8Array>;
}

/**
 * Opens held files and notices what was changed behind our back: deleted, truncated or replaced files
 * are forgotten, so that they are fetched again. A file with only another time (a cache folder copied
 * without times) is digested once and kept.
 */
export class HeldFiles {
  readonly #layout: Layout;
  readonly #catalog: Catalog;
  readonly #log: Logger;

  constructor(layout: Layout, catalog: Catalog, log: Logger) {
    this.#layout = layout;
    this.#catalog = catalog;
    this.#log = log;
  }

  /** The open file, or `undefined` when its bytes are gone or wrong; its row is then gone too. */
  async open(file: HeldFile): Promise<OpenHeldFile | undefined> {
    const handle = await this.#openChecked(file);
    return handle && openedFile(file, handle);
  }

  async #openChecked(file: HeldFile): Promise<FileHandle | undefined> {
    const path = this.#layout.fileAt(file.path);
    let handle: FileHandle;
    try {
      // A symbolic link was not put there by us.
      handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      const code = codeOf(error) ?? '';
      if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(code)) throw error;
      return await this.#forget(file, code === 'ELOOP' ? 'a symbolic link' : 'missing');
    }
    let damage: string | null;
    try {
      damage = await this.#damageOf(file, handle, path);
    } catch (error) {
      await handle.close();
      throw error;
    }
    if (damage === null) return handle;
    await handle.close();
    return await this.#forget(file, damage);
  }

  async #damageOf(file: HeldFile, handle: FileHandle, path: string): Promise<string | null> {
    const stat = await handle.stat();
    if (!stat.isFile() || stat.size !== file.sizeBytes) return 'of another size';
    const mtimeMs = Math.floor(stat.mtimeMs);
    if (mtimeMs === file.mtimeMs) return null;
    if ((await sha256Of(path)) !== file.sha256) return 'changed';
    // Inside the transaction: it may have left meanwhile, with its bytes.
    await this.#catalog.addFile({ ...file, mtimeMs }, () => void statSync(path));
    return null;
  }

  /** Runs `work` on the bytes of a held file, read in parts; `undefined` when they are gone or wrong. */
  async readIn<T>(file: HeldFile, work: (bytes: RandomRead) => Promise<T>): Promise<T | undefined> {
    const handle = await this.#openChecked(file);
    if (handle === undefined) return undefined;
    try {
      return await work({
        sizeBytes: file.sizeBytes,
        read: async (start, end) => {
          const { buffer, bytesRead } = await handle.read(
            Buffer.alloc(end - start),
            0,
            end - start,
            start,
          );
          return buffer.subarray(0, bytesRead);
        },
      });
    } finally {
      await handle.close();
    }
  }

  async #forget(file: HeldFile, what: string): Promise<undefined> {
    this.#log.warn('a held file was damaged; it is not held any more', { path: file.path, what });
    await this.#catalog.forgetFile(file);
  }
}

function openedFile(file: HeldFile, handle: FileHandle): OpenHeldFile {
  return {
    sizeBytes: file.sizeBytes,
    read: (start, end) => readRange(file, handle, start, end),
    close: () => handle.close(),
  };
}

async function* readRange(
  file: HeldFile,
  handle: FileHandle,
  start: number,
  end: number,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    for (let position = start; position < end;) {
      const length = Math.min(PIECE_BYTES, end - position);
      const { buffer, bytesRead } = await handle.read(
        Buffer.allocUnsafe(length),
        0,
        length,
        position,
      );
      if (bytesRead === 0) throw new IntegrityError(`${file.filename} was cut short on the disk.`);
      position += bytesRead;
      yield bytesRead === length ? buffer : buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}
