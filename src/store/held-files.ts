import {
  closeSync,
  constants,
  fstat,
  fstatSync,
  lstatSync,
  open,
  openSync,
  statSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { promisify } from 'node:util';
import { codeOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Catalog, HeldFile } from './catalog.ts';
import { sha256Of } from './digest.ts';
import { HeldBytes } from './held-bytes.ts';
import type { Layout } from './layout.ts';

const openAt = promisify(open);
const statOf = promisify(fstat);

/** A symbolic link was not put there by us. */
const READ_NO_LINK = constants.O_RDONLY | constants.O_NOFOLLOW;

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
  async open(file: HeldFile): Promise<HeldBytes | undefined> {
    const path = this.#layout.fileAt(file.path);
    let descriptor: number;
    try {
      descriptor = await openAt(path, READ_NO_LINK);
    } catch (error) {
      const code = codeOf(error) ?? '';
      if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(code)) throw error;
      return await this.#forget(file, code === 'ELOOP' ? 'a symbolic link' : 'missing');
    }
    let damage: string | null;
    try {
      const stat = await statOf(descriptor);
      damage = await this.#damageOf(file, stat, path);
      if (damage === null) return bytesOf(file, descriptor, stat);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    closeSync(descriptor);
    return await this.#forget(file, damage);
  }

  /**
   * The file, opened within this tick, if it is the very one that was looked at before. `undefined` says
   * only that {@link open} has to find out; nothing is forgotten.
   */
  openNow(file: HeldFile, inode: number): HeldBytes | undefined {
    let descriptor: number;
    try {
      descriptor = openSync(this.#layout.fileAt(file.path), READ_NO_LINK);
    } catch {
      return undefined;
    }
    const stat = fstatSync(descriptor);
    if (isSame(stat, file, inode)) return bytesOf(file, descriptor, stat);
    closeSync(descriptor);
    return undefined;
  }

  /** Whether the file that was looked at before still stands at its path. */
  isInPlace(file: HeldFile, inode: number): boolean {
    try {
      return isSame(lstatSync(this.#layout.fileAt(file.path)), file, inode);
    } catch {
      return false;
    }
  }

  /** Forgets a file whose bytes do not have its digest. */
  async damaged(file: HeldFile): Promise<void> {
    await this.#forget(file, 'changed');
  }

  async #damageOf(file: HeldFile, stat: Stats, path: string): Promise<string | null> {
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
    const bytes = await this.open(file);
    if (bytes === undefined) return undefined;
    try {
      return await work({
        sizeBytes: file.sizeBytes,
        read: (start, end) => bytes.slice(start, end),
      });
    } finally {
      bytes.close();
    }
  }

  async #forget(file: HeldFile, what: string): Promise<undefined> {
    this.#log.warn('a held file was damaged; it is not held any more', { path: file.path, what });
    await this.#catalog.forgetFile(file);
  }
}

function bytesOf(file: HeldFile, descriptor: number, stat: Stats): HeldBytes {
  const { filename, sizeBytes } = file;
  return new HeldBytes(descriptor, { filename, sizeBytes, inode: stat.ino });
}

function isSame(stat: Stats, file: HeldFile, inode: number): boolean {
  return (
    stat.isFile() &&
    stat.ino === inode &&
    stat.size === file.sizeBytes &&
    Math.floor(stat.mtimeMs) === file.mtimeMs
  );
}
