import { IntegrityError, StorageError } from '../../core/errors.ts';
import type { DataFile } from './data-file.ts';
import { samePrefix } from './data-file.ts';
import type { Fill } from './fills.ts';
import { HELD_BACK_BYTES, passThrough } from './pass-through.ts';

/** Largest piece that is read at once. */
const PIECE_BYTES = 256 * 1024;

/** A byte range, `end` exclusive; `null` means to the end of the file. */
export interface ReadRange {
  readonly start: number;
  readonly end: number | null;
}

/** A reader whose first byte may leave: everything known that a response's head needs. */
export interface OpenedFill {
  /** Length of the whole file; `null` when the upstream did not say and the end is not reached yet. */
  readonly totalBytes: number | null;
  /** The bytes. Throws where the client must see a broken connection; never ends early otherwise. */
  readonly body: AsyncGenerator<Uint8Array, void, void>;
}

/**
 * Attaches to a fill. Resolves once the first byte may leave (so small files that turn out wrong fail
 * before any head is sent).
 *
 * @throws what ended the fill, when that happens before the first byte.
 */
export async function openFill(
  fill: Fill,
  range: ReadRange,
  options: { readonly signal: AbortSignal; readonly holdAll?: boolean },
): Promise<OpenedFill> {
  const body = readFill(fill, range, options);
  const first = await body.next();
  return {
    totalBytes: fill.progress.totalBytes,
    body: first.done === true ? empty() : prepend(first.value, body),
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
  options: { readonly signal: AbortSignal; readonly holdAll?: boolean },
): AsyncGenerator<Uint8Array, void, void> {
  const { progress } = fill;
  let file: DataFile | null = null;
  let position = range.start;
  try {
    for (;;) {
      options.signal.throwIfAborted();
      const shown = progress.file;
      if (shown !== null && shown !== file) {
        if (file === null || position === range.start) {
          file?.release();
          file = shown.hold();
        } else if (shown.sizeBytes >= position) {
          shown.hold();
          const isSame = await samePrefix(file, shown, position);
          file.release();
          file = shown;
          if (!isSame) throw new IntegrityError(`${fill.request.filename} was sent wrong in part.`);
        }
      }
      const limit =
        file === null ? 0 : readableEnd(file, progress.totalBytes, range, options.holdAll === true);
      if (file !== null && position < limit) {
        const piece = await file.read(position, Math.min(PIECE_BYTES, limit - position));
        if (piece.length === 0)
          throw new StorageError(`${fill.request.filename} was cut short on the disk.`);
        position += piece.length;
        yield piece;
      } else if (file?.state === 'verified') {
        return;
      } else if (progress.failure !== null) {
        const { error } = progress.failure;
        if (!(error instanceof StorageError)) throw error;
        // The disk cannot take the file: this reader gets it past the disk.
        yield* passThrough(
          fill.request,
          { start: range.start, end: range.end, sent: position - range.start, sentFile: file },
          options.signal,
        );
        return;
      } else {
        await progress.changed(options.signal);
      }
    }
  } finally {
    file?.release();
  }
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

async function* prepend(
  first: Uint8Array,
  rest: AsyncGenerator<Uint8Array, void, void>,
): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield first;
    yield* rest;
  } finally {
    await rest.return();
  }
}

async function* empty(): AsyncGenerator<Uint8Array, void, void> {}
