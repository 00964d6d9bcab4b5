import { closeSync, fstatSync, openSync, read } from 'node:fs';
import { promisify } from 'node:util';
import { codeOf } from '../../core/errors.ts';
import { RecentBytes } from './recent-bytes.ts';

const readAt = promisify(read);

/**
 * - `growing`: somebody writes it.
 * - `verified`: complete, and its digest holds (the owner has cleared the owner-write bit).
 * - `dead`: unlinked without having been verified: failed or superseded.
 */
export type DataFileState = 'growing' | 'verified' | 'dead';

/**
 * One inode of a fill, open for reading and shared by every reader of this process. The descriptor
 * outlives the name: a reader can finish, or compare what it has sent, after the file was renamed,
 * published or unlinked. Closed when the last holder lets go.
 */
export class DataFile {
  readonly #descriptor: number;
  /** Tells one inode from another. */
  readonly inode: number;
  #holders = 1;
  #sizeBytes = 0;
  #lastRead: {
    readonly position: number;
    readonly length: number;
    readonly bytes: Promise<Buffer>;
  } | null = null;
  #state: DataFileState = 'growing';
  /** What this process has written last. */
  readonly recent: RecentBytes = new RecentBytes();

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
    this.inode = fstatSync(descriptor).ino;
  }

  /** Opens a data file with one holder, or `undefined` when the name is gone. */
  static open(path: string): DataFile | undefined {
    let descriptor: number;
    try {
      descriptor = openSync(path, 'r');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    const file = new DataFile(descriptor);
    file.look();
    return file;
  }

  /** Bytes that can be read now. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get state(): DataFileState {
    return this.#state;
  }

  /** Reads size and state from the inode (1 µs). The mode is tested before the link count: a verified file is soon unlinked here. */
  look(): void {
    if (this.#state === 'verified') return;
    const stat = fstatSync(this.#descriptor);
    this.#sizeBytes = stat.size;
    if ((stat.mode & 0o200) === 0) this.#state = 'verified';
    else if (stat.nlink === 0) this.#state = 'dead';
  }

  /** Tells what the owner in this process knows without asking the system. */
  advance(sizeBytes: number, state: DataFileState = 'growing'): void {
    this.#sizeBytes = sizeBytes;
    this.#state = state;
  }

  /**
   * Up to `length` bytes from `position` on; fewer only at the end of what is there. Readers that wait
   * for the same bytes share one read and one buffer, which nobody may change: bytes of a data file
   * are written once.
   */
  read(position: number, length: number): Promise<Buffer> {
    const last = this.#lastRead;
    const isSame = last !== null && last.position === position && last.length === length;
    if (isSame && position + length <= this.#sizeBytes) return last.bytes;
    const bytes = this.#readNow(position, length);
    this.#lastRead = { position, length, bytes };
    bytes.catch(() => (this.#lastRead = null));
    return bytes;
  }

  async #readNow(position: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await readAt(this.#descriptor, buffer, 0, length, position);
    return bytesRead === length ? buffer : buffer.subarray(0, bytesRead);
  }

  /** Adds a holder. */
  hold(): this {
    this.#holders++;
    return this;
  }

  /** Lets go; the last one closes the descriptor. */
  release(): void {
    // Below zero would close a descriptor that belongs to somebody else by now.
    if (this.#holders > 0 && --this.#holders === 0) closeSync(this.#descriptor);
  }
}

/** Whether two data files hold the same bytes from `start` to `end` (exclusive). */
export async function sameBytes(
  one: DataFile,
  other: DataFile,
  start: number,
  end: number,
): Promise<boolean> {
  const step = 1 << 20;
  for (let position = start; position < end; position += step) {
    const size = Math.min(step, end - position);
    const [a, b] = await Promise.all([one.read(position, size), other.read(position, size)]);
    if (a.length !== size || !a.equals(b)) return false;
  }
  return true;
}
