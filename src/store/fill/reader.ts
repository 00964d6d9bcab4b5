import { IntegrityError, StorageError } from '../../core/errors.ts';
import type { DataFile } from './data-file.ts';
import { sameBytes } from './data-file.ts';
import type { Fill } from './fills.ts';
import { HELD_BACK_BYTES, passThrough } from './pass-through.ts';

/** Largest piece that is read at once. */
const PIECE_BYTES = 256 * 1024;

/** A byte range, `end` exclusive; `null` means to the end of the file. */
export interface ReadRange {
  readonly start: number;
  readonly end: number | null;
}

/** How a fill is read. */
export interface ReadOptions {
  /** The client has left: the reader lets go of everything. */
  readonly signal: AbortSignal;
  /** Nothing leaves before the verdict, for clients that could not see a broken connection. */
  readonly holdAll?: boolean;
}

/** A reader whose first byte may leave: everything known that a response's head needs. */
export interface OpenedFill {
  /** Length of the whole file; `null` when the upstream did not say and the end is not reached yet. */
  readonly totalBytes: number | null;
  /** The bytes. Throws where the client must see a broken connection; never ends early otherwise. */
  readonly body: AsyncGenerator<Uint8Array, void, void>;
}

/** What was told to the client about the length; set once its head may leave. */
interface Promised {
  totalBytes: number | null;
}

/**
 * Attaches to a fill. Resolves once the first byte may leave (so small files that turn out wrong fail
 * before any head is sent). Call it in the same tick that gave the fill: a fill that is over is dropped.
 *
 * @throws what ended the fill, when that happens before the first byte.
 */
export async function openFill(
  fill: Fill,
  range: ReadRange,
  options: ReadOptions,
): Promise<OpenedFill> {
  const { progress } = fill;
  const promised: Promised = { totalBytes: null };
  progress.join();
  const body = readFill(fill, range, options, promised);
  const first = await body.next();
  promised.totalBytes = progress.totalBytes;
  // A client that leaves before it has read a byte: nobody would end the generator.
  const end = (): void => void body.return().catch(() => {});
  if (options.signal.aborted) end();
  else options.signal.addEventListener('abort', end, { once: true });
  return {
    totalBytes: promised.totalBytes,
    body: first.done === true ? body : resumed(first.value, body),
  };
}

/**
 * The bytes of a fill, as they may leave. A reader may move from one data file to another only after
 * comparing all bytes that it has sent; when they differ, it ends with an error, and its client sees a
 * broken connection instead of a file made of two.
 */
async function* readFill(
  fill: Fill,
  range: ReadRange,
  options: ReadOptions,
  promised: Promised,
): AsyncGenerator<Uint8Array, void, void> {
  const { progress, request } = fill;
  const { signal, holdAll = false } = options;
  let file: DataFile | null = null;
  let position = range.start;
  try {
    for (;;) {
      signal.throwIfAborted();
      const shown = progress.file;
      if (shown !== null && shown !== file && mayFollow(shown, file, position, range)) {
        const before: DataFile | null = file;
        file = shown.hold();
        await leaveBehind(before, file, range.start, position, request.filename);
      }
      const limit = file === null ? 0 : readableEnd(file, progress.totalBytes, range, holdAll);
      if (file !== null && position < limit) {
        const length = Math.min(PIECE_BYTES, limit - position);
        const piece = file.recent.take(position, length) ?? (await file.read(position, length));
        if (piece.length === 0)
          throw new StorageError(`${request.filename} was cut short on the disk.`);
        position += piece.length;
        yield piece;
      } else if (range.end !== null && position >= range.end) {
        return;
      } else if (file?.state === 'verified') {
        checkLength(file, range, promised, request.filename);
        return;
      } else if (progress.failure !== null) {
        const { error } = progress.failure;
        if (!(error instanceof StorageError) || holdAll) throw error;
        // The disk cannot take the file: this reader gets it past the disk.
        const sent = { ...range, sent: position - range.start, sentFile: file };
        yield* passThrough(request, sent, signal);
        return;
      } else {
        await progress.changed(signal);
      }
    }
  } finally {
    file?.release();
    progress.leave();
  }
}

/**
 * Whether the reader can turn to the file that is shown now: it must hold all that was sent, or be the
 * last word.
 */
function mayFollow(
  shown: DataFile,
  present: DataFile | null,
  position: number,
  range: ReadRange,
): boolean {
  if (present === null || position === range.start) return true;
  return shown.sizeBytes >= position || shown.state === 'verified';
}

/** Lets go of the file that was read before. @throws IntegrityError when its sent bytes were others. */
async function leaveBehind(
  before: DataFile | null,
  now: DataFile,
  start: number,
  position: number,
  filename: string,
): Promise<void> {
  if (before === null) return;
  try {
    if (await sameBytes(before, now, start, position)) return;
  } finally {
    before.release();
  }
  throw new IntegrityError(`${filename} was sent wrong in part.`);
}

/** The head of the answer has named a length: another one must not pass for a whole body. */
function checkLength(file: DataFile, range: ReadRange, promised: Promised, filename: string): void {
  const told = promised.totalBytes;
  if (range.end === null && (told === null || told === file.sizeBytes)) return;
  throw new IntegrityError(
    `${filename} has ${file.sizeBytes} bytes, not the ${told ?? range.end} it was said to have.`,
  );
}

/** Up to where bytes may leave now. */
function readableEnd(
  file: DataFile,
  totalBytes: number | null,
  range: ReadRange,
  holdAll: boolean,
): number {
  if (file.state === 'verified') return Math.min(range.end ?? Infinity, file.sizeBytes);
  if (holdAll || file.state === 'dead') return 0;
  const free = (totalBytes ?? file.sizeBytes) - HELD_BACK_BYTES;
  return Math.min(range.end ?? Infinity, file.sizeBytes, free);
}

/**
 * `first`, and then the rest. Not a generator: `return` of one that was never begun does nothing, and
 * the rest would keep its descriptor.
 */
function resumed(
  first: Uint8Array,
  rest: AsyncGenerator<Uint8Array, void, void>,
): AsyncGenerator<Uint8Array, void, void> {
  let pending: Uint8Array | undefined = first;
  const body: Omit<typeof rest, typeof Symbol.asyncDispose> = {
    next: async () => {
      if (pending === undefined) return await rest.next();
      const value = pending;
      pending = undefined;
      return { value, done: false };
    },
    return: (value) => rest.return(value),
    throw: (error) => rest.throw(error),
    [Symbol.asyncIterator]: () => body as typeof rest,
  };
  return body as typeof rest;
}
