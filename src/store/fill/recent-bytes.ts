/** So much is kept, for each file that is being written. */
const KEPT_BYTES = 1024 * 1024;

/** One piece of the file and where it stands. */
interface Piece {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/**
 * The bytes of a file that were written last: readers who are close behind need no turn to the disk. Nobody
 * may change them.
 */
export class RecentBytes {
  /** One after the other, the last one ends where the file does. */
  readonly #pieces: Piece[] = [];
  #keptBytes = 0;
  /** Readers of one file mostly ask for the same. */
  #lastTaken: (Piece & { readonly mostBytes: number }) | null = null;

  /** Keeps what was written at `position`, right behind what was written before. */
  add(position: number, written: readonly Uint8Array[]): void {
    let end = position;
    for (const bytes of written) {
      this.#pieces.push({ position: end, bytes });
      this.#keptBytes += bytes.byteLength;
      end += bytes.byteLength;
    }
    const dropped = this.#pieces.findIndex(({ bytes }) => {
      if (this.#keptBytes <= KEPT_BYTES) return true;
      this.#keptBytes -= bytes.byteLength;
      return false;
    });
    this.#pieces.splice(0, dropped === -1 ? this.#pieces.length : dropped);
  }

  /** Keeps nothing any more. */
  clear(): void {
    this.#pieces.length = 0;
    this.#keptBytes = 0;
    this.#lastTaken = null;
  }

  /** Up to `mostBytes` bytes from `position` on; `undefined` when the first of them is not here. */
  take(position: number, mostBytes: number): Uint8Array | undefined {
    const last = this.#lastTaken;
    if (last !== null && last.position === position && last.mostBytes === mostBytes)
      return last.bytes;
    const bytes = this.#gathered(position, mostBytes);
    if (bytes !== undefined) this.#lastTaken = { position, mostBytes, bytes };
    return bytes;
  }

  #gathered(position: number, mostBytes: number): Uint8Array | undefined {
    const from = this.#pieces.findLastIndex((piece) => piece.position <= position);
    const first = this.#pieces[from];
    if (first === undefined) return undefined;
    const start = position - first.position;
    if (start >= first.bytes.byteLength) return undefined;
    const found = [first.bytes.subarray(start, start + mostBytes)];
    let lengthBytes = found[0]?.byteLength ?? 0;
    for (let at = from + 1; lengthBytes < mostBytes; at++) {
      const next = this.#pieces[at]?.bytes.subarray(0, mostBytes - lengthBytes);
      if (next === undefined) break;
      found.push(next);
      lengthBytes += next.byteLength;
    }
    return found.length === 1 ? found[0] : Buffer.concat(found, lengthBytes);
  }
}
