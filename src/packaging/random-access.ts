/** Bytes that can be read in pieces: a file on disk, or one that another index has. */
export interface RandomAccess {
  /** Length of the whole. */
  readonly sizeBytes: number;
  /** The bytes from `start` up to and without `end`; the reader does not change them. */
  read(start: number, end: number): Promise<Uint8Array>;
}

/** How reads are gathered. */
export interface GatheringOptions {
  /** How much the first read of the end fetches, in bytes. */
  readonly tailBytes?: number;
  /** How much at most is fetched along before what a later read asks for, in bytes. */
  readonly leadBytes?: number;
}

/** A {@link RandomAccess} that keeps what it fetched, and counts it. */
export interface GatheredAccess extends RandomAccess {
  /** Bytes that the underlying access has given so far. */
  readonly fetchedBytes: number;
  /** Reads that the underlying access was asked for so far. */
  readonly requests: number;
}

/**
 * What the library reads first: the longest end record, archive comment and zip64 locator. Of 20 much-used
 * wheels, 9 have all that is wanted in the last 64 KiB, and 3 in the last 16 KiB.
 */
const TAIL_BYTES = 20 + 22 + 0xffff;
/** METADATA lies before the directory, mostly less than the directory's length away: 18 of these 20. */
const LEAD_BYTES = 256 * 1024;

/** Bytes at a place of the file. */
interface Piece {
  readonly start: number;
  readonly bytes: Uint8Array;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * Wraps an access so that many small reads become few: the first read near the end fetches the whole
 * tail, later ones what is missing and as much again before it. Everything fetched is kept; concurrent reads
 * may fetch the same bytes twice. Errors of the underlying access pass through. An access that is gathered
 * already comes back as it is.
 */
export function gathered(access: RandomAccess, options: GatheringOptions = {}): GatheredAccess {
  return access instanceof PieceKeeper ? access : new PieceKeeper(access, options);
}

class PieceKeeper implements GatheredAccess {
  readonly sizeBytes: number;
  readonly #access: RandomAccess;
  readonly #tailStart: number;
  readonly #leadBytes: number;
  /** In order and without overlap. */
  #pieces: readonly Piece[] = [];
  #fetchedBytes = 0;
  #requests = 0;

  constructor(access: RandomAccess, options: GatheringOptions) {
    this.sizeBytes = access.sizeBytes;
    this.#access = access;
    this.#tailStart = Math.max(0, access.sizeBytes - (options.tailBytes ?? TAIL_BYTES));
    this.#leadBytes = options.leadBytes ?? LEAD_BYTES;
  }

  get fetchedBytes(): number {
    return this.#fetchedBytes;
  }

  get requests(): number {
    return this.#requests;
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    const held = this.#within(start, end);
    if (held !== undefined) return held;
    const fetched: Piece[] = [];
    for (const gap of this.#gaps(this.#widen({ start, end }))) {
      // One after the other: there is rarely more than one, and a server may limit connections.
      fetched.push(await this.#fetch(gap));
    }
    this.#keep(fetched);
    const parts = this.#pieces
      .filter((piece) => piece.start < end && endOf(piece) > start)
      .map((piece) => cut(piece, start, end));
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  #within(start: number, end: number): Uint8Array | undefined {
    const piece = this.#pieces.find((held) => held.start <= start && endOf(held) >= end);
    return piece === undefined ? undefined : cut(piece, start, end);
  }

  #widen({ start, end }: Span): Span {
    if (this.#pieces.length === 0 && end > this.#tailStart) {
      return { start: Math.min(start, this.#tailStart), end: this.sizeBytes };
    }
    return { start: Math.max(0, start - Math.min(end - start, this.#leadBytes)), end };
  }

  /** The parts of `span` that are not held. */
  #gaps({ start, end }: Span): readonly Span[] {
    const gaps: Span[] = [];
    let at = start;
    for (const piece of this.#pieces) {
      if (at < piece.start && at < end) gaps.push({ start: at, end: Math.min(piece.start, end) });
      at = Math.max(at, endOf(piece));
    }
    if (at < end) gaps.push({ start: at, end });
    return gaps;
  }

  async #fetch({ start, end }: Span): Promise<Piece> {
    this.#requests++;
    const bytes = await this.#access.read(start, end);
    this.#fetchedBytes += bytes.length;
    return { start, bytes };
  }

  /** Another read may have fetched some of it meanwhile; of such pieces the first one stays. */
  #keep(fetched: readonly Piece[]): void {
    for (const piece of fetched) {
      const gaps = this.#gaps({ start: piece.start, end: endOf(piece) });
      const news = gaps.map(({ start, end }) => ({ start, bytes: cut(piece, start, end) }));
      this.#pieces = [...this.#pieces, ...news].sort((left, right) => left.start - right.start);
    }
  }
}

function endOf({ start, bytes }: Piece): number {
  return start + bytes.length;
}

function cut(piece: Piece, start: number, end: number): Uint8Array {
  return piece.bytes.subarray(Math.max(0, start - piece.start), end - piece.start);
}
