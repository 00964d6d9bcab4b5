import {
  IntegrityError,
  InvalidUpstreamAnswerError,
  UpstreamUnavailableError,
  UpstreamUnreachableError,
  messageOf,
} from '../../core/errors.ts';
import { backoffMs, sleep } from '../../core/sleep.ts';
import type { FillRequest, SourceAnswer } from './byte-source.ts';
import { checkRoom } from './disk-room.ts';
import { storing } from './fill-body.ts';
import type { FillBody } from './fill-body.ts';
import type { FillEnvironment } from './fill-environment.ts';
import { PieceWriter } from './piece-writer.ts';
import type { FillProgress } from './progress.ts';

/** Only so much progress makes up for earlier breaks: an upstream that always halves would be asked for ever. */
const REAL_PROGRESS_BYTES = 256 * 1024;
const MOST_ROUNDS = 100;
/**
 * Before the first byte, no request begins later than this: installers wait 15 s for one, and an honest
 * 503 while they listen lets them come back.
 */
const FIRST_BYTE_WITHIN_MS = 8_000;
/** While the length is unknown, the free space is looked at after so many bytes. */
const LOOK_FOR_ROOM_BYTES = 32 * 1024 * 1024;

/** One reception: the owner's bytes, and what they are received for and by. */
export interface Reception {
  readonly env: FillEnvironment;
  readonly request: FillRequest;
  readonly body: FillBody;
  readonly progress: FillProgress;
  readonly signal: AbortSignal;
  /** Called when the upstream told the length or the validator, or begins to send. */
  readonly onLearned: () => void;
}

/** What one reception remembers between its requests. */
interface Course {
  /** Where a body without announced length ended properly. */
  cleanEndAt: number | null;
  lookedForRoomAt: number;
}

/**
 * Receives until all bytes are here: resumes by Range after a break, waits a little longer each time,
 * and gives up after too many breaks without real progress.
 *
 * @throws UpstreamUnavailableError, UpstreamUnreachableError, InvalidUpstreamAnswerError, NotFoundError as
 *   the source does; IntegrityError when the bytes cannot be the listed file; StorageError
 */
export async function receive(reception: Reception): Promise<void> {
  const { body, env, request, signal } = reception;
  const course: Course = { cleanEndAt: null, lookedForRoomAt: 0 };
  const startedAt = env.clock.monotonic();
  let breaks = 0;
  let sinceProgress = body.position;
  for (let round = 0; !body.isComplete; round++) {
    try {
      await receiveOnce(reception, course);
    } catch (error) {
      if (signal.aborted) throw error;
      if (body.position - sinceProgress >= REAL_PROGRESS_BYTES) {
        breaks = 0;
        sinceProgress = body.position;
      }
      const isLate =
        body.position === 0 && env.clock.monotonic() - startedAt >= FIRST_BYTE_WITHIN_MS;
      const mayRetry = isPassing(error, body.position > 0) && !isLate;
      if (!mayRetry || ++breaks > env.retries || round >= MOST_ROUNDS) throw error;
      env.log.debug('fill resumes after a break', {
        filename: request.filename,
        positionBytes: body.position,
        reason: messageOf(error),
      });
      await sleep(backoffMs(breaks - 1, 100, 2_000), signal);
    }
  }
}

function isPassing(error: unknown, hasBegun: boolean): boolean {
  if (error instanceof UpstreamUnreachableError) return hasBegun;
  if (error instanceof UpstreamUnavailableError) return true;
  // What answered with a body a moment ago may answer with nonsense while it restarts.
  return error instanceof InvalidUpstreamAnswerError && hasBegun;
}

/** One request: until the end of the file, or an error. */
async function receiveOnce(reception: Reception, course: Course): Promise<void> {
  const { body, request, signal } = reception;
  if (body.totalBytes !== null && body.position > body.totalBytes) {
    throw new IntegrityError(`What is left of ${request.filename} is longer than the file.`);
  }
  if (body.totalBytes !== null && body.position === body.totalBytes && body.position > 0) {
    body.isComplete = true;
    return;
  }
  const from = resumeFrom(body);
  const answer = await request.source.open({
    offset: from,
    ...(from > 0 && body.etag !== null ? { ifRange: body.etag } : {}),
    signal,
  });
  try {
    if (answer.kind === 'beyond-end') return acceptEnd(reception);
    if (answer.kind === 'part') checkPart(reception, answer, from);
    await learn(reception, answer);
    await store(reception, course, answer, answer.kind === 'whole' ? 0 : from);
  } finally {
    answer.cancel();
  }
  noteCleanEnd(reception, course);
}

/**
 * Without a digest to judge by and without a validator to ask by, nothing would show that the rest
 * belongs to another file: everything is asked for again and compared.
 */
function resumeFrom(body: FillBody): number {
  return body.verifier.hasDigest || body.etag !== null ? body.position : 0;
}

function checkPart({ body, request }: Reception, answer: SourceAnswer, from: number): void {
  if (answer.offset !== from) {
    throw new InvalidUpstreamAnswerError(
      `Asked for bytes from ${from}, the upstream sent them from ${answer.offset}.`,
    );
  }
  // A server that does not know If-Range sends parts of what is there now.
  if (body.etag !== null && answer.etag !== null && answer.etag !== body.etag) {
    throw changed(request);
  }
}

function changed(request: FillRequest): IntegrityError {
  return new IntegrityError(`${request.filename} changed at the upstream while it was fetched.`);
}

async function learn(reception: Reception, answer: SourceAnswer): Promise<void> {
  const { body, env, progress, request } = reception;
  const { totalBytes } = answer;
  const expected = request.sizeBytes ?? body.totalBytes;
  if (totalBytes !== null && expected !== null && totalBytes !== expected) {
    throw new IntegrityError(
      `${request.filename} is listed with ${expected} bytes, the upstream offers ${totalBytes}.`,
    );
  }
  if (totalBytes !== null && expected === null && totalBytes > request.maxBytes) {
    throw new InvalidUpstreamAnswerError(
      `${request.filename} has ${totalBytes} bytes; at most ${request.maxBytes} are taken.`,
    );
  }
  const isNews = body.totalBytes === null && totalBytes !== null;
  const isOtherEtag = body.etag !== answer.etag;
  body.totalBytes ??= totalBytes;
  body.etag = answer.etag;
  progress.setTotal(body.totalBytes);
  await storing(request.filename, () => {
    if (isNews) checkRoom(env, request, (totalBytes ?? 0) - body.position);
    if (isNews || isOtherEtag || body.position === 0) reception.onLearned();
  });
}

async function store(
  reception: Reception,
  course: Course,
  answer: SourceAnswer,
  start: number,
): Promise<void> {
  const { body, request, signal } = reception;
  const most = body.totalBytes ?? request.maxBytes;
  let at = start;
  // What is here already is only compared, so the first piece that is written goes to its end.
  const writer = new PieceWriter(body.handle, body.position, (position, pieces) =>
    show(reception, position, pieces),
  );
  try {
    for await (const chunk of answer.body) {
      let bytes = chunk;
      if (at < body.position) {
        // A whole answer to a resumed request: what is here already must be the same.
        const known = bytes.subarray(0, body.position - at);
        if (!(await body.file.read(at, known.length)).equals(known)) throw changed(request);
        at += known.length;
        bytes = bytes.subarray(known.length);
      }
      if (bytes.length === 0) continue;
      if (signal.aborted) throw new UpstreamUnavailableError('The fill was stopped.');
      if (at + bytes.length > most) {
        throw new IntegrityError(
          `${request.filename} is longer than the ${most} bytes that were announced.`,
        );
      }
      lookForRoom(reception, course);
      body.verifier.update(bytes);
      const piece = bytes;
      await storing(request.filename, () => writer.add(piece));
      at += bytes.length;
    }
  } finally {
    // What was digested is part of the file, also when the answer has broken.
    await storing(request.filename, () => writer.finish());
  }
  if (at < body.position) {
    throw new UpstreamUnavailableError(
      `The body ended after ${at} of ${body.position} known bytes.`,
    );
  }
}

/** Tells readers what is written. */
function show(
  { body, progress }: Reception,
  position: number,
  pieces: readonly Uint8Array[],
): void {
  body.file.recent.add(body.position, pieces);
  body.position = position;
  body.file.advance(position);
  progress.grown(position);
}

function lookForRoom({ body, env, request }: Reception, course: Course): void {
  if (body.totalBytes !== null) return;
  if (body.position - course.lookedForRoomAt < LOOK_FOR_ROOM_BYTES) return;
  course.lookedForRoomAt = body.position;
  checkRoom(env, request, LOOK_FOR_ROOM_BYTES);
}

/** The body ended without an error: the end of the file, or a cut that looks like one. */
function noteCleanEnd({ body }: Reception, course: Course): void {
  const { position, totalBytes } = body;
  if (totalBytes !== null) {
    if (position < totalBytes) {
      throw new UpstreamUnavailableError(
        `The body ended after ${position} of ${totalBytes} bytes.`,
      );
    }
  } else if (
    body.verifier.hasDigest &&
    !body.verifier.matchesSoFar() &&
    course.cleanEndAt !== position
  ) {
    // Ask once for what may follow: 416, or the same end again, says that this was all.
    course.cleanEndAt = position;
    throw new UpstreamUnavailableError(
      `The body ended after ${position} bytes, which are not the listed file.`,
    );
  }
  body.isComplete = true;
}

function acceptEnd({ body, request }: Reception): void {
  if (body.totalBytes !== null && body.position !== body.totalBytes) {
    throw new InvalidUpstreamAnswerError(
      `The upstream says that ${request.filename} ends before byte ${body.position} of ${body.totalBytes}.`,
    );
  }
  body.isComplete = true;
}
