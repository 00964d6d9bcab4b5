import type { FileHandle } from 'node:fs/promises';
import { writeFully } from '../atomic-file.ts';

/** What may wait for the write before it, in bytes. */
const MOST_WAITING_BYTES = 512 * 1024;

/**
 * Writes the pieces of one file in their order, one write at a time. Pieces that come meanwhile go into the
 * next one together: each write costs a turn of a thread, however little it writes.
 */
export class PieceWriter {
  readonly #handle: FileHandle;
  readonly #onWritten: (position: number, pieces: readonly Uint8Array[]) => void;
  #position: number;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | null = null;

  /**
   * @param position where the first piece goes
   * @param onWritten called after each write with the position after it and what was written
   */
  constructor(
    handle: FileHandle,
    position: number,
    onWritten: (position: number, pieces: readonly Uint8Array[]) => void,
  ) {
    this.#handle = handle;
    this.#position = position;
    this.#onWritten = onWritten;
  }

  /** Takes one more piece, which nobody changes any more. Resolves when another one may come. @throws as a write does */
  async add(piece: Uint8Array): Promise<void> {
    this.#waiting.push(piece);
    this.#waitingBytes += piece.byteLength;
    if (this.#writing === null) this.#begin();
    else if (this.#waitingBytes >= MOST_WAITING_BYTES) await this.#writing;
  }

  /** Resolves when all is written. @throws as a write does */
  async finish(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
  }

  #begin(): void {
    const writing = this.#write(this.#waiting, this.#waitingBytes);
    // Whoever waits for it hears of a failure.
    writing.catch(() => {});
    this.#writing = writing;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  async #write(pieces: readonly Uint8Array[], lengthBytes: number): Promise<void> {
    const { bytesWritten } = await this.#handle.writev(pieces, this.#position);
    // A disk quota or a limit of the file's size: what goes on says why.
    if (bytesWritten < lengthBytes) {
      const rest = Buffer.concat(pieces).subarray(bytesWritten);
      await writeFully(this.#handle, rest, this.#position + bytesWritten);
    }
    this.#position += lengthBytes;
    this.#onWritten(this.#position, pieces);
    this.#writing = null;
    if (this.#waitingBytes > 0) this.#begin();
  }
}
