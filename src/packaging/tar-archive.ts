/** Tar archives, entry by entry and in constant memory: written the same each time, read without trust. */
import { Header, Pax } from 'tar';
import { IntegrityError } from '../core/errors.ts';

const BLOCK_BYTES = 512;
/** Extended headers of ours hold one path. */
const MOST_EXTENDED_BYTES = 64 * 1024;

/** Archives are filled up to whole records; nobody has longer ones. */
const MOST_FILLING_BYTES = 64 * 1024 * 1024;

/** The kinds of entry that are told apart; hard and symbolic links, devices and pipes are `other`. */
export type TarEntryKind = 'file' | 'folder' | 'other';

/** One entry of an archive. */
export interface TarEntry {
  /** As it stands there: nobody has judged it. */
  readonly path: string;
  readonly kind: TarEntryKind;
  /** What the archive calls it, such as `SymbolicLink`. */
  readonly typeName: string;
  readonly sizeBytes: number;
  /** The bytes; whoever does not read them all skips the rest. */
  readonly content: AsyncIterable<Uint8Array>;
}

/**
 * What stands before a regular file: mode 0644, owner and group 0 without names, so that equal files give
 * equal bytes (ustar; a path that it cannot hold goes into a pax header, POSIX.1-2001).
 *
 * @param mtimeSeconds since the epoch
 */
export function tarFileHead(path: string, sizeBytes: number, mtimeSeconds: number): Buffer {
  const mtime = new Date(mtimeSeconds * 1000);
  const facts = { path, mode: 0o644, uid: 0, gid: 0, size: sizeBytes, mtime } as const;
  const header = new Header({ ...facts, type: 'File', uname: '', gname: '' });
  const block = Buffer.alloc(BLOCK_BYTES);
  if (!header.encode(block)) return block;
  const pax = new Pax({ path, mtime, uid: 0, gid: 0 });
  return Buffer.concat([pax.encode(), block]);
}

/** The zeros after a file of this length. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES);
}

/** The zeros that end an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK_BYTES);
}

/**
 * The entries of an archive, in its order. An entry's content can be read until the next one is asked for.
 *
 * @throws IntegrityError when the archive is damaged, ends early, or goes on behind its end
 */
export async function* tarEntries(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<TarEntry, void, void> {
  const bytes = new ByteQueue(source);
  let extended: Pax | undefined;
  for (;;) {
    const header = new Header(await bytes.exactly(BLOCK_BYTES));
    if (header.nullBlock) return await checkEnd(bytes);
    if (!header.cksumValid) throw new IntegrityError('The archive is damaged: a bad entry header.');
    const { type } = header;
    const sizeBytes = header.size ?? 0;
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
      throw new IntegrityError('The archive is damaged: an entry of impossible size.');
    if (type === 'ExtendedHeader') {
      if (sizeBytes > MOST_EXTENDED_BYTES)
        throw new IntegrityError('The archive has an extended header of unheard-of size.');
      const text = (await bytes.exactly(sizeBytes)).toString('utf8');
      await bytes.exactly(tarPadding(sizeBytes).length);
      extended = Pax.parse(text, {});
      continue;
    }
    if (extended?.size !== undefined && extended.size !== sizeBytes)
      throw new IntegrityError('The archive gives an entry two sizes.');
    const path = extended?.path ?? header.path ?? '';
    extended = undefined;
    // Whatever is no file has no content, whatever its header says.
    const kind = kindOf(type);
    let left = kind === 'file' ? sizeBytes : 0;
    async function* content(): AsyncGenerator<Uint8Array, void, void> {
      while (left > 0) {
        const piece = await bytes.atMost(left);
        left -= piece.length;
        yield piece;
      }
    }
    yield { path, kind, typeName: type, sizeBytes, content: content() };
    while (left > 0) left -= (await bytes.atMost(left)).length;
    if (kind === 'file') await bytes.exactly(tarPadding(sizeBytes).length);
  }
}

function kindOf(type: string): TarEntryKind {
  if (type === 'File' || type === 'OldFile') return 'file';
  return type === 'Directory' ? 'folder' : 'other';
}

/** A second block of zeros, and nothing but zeros behind it. */
async function checkEnd(bytes: ByteQueue): Promise<void> {
  await bytes.exactly(BLOCK_BYTES).then(checkZeros);
  let restBytes = 0;
  for (let rest = await bytes.any(); rest !== undefined; rest = await bytes.any()) {
    checkZeros(rest);
    restBytes += rest.length;
    if (restBytes > MOST_FILLING_BYTES) throw new IntegrityError('The archive has no end.');
  }
}

function checkZeros(bytes: Uint8Array): void {
  if (bytes.some((byte) => byte !== 0))
    throw new IntegrityError('The archive goes on behind its end.');
}

/** Bytes that are taken in the pieces that are wanted. */
class ByteQueue {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Some bytes, or `undefined` at the end. */
  async any(): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const { value, done } = await this.#source.next();
      if (done === true) return undefined;
      this.#rest = value;
    }
    const piece = this.#rest;
    this.#rest = new Uint8Array();
    return piece;
  }

  /** At least one byte and no more than `count`. @throws IntegrityError at the end */
  async atMost(count: number): Promise<Uint8Array> {
    const piece = await this.any();
    if (piece === undefined) throw new IntegrityError('The archive ends early.');
    this.#rest = piece.subarray(count);
    return piece.subarray(0, count);
  }

  /** @throws IntegrityError when there are fewer */
  async exactly(count: number): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    for (let left = count; left > 0;) {
      const piece = await this.atMost(left);
      pieces.push(piece);
      left -= piece.length;
    }
    return Buffer.concat(pieces);
  }
}
