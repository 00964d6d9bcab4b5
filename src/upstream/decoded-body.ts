import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress, createGunzip } from 'node:zlib';
import type { Transform } from 'node:stream';
import { codeOf, InvalidUpstreamAnswerError, UpstreamUnavailableError } from '../core/errors.ts';

/** What we tell upstreams that we can decode. */
export const ACCEPTED_CODINGS = 'gzip, br';

/** Below this, even a page of nothing but spaces is no bomb. */
const RATIO_FREE_BYTES = 1024 * 1024;

/** How far a content-coding may expand what was received. */
export interface DecodingOptions {
  /** `Content-Encoding` as sent. */
  readonly coding: string | undefined;
  /** Cap on the decoded length, and on the length on the wire. */
  readonly maxBytes: number;
  /** Times the length on the wire that the decoded length may be; real pages compress 3 to 7 times. */
  readonly maxExpansion: number;
  /** Named in errors. */
  readonly url: string;
  /** Called with the length of each piece from the wire. */
  readonly onReceived: (bytes: number) => void;
  /** Called with each decoded piece. */
  readonly onDecoded?: (piece: Uint8Array) => void;
}

function decoderFor(options: DecodingOptions): Transform | undefined {
  const coding = (options.coding ?? '').trim().toLowerCase();
  if (coding === '' || coding === 'identity') return undefined;
  if (coding === 'gzip' || coding === 'x-gzip') return createGunzip();
  if (coding === 'br') return createBrotliDecompress();
  throw new InvalidUpstreamAnswerError(
    `${options.url} is encoded as ${JSON.stringify(coding.slice(0, 60))}, which was not asked for.`,
  );
}

function decodingFailure(thrown: unknown, url: string): unknown {
  const code = codeOf(thrown) ?? '';
  // The compressed stream ends too early: the same as any other cut, worth another try.
  if (code === 'Z_BUF_ERROR') {
    return new UpstreamUnavailableError(`The answer of ${url} was cut.`, { cause: thrown });
  }
  if (/^(?:Z_|ERR__ERROR_|ERR_BROTLI|ERR__)/.test(code)) {
    return new InvalidUpstreamAnswerError(`The answer of ${url} cannot be decoded.`, {
      cause: thrown,
    });
  }
  return thrown;
}

/**
 * The whole body, content-decoded, in memory.
 *
 * @throws InvalidUpstreamAnswerError on a body that is too long, expands too much, or is coded in a
 *   way that was not asked for
 */
export async function readDecoded(
  body: AsyncIterable<Uint8Array>,
  options: DecodingOptions,
): Promise<Uint8Array> {
  const { maxBytes, maxExpansion, url } = options;
  const decoder = decoderFor(options);
  let received = 0;
  let decoded = 0;
  const pieces: Uint8Array[] = [];
  // A pipeline that is broken off reports an abort sometimes, not the error that broke it.
  let refusal: InvalidUpstreamAnswerError | undefined;
  const refuse = (message: string): InvalidUpstreamAnswerError =>
    (refusal ??= new InvalidUpstreamAnswerError(message));
  const tooLong = `${url} is longer than the limit of ${maxBytes} bytes.`;

  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      received += chunk.length;
      options.onReceived(chunk.length);
      if (received > maxBytes) throw refuse(tooLong);
      yield chunk;
    }
  }
  async function collect(source: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of source) {
      decoded += chunk.length;
      if (decoded > maxBytes) throw refuse(tooLong);
      if (decoded > RATIO_FREE_BYTES && decoded > received * maxExpansion) {
        throw refuse(`${url} expands to more than ${maxExpansion} times its length.`);
      }
      options.onDecoded?.(chunk);
      pieces.push(chunk);
    }
  }
  try {
    if (decoder === undefined) await collect(counted());
    else await pipeline(Readable.from(counted()), decoder, collect);
  } catch (error) {
    throw refusal ?? decodingFailure(error, url);
  }
  return Buffer.concat(pieces, decoded);
}
