import { closeSync, read } from 'node:fs';
import { promisify } from 'node:util';
import { IntegrityError } from '../core/errors.ts';

const readAt = promisify(read);

/** Pieces of a body that is read by generator: whoever wants speed brings buffers of its own. */
const PIECE_BYTES = 512 * 1024;

/** Called with the number of bytes that were read: 0 at the end of the file. */
export type ReadDone = (error: Error | null, bytesRead: number) => void;

/** The bytes of one held file, open for reading in any order. */
export class HeldBytes {
  readonly filename: string;
  readonly sizeBytes: number;
  /** Tells one file from another that has taken its name. */
  readonly inode: number;
  #descriptor: number | null;

  /** Takes over the descriptor. */
  constructor(
    descriptor: number,
    facts: { readonly filename: string; readonly sizeBytes: number; readonly inode: number },
  ) {
    this.#descriptor = descriptor;
    this.filename = facts.filename;
    this.sizeBytes = facts.sizeBytes;
    this.inode = facts.inode;
  }

  /** Reads up to `length` bytes from `position` on into the beginning of `buffer`. Not to be closed meanwhile. */
  readInto(buffer: Buffer, length: number, position: number, done: ReadDone): void {
    read(this.#open, buffer, 0, length, position, done);
  }

  /** The bytes from `start` to `end` (exclusive), each piece in memory of its own. Closes when it ends, however it ends. */
  async *pieces(start: number, end: number): AsyncGenerator<Uint8Array, void, void> {
    try {
      for (let position = start; position < end;) {
        const piece = await this.slice(position, Math.min(end, position + PIECE_BYTES));
        if (piece.length === 0) throw this.cutShort();
        position += piece.length;
        yield piece;
      }
    } finally {
      this.close();
    }
  }

  /** The bytes from `start` to `end` (exclusive); fewer at the end of the file. */
  async slice(start: number, end: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafe(end - start);
    const { bytesRead } = await readAt(this.#open, buffer, 0, end - start, start);
    return bytesRead === buffer.length ? buffer : buffer.subarray(0, bytesRead);
  }

  /** What to say when the file ends before its length. */
  cutShort(): IntegrityError {
    return new IntegrityError(`${this.filename} was cut short on the disk.`);
  }

  /** Closes the descriptor; again: nothing. */
  close(): void {
    if (this.#descriptor === null) return;
    closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  get #open(): number {
    if (this.#descriptor === null) throw new IntegrityError(`${this.filename} is closed.`);
    return this.#descriptor;
  }
}
