/**
 * Opens files. Nothing is tried again here: whoever fills the store knows how far it has come, and
 * resumes from there.
 */
import type { Clock } from '../core/clock.ts';
import {
  InvalidUpstreamAnswerError,
  NotFoundError,
  UpstreamUnavailableError,
} from '../core/errors.ts';
import { redact } from '../core/redact.ts';
import type { FileAnswer, FileFacts, OpenFileOptions, SmallAnswer } from './answers.ts';
import type { Ask, Reply } from './asking.ts';
import { contentLengthOf, strongEtagOf } from './cache-headers.ts';
import { checkedRange, lengthBeyondEnd, rangeHeaderFor } from './content-range.ts';
import { ACCEPTED_CODINGS, readDecoded } from './decoded-body.ts';
import { isAbsent, statusFailure } from './statuses.ts';

/** How files are asked for. */
export interface FileClientOptions {
  readonly ask: Ask;
  readonly clock: Clock;
  /** See DecodingOptions. */
  readonly maxExpansion: number;
  readonly onReceived: (bytes: number) => void;
  /** Called when a body breaks after its answer was handed over. */
  readonly onFailure: (error: unknown) => void;
}

/** What may be asked of a small document. */
export interface FetchSmallOptions {
  /** Cap on the decoded length. */
  readonly maxBytes: number;
  readonly accept?: string;
  readonly signal?: AbortSignal;
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  // The body of a 416 is text for people.
}

/** Opens the files of one upstream. */
export class FileClient {
  readonly #options: FileClientOptions;

  constructor(options: FileClientOptions) {
    this.#options = options;
  }

  /** See {@link FileAnswer}. Throws NotFoundError on 404, 410 and 451. */
  async open(url: URL, options: OpenFileOptions): Promise<FileAnswer> {
    const headers: Record<string, string> = { accept: '*/*', 'accept-encoding': 'identity' };
    const range = rangeHeaderFor(options);
    if (range !== undefined) headers['range'] = range;
    if (range !== undefined && options.ifRange !== undefined) headers['if-range'] = options.ifRange;
    const { signal } = options;
    const reply = await this.#options.ask({ method: 'GET', url, headers, signal });
    if (reply.status === 200) return this.#whole(reply);
    if (reply.status === 206 && range !== undefined) return this.#part(reply, options);
    if (reply.status === 416 && range !== undefined) return this.#beyondEnd(reply);
    throw this.#failure(reply);
  }

  /** What a HEAD request tells. An upstream that does not know HEAD tells nothing. */
  async head(url: URL, signal: AbortSignal | undefined): Promise<FileFacts> {
    const headers = { accept: '*/*', 'accept-encoding': 'identity' };
    const reply = await this.#options.ask({ method: 'HEAD', url, headers, signal });
    if (reply.status === 405 || reply.status === 501) {
      reply.discard();
      return { totalBytes: null, etag: null, acceptsRanges: false };
    }
    if (reply.status !== 200) throw this.#failure(reply);
    reply.discard();
    return {
      totalBytes: contentLengthOf(reply.headers),
      etag: strongEtagOf(reply.headers),
      acceptsRanges: /\bbytes\b/i.test(reply.headers['accept-ranges'] ?? ''),
    };
  }

  /** A small document, in memory. */
  async small(url: URL, options: FetchSmallOptions): Promise<SmallAnswer> {
    const headers = { accept: options.accept ?? '*/*', 'accept-encoding': ACCEPTED_CODINGS };
    const { signal } = options;
    const reply = await this.#options.ask({ method: 'GET', url, headers, signal });
    const contentType = reply.headers['content-type'] ?? '';
    if (isAbsent(reply.status)) {
      reply.discard();
      return { status: 404, body: new Uint8Array(), contentType };
    }
    if (reply.status !== 200) throw statusFailure(reply, this.#options.clock);
    try {
      const body = await readDecoded(reply.body, {
        coding: reply.headers['content-encoding'],
        maxBytes: options.maxBytes,
        maxExpansion: this.#options.maxExpansion,
        url: redact(reply.url),
        onReceived: this.#options.onReceived,
      });
      return { status: 200, body, contentType };
    } catch (error) {
      reply.cancel();
      throw error;
    }
  }

  #failure(reply: Reply): Error {
    if (!isAbsent(reply.status)) return statusFailure(reply, this.#options.clock);
    reply.discard();
    return new NotFoundError(`${redact(reply.url)} is not there (${reply.status}).`);
  }

  #whole(reply: Reply): FileAnswer {
    const totalBytes = contentLengthOf(reply.headers);
    return this.#answer(reply, { kind: 'whole', offset: 0, totalBytes, expectedBytes: totalBytes });
  }

  #part(reply: Reply, options: OpenFileOptions): FileAnswer {
    try {
      const url = redact(reply.url);
      const range = checkedRange(reply.headers['content-range'], options, url);
      const expectedBytes = range.last - range.first + 1;
      const announced = contentLengthOf(reply.headers);
      if (announced !== null && announced !== expectedBytes) {
        throw new InvalidUpstreamAnswerError(
          `${url} announces ${announced} bytes for a part of ${expectedBytes}.`,
        );
      }
      const { first: offset, total: totalBytes } = range;
      return this.#answer(reply, { kind: 'part', offset, totalBytes, expectedBytes });
    } catch (error) {
      reply.cancel();
      throw error;
    }
  }

  #beyondEnd(reply: Reply): FileAnswer {
    reply.discard();
    const totalBytes = lengthBeyondEnd(reply.headers['content-range']);
    return {
      kind: 'beyond-end',
      offset: totalBytes ?? 0,
      totalBytes,
      etag: strongEtagOf(reply.headers),
      lastModified: null,
      body: nothing(),
      cancel: () => {},
    };
  }

  #answer(
    reply: Reply,
    part: Pick<FileAnswer, 'kind' | 'offset' | 'totalBytes'> & {
      readonly expectedBytes: number | null;
    },
  ): FileAnswer {
    const { expectedBytes, ...told } = part;
    return {
      ...told,
      etag: strongEtagOf(reply.headers),
      lastModified: reply.headers['last-modified'] ?? null,
      body: this.#counted(reply, expectedBytes),
      cancel: () => reply.cancel(),
    };
  }

  /** The body, held to the length that was announced. */
  async *#counted(reply: Reply, expectedBytes: number | null): AsyncGenerator<Uint8Array> {
    const { onReceived, onFailure } = this.#options;
    let received = 0;
    try {
      for await (const chunk of reply.body) {
        received += chunk.length;
        onReceived(chunk.length);
        if (expectedBytes !== null && received > expectedBytes) {
          throw new InvalidUpstreamAnswerError(
            `${redact(reply.url)} sends more than the ${expectedBytes} bytes it announced.`,
          );
        }
        yield chunk;
      }
      if (expectedBytes !== null && received < expectedBytes) {
        throw new UpstreamUnavailableError(
          `${redact(reply.url)} ended after ${received} of ${expectedBytes} bytes.`,
        );
      }
    } catch (error) {
      onFailure(error);
      throw error;
    }
  }
}
