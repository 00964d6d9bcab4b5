import { setImmediate } from 'node:timers/promises';
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl';
import { IntegrityError, WheelcellarError, messageOf } from '../core/errors.ts';
import { gathered, type GatheredAccess, type RandomAccess } from './random-access.ts';

/*
 * Opening an archive: the tail (one read) → the end record → the whole directory (at most one more
 * read) → its entries, checked one by one → how they lie in the file.
 *
 * Readers of zip files differ in what they believe when an archive contradicts itself, so a file could
 * show one thing to us and another to an installer. What two readers could take differently is refused.
 */

/** What an archive may ask of us, and what we want of it. */
export interface DirectoryLimits {
  /** Only entries whose name contains this are kept; ASCII. All are checked. */
  readonly wanted: string;
  readonly maxDirectoryBytes: number;
  readonly maxEntries: number;
}

/** One member of an archive, as the directory describes it. */
export interface ZipEntry {
  /** Of Latin-1 characters, one for each byte: only ASCII names are looked for. */
  readonly name: string;
  /** Where its local header begins. */
  readonly start: number;
  /** Where the next member, or the directory, begins. */
  readonly limit: number;
  readonly compressedBytes: number;
  readonly sizeBytes: number;
  /** The entry as the library gave it. */
  readonly raw: Entry;
}

/** An archive whose directory was read. */
export interface OpenZip {
  readonly access: GatheredAccess;
  readonly file: ZipFile;
  /** The wanted ones, in the order of the file. */
  readonly entries: readonly ZipEntry[];
}

/** A member's place in the file; the entry only of those that are wanted, to spare memory. */
interface Place {
  readonly start: number;
  /** At the least: a local header may be longer than its entry tells. */
  readonly end: number;
  readonly raw: Entry | undefined;
}

const END_SIGNATURE_64 = 0x06064b50;
const LOCATOR_SIGNATURE_64 = 0x07064b50;
const END_BYTES = 22;
const LOCATOR_BYTES_64 = 20;
const END_BYTES_64 = 56;
const LOCAL_HEADER_BYTES = 30;
const ENTRY_BYTES = 46;
/** "Info-ZIP Unicode Path Extra Field": gives a member another name in the readers that know it. */
const UNICODE_PATH = 0x7075;
/** Entries between two turns of the event loop, about a millisecond. */
const ENTRIES_IN_STEP = 256;

/** Where the directory lies, and how much it holds. */
interface Extent {
  readonly start: number;
  readonly end: number;
  readonly count: number;
}

/**
 * Reads the directory of a zip archive, hands it to `use`, and closes it. Errors of the access pass
 * through unchanged.
 *
 * @throws IntegrityError when the archive is damaged, ambiguous, or beyond the limits
 */
export async function withZip<T>(
  access: RandomAccess,
  limits: DirectoryLimits,
  use: (zip: OpenZip) => Promise<T>,
): Promise<T> {
  const bytes = gathered(access);
  const { promise: trouble, reject } = promiseOfTrouble();
  const reader = new LibraryReader(bytes, reject);
  // The library never hears of a failed read, so its own wording does not hide the reason.
  return Promise.race([trouble, openAndUse(bytes, reader, limits, use)]);
}

/**
 * Bytes of the archive.
 *
 * @throws IntegrityError when they lie outside of it, or fewer came than it is long
 */
export async function readSpan(access: RandomAccess, start: number, end: number): Promise<Buffer> {
  if (!(start >= 0 && start <= end && end <= access.sizeBytes)) {
    throw new IntegrityError('The archive points at bytes outside of itself.');
  }
  const bytes = await access.read(start, end);
  if (bytes.length !== end - start) {
    throw new IntegrityError(
      `The archive ends before the ${access.sizeBytes} bytes it should have.`,
    );
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

async function openAndUse<T>(
  access: GatheredAccess,
  reader: RandomAccessReader,
  limits: DirectoryLimits,
  use: (zip: OpenZip) => Promise<T>,
): Promise<T> {
  try {
    const options = { autoClose: false, decodeStrings: false };
    const file = await fromRandomAccessReaderPromise(reader, access.sizeBytes, options);
    const entries = await readEntries(access, file, limits);
    return await use({ access, file, entries });
  } catch (error) {
    if (error instanceof WheelcellarError) throw error;
    throw new IntegrityError(`The archive cannot be read: ${messageOf(error)}.`, { cause: error });
  }
}

async function readEntries(
  access: RandomAccess,
  file: ZipFile,
  limits: DirectoryLimits,
): Promise<readonly ZipEntry[]> {
  const extent = await locateDirectory(access, file);
  checkExtent(extent, limits);
  // Once for all entries, which the library then reads one by one.
  await readSpan(access, extent.start, extent.end);
  const places: Place[] = [];
  for await (const raw of file.eachEntry()) {
    if (cursorOf(file) > extent.end) break;
    checkEntry(raw);
    places.push(placeOf(raw, raw.fileNameRaw.includes(limits.wanted)));
    if (places.length % ENTRIES_IN_STEP === 0) await setImmediate();
  }
  if (places.length !== extent.count || cursorOf(file) !== extent.end) {
    throw new IntegrityError('The directory of the archive does not end where it should.');
  }
  return layOut(places, extent.start);
}

/**
 * The directory must lie between the members and the end record without a gap: Python's zipfile finds
 * it by its length, others by its offset.
 */
async function locateDirectory(access: RandomAccess, file: ZipFile): Promise<Extent> {
  const endStart = access.sizeBytes - END_BYTES - file.comment.length;
  const end = await readSpan(access, endStart, endStart + END_BYTES);
  const short = {
    count: end.readUInt16LE(10),
    size: end.readUInt32LE(12),
    start: end.readUInt32LE(16),
  };
  const long = await readLongEnd(access, endStart);
  const { count, size, start } = long ?? short;
  const stop = long === undefined ? endStart : endStart - LOCATOR_BYTES_64 - END_BYTES_64;
  const isSaid =
    long === undefined ||
    (says(short.count, count, 0xffff) &&
      says(short.size, size, 0xffffffff) &&
      says(short.start, start, 0xffffffff));
  if (!isSaid || start !== cursorOf(file) || count !== file.entryCount || start + size !== stop) {
    throw new IntegrityError('The end record of the archive contradicts its directory.');
  }
  return { start, end: stop, count };
}

/** Whether a field of the short end record gives the long one's value, or leaves it to that. */
function says(field: number, value: number, saturated: number): boolean {
  return field === value || field === saturated;
}

/** The zip64 end record, which must stand right before its locator (APPNOTE 4.3.14, 4.3.15). */
async function readLongEnd(
  access: RandomAccess,
  endStart: number,
): Promise<{ count: number; size: number; start: number } | undefined> {
  const locatorStart = endStart - LOCATOR_BYTES_64;
  if (locatorStart < 0) return undefined;
  const locator = await readSpan(access, locatorStart, endStart);
  if (locator.readUInt32LE(0) !== LOCATOR_SIGNATURE_64) return undefined;
  const start = Number(locator.readBigUInt64LE(8));
  const record = await readSpan(access, start, start + END_BYTES_64);
  if (start + END_BYTES_64 !== locatorStart || record.readUInt32LE(0) !== END_SIGNATURE_64) {
    throw new IntegrityError('The zip64 end record of the archive is not where it should be.');
  }
  return {
    count: Number(record.readBigUInt64LE(32)),
    size: Number(record.readBigUInt64LE(40)),
    start: Number(record.readBigUInt64LE(48)),
  };
}

function checkExtent({ start, end, count }: Extent, limits: DirectoryLimits): void {
  if (count > limits.maxEntries) {
    throw new IntegrityError(
      `The archive has ${count} members; more than ${limits.maxEntries} are not looked through.`,
    );
  }
  const sizeBytes = end - start;
  if (sizeBytes > limits.maxDirectoryBytes) {
    throw new IntegrityError(
      `The directory of the archive has ${sizeBytes} bytes; more than ${limits.maxDirectoryBytes} are not read.`,
    );
  }
  if (count * ENTRY_BYTES > sizeBytes) {
    throw new IntegrityError('The directory of the archive is too short for its members.');
  }
}

function checkEntry(raw: Entry): void {
  // Python cuts a name at its first NUL.
  if (raw.fileNameRaw.includes(0) || raw.extraFields.some(({ id }) => id === UNICODE_PATH)) {
    throw new IntegrityError('The archive gives a member two names.');
  }
}

function placeOf(raw: Entry, isWanted: boolean): Place {
  const start = raw.relativeOffsetOfLocalHeader;
  const end = start + LOCAL_HEADER_BYTES + raw.fileNameLength + raw.compressedSize;
  return { start, end, raw: isWanted ? raw : undefined };
}

/** The wanted entries in the order of the file; no member may share bytes with another or the directory. */
function layOut(places: Place[], directoryStart: number): readonly ZipEntry[] {
  places.sort((left, right) => left.start - right.start);
  const entries: ZipEntry[] = [];
  for (const [index, { start, end, raw }] of places.entries()) {
    const limit = places[index + 1]?.start ?? directoryStart;
    if (end > limit) throw new IntegrityError('Members of the archive overlap.');
    if (raw === undefined) continue;
    entries.push({
      name: raw.fileNameRaw.toString('latin1'),
      start,
      limit,
      compressedBytes: raw.compressedSize,
      sizeBytes: raw.uncompressedSize,
      raw,
    });
  }
  return entries;
}

/** Where the library goes on reading the directory; its type declaration says boolean. */
function cursorOf(file: ZipFile): number {
  return file.readEntryCursor as unknown as number;
}

function promiseOfTrouble(): { promise: Promise<never>; reject: (reason: unknown) => void } {
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<never>((_, refuse) => {
    reject = refuse;
  });
  return { promise, reject };
}

/** Reads for the library; whatever goes wrong, also inside its callbacks, goes to `onTrouble`. */
class LibraryReader extends RandomAccessReader {
  readonly #access: RandomAccess;
  readonly #onTrouble: (reason: unknown) => void;

  constructor(access: RandomAccess, onTrouble: (reason: unknown) => void) {
    super();
    this.#access = access;
    this.#onTrouble = onTrouble;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    resume: (error: Error | null) => void,
  ): void {
    readSpan(this.#access, position, position + length)
      .then((bytes) => {
        buffer.set(bytes, offset);
        resume(null);
      })
      .catch(this.#onTrouble);
  }
}
