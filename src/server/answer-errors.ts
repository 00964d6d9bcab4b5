import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  BusyError,
  IntegrityError,
  InvalidUpstreamAnswerError,
  NotAcceptableError,
  NotFoundError,
  NotHeldOfflineError,
  RangeNotSatisfiableError,
  RefusedError,
  StorageError,
  UpstreamUnavailableError,
  WheelcellarError,
  messageOf,
} from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';

/** HTTP status of an error: the only place where classes become statuses. */
function statusOf(error: unknown): number {
  if (error instanceof NotFoundError || error instanceof NotHeldOfflineError) return 404;
  if (error instanceof RefusedError) return 403;
  if (error instanceof NotAcceptableError) return 406;
  if (error instanceof RangeNotSatisfiableError) return 416;
  if (error instanceof UpstreamUnavailableError || error instanceof BusyError) return 503;
  if (error instanceof InvalidUpstreamAnswerError || error instanceof IntegrityError) return 502;
  return 500;
}

/** May be set before the failure; on the error they would be lies, and `immutable` ones at that. */
const DESCRIBES_THE_GOOD_ANSWER = [
  'Cache-Control',
  'Cache-Status',
  'Content-Encoding',
  'Content-Range',
  'Content-Security-Policy',
  'ETag',
  'X-PyPI-Last-Serial',
];

/**
 * Answers with the error, as plain text: what happened and what to do. After the head was sent there is
 * only one honest way left, a broken connection.
 */
export function answerError(
  error: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  log: Logger,
): void {
  if (response.destroyed) return;
  const status = statusOf(error);
  if (response.headersSent) {
    log.warn('transfer broken off', { url: request.url, reason: messageOf(error) });
    response.destroy();
    return;
  }
  if (status >= 500) {
    log.warn('request failed', { url: request.url, status, reason: messageOf(error) });
    if (!(error instanceof WheelcellarError))
      log.error('unexpected error', { error: (error as Error).stack });
  }
  for (const name of DESCRIBES_THE_GOOD_ANSWER) response.removeHeader(name);
  if (error instanceof UpstreamUnavailableError) {
    response.setHeader('Retry-After', Math.max(1, Math.ceil(error.retryAfterSeconds)));
  } else if (status === 503) response.setHeader('Retry-After', 1);
  if (error instanceof RangeNotSatisfiableError)
    response.setHeader('Content-Range', `bytes */${error.sizeBytes}`);
  answerText(request, response, status, textOf(error));
}

/** A short answer in plain text, never to be taken for anything else. */
export function answerText(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  text: string,
): void {
  const body = Buffer.from(`${text}\n`);
  response.statusCode = status;
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  if (!response.hasHeader('Cache-Control')) response.setHeader('Cache-Control', 'no-store');
  response.setHeader('Content-Length', body.length);
  response.end(request.method === 'HEAD' ? undefined : body);
}

function textOf(error: unknown): string {
  // What is not ours may hold paths or worse.
  if (!(error instanceof WheelcellarError))
    return 'Something went wrong inside Wheelcellar; its log says more.';
  if (error instanceof StorageError)
    return 'The cache folder cannot be used now; the log of Wheelcellar says more.';
  return error.hint === undefined ? error.message : `${error.message}\n${error.hint}`;
}
