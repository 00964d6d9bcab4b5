import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ByteRange, FileSource } from '../repository/repository.ts';
import { InvalidUpstreamAnswerError } from '../core/errors.ts';
import { ifRangeHolds, parseRange } from './byte-ranges.ts';
import { fileCacheStatus } from './cache-status.ts';
import { noneMatchFails } from './conditional.ts';

/** Files never change under their path, but for these (PEP 825 draft). */
const MUTABLE = /-variants\.json$/;

/**
 * Sends a file or a range of it. Nothing is ever content-encoded: installers compare digests of what
 * comes over the wire.
 *
 * @returns the number of body bytes sent
 * @throws before the head was sent: what the source throws; afterwards likewise, and the caller must break the connection
 */
export async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  source: FileSource,
  signal: AbortSignal,
): Promise<number> {
  let isOpened = false;
  try {
    setFileHeaders(response, source);
    if (noneMatchFails(request.headers['if-none-match'], source.etag)) {
      response.statusCode = 304;
      response.end();
      return 0;
    }
    if (request.method === 'HEAD') {
      // A Range is defined for GET alone (RFC 9110 §14.2).
      setLength(response, null, source.sizeBytes ?? (await source.learnSize(signal)));
      response.end();
      return 0;
    }
    const range = await wantedRange(request, source, signal);
    isOpened = true;
    const opened = await source.open(range, { signal, holdAll: isBlindToCuts(request, source) });
    if (opened.etag !== null) response.setHeader('ETag', opened.etag);
    setLength(response, range, opened.totalBytes);
    return await pump(opened.body, response, signal, lengthOf(range, opened.totalBytes));
  } finally {
    if (!isOpened) await source.close();
  }
}

function setFileHeaders(response: ServerResponse, source: FileSource): void {
  const isMutable = MUTABLE.test(source.filename);
  response.setHeader(
    'Cache-Control',
    isMutable ? 'max-age=0, must-revalidate' : 'public, max-age=31536000, immutable',
  );
  response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader(
    'Content-Type',
    source.kind === 'metadata' ? 'text/plain; charset=utf-8' : 'application/octet-stream',
  );
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Cache-Status', fileCacheStatus(source.origin));
  if (source.etag !== null) response.setHeader('ETag', source.etag);
}

async function wantedRange(
  request: IncomingMessage,
  source: FileSource,
  signal: AbortSignal,
): Promise<ByteRange | null> {
  const header = request.headers.range;
  if (
    header === undefined ||
    !ifRangeHolds(request.headers['if-range'] as string | undefined, source.etag)
  )
    return null;
  const sizeBytes = source.sizeBytes ?? (await source.learnSize(signal));
  return sizeBytes === null ? null : parseRange(header, sizeBytes);
}

function setLength(
  response: ServerResponse,
  range: ByteRange | null,
  totalBytes: number | null,
): void {
  if (range !== null) {
    response.statusCode = 206;
    response.setHeader(
      'Content-Range',
      `bytes ${range.start}-${range.end - 1}/${totalBytes ?? '*'}`,
    );
    response.setHeader('Content-Length', range.end - range.start);
  } else {
    response.statusCode = 200;
    if (totalBytes !== null) response.setHeader('Content-Length', totalBytes);
  }
}

/** HTTP/1.0 ends a body of unknown length by closing: a cut looks like the end. */
function isBlindToCuts(request: IncomingMessage, source: FileSource): boolean {
  return request.httpVersion === '1.0' && source.sizeBytes === null;
}

function lengthOf(range: ByteRange | null, totalBytes: number | null): number | null {
  return range === null ? totalBytes : range.end - range.start;
}

/**
 * Writes the body at the client's pace. The body is closed, and with it whatever it reads from, also when
 * the client leaves.
 */
async function pump(
  body: AsyncGenerator<Uint8Array, void, void>,
  response: ServerResponse,
  signal: AbortSignal,
  announced: number | null,
): Promise<number> {
  let sent = 0;
  for await (const piece of body) {
    signal.throwIfAborted();
    sent += piece.length;
    if (announced !== null && sent > announced) throw wrongLength(announced);
    if (!response.write(piece)) await drained(response, signal);
  }
  // Ended here, the client would wait for the rest on a connection that is kept.
  if (announced !== null && sent < announced) throw wrongLength(announced);
  response.end();
  return sent;
}

function wrongLength(announced: number): InvalidUpstreamAnswerError {
  return new InvalidUpstreamAnswerError(`Not the ${announced} bytes came that were announced.`);
}

/** Resolves when the client has taken what was written, or is gone. */
function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const resume = (): void => {
      response.off('drain', resume);
      signal.removeEventListener('abort', resume);
      resolve();
    };
    if (signal.aborted) return resume();
    response.once('drain', resume);
    signal.addEventListener('abort', resume, { once: true });
  });
}
