import { IntegrityError, UpstreamUnavailableError } from '../../core/errors.ts';
import { backoffMs, sleep } from '../../core/sleep.ts';
import type { FillRequest, SourceAnswer } from './byte-source.ts';
import type { DataFile } from './data-file.ts';
import { Verifier } from './verifier.ts';

/** The last bytes of a file wait until its digest is known; everything before may leave. */
export const HELD_BACK_BYTES: number = 64 * 1024;

/** Breaks that are healed before the client sees one. */
const MOST_BREAKS = 3;

/** What a reader has sent already when it turns to the upstream, and where those bytes can be read again. */
export interface PassThroughPosition {
  readonly start: number;
  /** Exclusive; `null` to the end. */
  readonly end: number | null;
  /** Bytes sent so far, from `start` on. */
  readonly sent: number;
  readonly sentFile: DataFile | null;
}

/**
 * The file straight from the upstream, for when the disk cannot take it: digested whole and held back
 * at the end like any other, only not kept. Each reader has its own upstream request. Bytes that were sent
 * from the disk before are compared.
 *
 * @throws IntegrityError before the tail leaves, when the digest does not hold.
 */
export async function* passThrough(
  request: FillRequest,
  position: PassThroughPosition,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const verifier = new Verifier(request.hashes);
  const from = position.start + position.sent;
  const end = position.end ?? Infinity;
  const tail: Uint8Array[] = [];
  let tailBytes = 0;
  let at = 0;
  for await (const chunk of wholeBody(request, signal)) {
    verifier.update(chunk);
    const chunkStart = at;
    at += chunk.length;
    if (chunkStart < from && position.sentFile !== null)
      await compareSent(request, position, chunk, chunkStart);
    const useful = chunk.subarray(
      Math.max(0, Math.min(chunk.length, from - chunkStart)),
      Math.max(0, Math.min(chunk.length, end - chunkStart)),
    );
    if (useful.length > 0) {
      tail.push(useful);
      tailBytes += useful.length;
    }
    while (tailBytes - (tail[0]?.length ?? 0) >= HELD_BACK_BYTES) {
      const [oldest] = tail.splice(0, 1);
      if (oldest === undefined) break;
      tailBytes -= oldest.length;
      yield oldest;
    }
  }
  const mismatch = verifier.mismatch();
  if (mismatch !== null) throw new IntegrityError(`${request.filename}: its ${mismatch}.`);
  if (request.sizeBytes !== null && request.sizeBytes !== at) {
    throw new IntegrityError(
      `${request.filename} has ${at} bytes, but the index lists ${request.sizeBytes}.`,
    );
  }
  yield* tail;
}

async function compareSent(
  request: FillRequest,
  position: PassThroughPosition,
  chunk: Uint8Array,
  chunkStart: number,
): Promise<void> {
  const first = Math.max(position.start, chunkStart);
  const last = Math.min(position.start + position.sent, chunkStart + chunk.length);
  if (last <= first || position.sentFile === null) return;
  const sent = await position.sentFile.read(first, last - first);
  if (!sent.equals(chunk.subarray(first - chunkStart, last - chunkStart))) {
    throw new IntegrityError(`${request.filename} was sent wrong in part.`);
  }
}

/** The whole body, healed by ranges when the connection breaks. */
async function* wholeBody(
  request: FillRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const state: PassedOn = { at: 0, etag: null, totalBytes: request.sizeBytes };
  for (let breaks = 0; ; breaks++) {
    try {
      yield* fromHere(request, state, signal);
      return;
    } catch (error) {
      if (!(error instanceof UpstreamUnavailableError) || breaks >= MOST_BREAKS) throw error;
      if (!canBeResumed(request, state)) throw error;
      await sleep(backoffMs(breaks, 100, 1_000), signal);
      signal.throwIfAborted();
    }
  }
}

interface PassedOn {
  at: number;
  etag: string | null;
  totalBytes: number | null;
}

/** Without a digest and without a validator nothing would show that the rest belongs to another file. */
function canBeResumed(request: FillRequest, state: PassedOn): boolean {
  return state.at === 0 || state.etag !== null || new Verifier(request.hashes).hasDigest;
}

/** One request, from where the last one broke. */
async function* fromHere(
  request: FillRequest,
  state: PassedOn,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const answer: SourceAnswer = await request.source.open({
    offset: state.at,
    ...(state.at > 0 && state.etag !== null ? { ifRange: state.etag } : {}),
    signal,
  });
  try {
    if (answer.kind === 'beyond-end') return;
    if (answer.kind === 'whole' && state.at > 0) {
      throw new IntegrityError(`${request.filename} cannot be resumed at the upstream.`);
    }
    state.etag = answer.etag;
    state.totalBytes ??= answer.totalBytes;
    for await (const chunk of answer.body) {
      state.at += chunk.length;
      if (state.at > (state.totalBytes ?? request.maxBytes)) {
        throw new IntegrityError(`${request.filename} is longer than announced.`);
      }
      yield chunk;
    }
  } finally {
    answer.cancel();
  }
  if (state.totalBytes !== null && state.at < state.totalBytes) {
    throw new UpstreamUnavailableError(`${request.filename} ended after ${state.at} bytes.`);
  }
}
