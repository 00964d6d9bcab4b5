import type { Clock } from '../core/clock.ts';
import { InvalidUpstreamAnswerError, UpstreamUnavailableError } from '../core/errors.ts';
import { redact } from '../core/redact.ts';
import type { Reply } from './asking.ts';
import { retryAfterSeconds } from './cache-headers.ts';

/** The upstream is there, and says itself when to come back (`Retry-After`). */
export class PauseAskedError extends UpstreamUnavailableError {}

/** Statuses by which an upstream says for certain that something is not there. */
export function isAbsent(status: number): boolean {
  return status === 404 || status === 410 || status === 451;
}

/** Too many requests, or the server's own trouble: worth another try. */
const isTemporary = (status: number): boolean =>
  status >= 500 || status === 408 || status === 425 || status === 429;

/**
 * The error for an answer that is neither what was asked for nor "not there". Gives the answer up.
 * 401, 403 and 407 are invalid answers: a client that saw them would send its own password, or stop
 * its search (uv, at 403).
 */
export function statusFailure(
  reply: Reply,
  clock: Clock,
): UpstreamUnavailableError | InvalidUpstreamAnswerError {
  reply.discard();
  const { status } = reply;
  const message = `${redact(reply.url)} answered ${status}.`;
  if (isTemporary(status)) {
    const seconds = retryAfterSeconds(reply.headers, clock);
    return seconds === undefined
      ? new UpstreamUnavailableError(message)
      : new PauseAskedError(message, { retryAfterSeconds: seconds });
  }
  if (status === 401 || status === 403 || status === 407) {
    return new InvalidUpstreamAnswerError(message, {
      hint: 'Check the user and password of this upstream, in its configuration or in netrc.',
    });
  }
  return new InvalidUpstreamAnswerError(message);
}
