/** A piece of this length costs two system calls, which then weigh nothing beside its copying. */
const PIECE_BYTES = 1024 * 1024;

/** So many large buffers at a time, for all clients together … */
const MOST_BUFFERS = 16;

/** … and so many wait for the next client; the others are given back to the system. */
const MOST_IDLE = 4;

/** What a client reads through while all large buffers are lent out, to clients that may be slow. */
const SMALL_PIECE_BYTES = 64 * 1024;

/**
 * Buffers between the disk and the clients. They are used again, since making one of this size costs more
 * than filling it; and they are bounded, so that memory stays flat whatever the clients do. No client
 * waits for one: beyond the bound the buffers are small.
 */
export class BufferPool {
  readonly #idle: Buffer[] = [];
  #lent = 0;

  /** Bytes of the large buffers that are there, lent or idle. */
  get sizeBytes(): number {
    return (this.#idle.length + this.#lent) * PIECE_BYTES;
  }

  /** A buffer; no larger than is sensible for `length` bytes. */
  take(length: number): Buffer {
    if (length > SMALL_PIECE_BYTES && this.#lent < MOST_BUFFERS) {
      this.#lent++;
      return this.#idle.pop() ?? Buffer.allocUnsafeSlow(PIECE_BYTES);
    }
    return Buffer.allocUnsafeSlow(Math.min(length, SMALL_PIECE_BYTES));
  }

  /** Takes back a buffer that nobody uses any more. */
  give(buffer: Buffer): void {
    if (buffer.length !== PIECE_BYTES) return;
    this.#lent--;
    if (this.#idle.length < MOST_IDLE) this.#idle.push(buffer);
  }

  /** Lets go of a buffer that the system may still read from: it is left to the garbage collector. */
  abandon(buffer: Buffer): void {
    if (buffer.length === PIECE_BYTES) this.#lent--;
  }
}
