import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ByteRange, FileSource, ReadableBytes } from '../repository/repository.ts';
import { InvalidUpstreamAnswerError } from '../core/errors.ts';
import type { BufferPool } from './buffer-pool.ts';
import { ifRangeHolds, parseRange } from './byte-ranges.ts';
import { noneMatchFails } from './conditional.ts';
import { streamBytes } from './disk-stream.ts';
import { fileFields } from './file-heads.ts';

/** How a file is sent. */
export interface SendFileOptions {
  /** Aborted when the client has left. */
  readonly signal: AbortSignal;
  /** For held files. */
  readonly buffers: BufferPool;
  /** Tells the front where it finds a held file, in place of the bytes; `null` when there is none. */
  readonly redirect: readonly [name: string, value: string] | null;
}

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
  { signal, buffers, redirect }: SendFileOptions,
): Promise<number> {
  let isOpened = false;
  try {
    for (const [name, value] of fileFields(source)) response.setHeader(name, value);
    if (noneMatchFails(request.headers['if-none-match'], source.etag)) {
      response.statusCode = 304;
      response.end();
      return 0;
    }
    if (redirect !== null && source.origin === 'hit') {
      // The front says so by itself.
      response.removeHeader('Accept-Ranges');
      response.setHeader(...redirect);
      response.setHeader('Content-Length', 0);
      response.end();
      return request.method === 'HEAD' ? 0 : (source.sizeBytes ?? 0);
    }
    if (request.method === 'HEAD') {
      // A Range is defined for GET alone (RFC 9110 §14.2).
      setLength(response, null, source.sizeBytes ?? (await source.learnSize(signal)));
      response.end();
      return 0;
    }
    const range = await wantedRange(request, source, signal);
    const opened = await source.open(range, { signal, holdAll: isBlindToCuts(request, source) });
    isOpened = true;
    if (opened.etag !== null) response.setHeader('ETag', opened.etag);
    setLength(response, range, opened.totalBytes);
    if (opened.bytes !== undefined) {
      const whole = { start: 0, end: opened.totalBytes ?? 0 };
      return await stream(opened.bytes, response, range ?? whole, buffers);
    }
    return await pump(opened.body, response, signal, lengthOf(range, opened.totalBytes));
  } finally {
    if (!isOpened) await source.close();
  }
}

function stream(
  bytes: ReadableBytes,
  response: ServerResponse,
  range: ByteRange,
  buffers: BufferPool,
): Promise<number> {
  return new Promise((resolve, reject) => {
    streamBytes(response, { bytes, range, pool: buffers }, (error, sent) => {
      if (error === null) resolve(sent);
      else reject(error);
    });
  });
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
