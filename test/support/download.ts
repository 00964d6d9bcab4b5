import { createHash } from 'node:crypto';
import { Agent, get } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

export interface DownloadOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Leave after so many bytes. */
  readonly quitAfterBytes?: number;
  /** Read no faster than this. */
  readonly bytesPerSecond?: number;
  /** Keeps connections; without one, each download has its own. */
  readonly agent?: Agent;
  /** Hands over the body at its end, complete or not. */
  readonly onBody?: (body: Buffer) => void;
}

/** How one download fared. */
export interface Download {
  /** 0 when there was no answer. */
  readonly status: number;
  /** Whether the body came to the end that its head announced. */
  readonly isComplete: boolean;
  /** The `Cache-Status` of the answer (RFC 9211); empty when there was none. */
  readonly cacheStatus: string;
  /** Of the answer; empty when there was none. */
  readonly headers: IncomingHttpHeaders;
  readonly sha256: string;
  readonly bytes: number;
  readonly firstByteMs: number;
  readonly totalMs: number;
  /** The longest time without a byte, the wait for the first one left out. */
  readonly longestGapMs: number;
}

/** A connection of its own for each download: a killed server must not spoil the next one. */
const agent = new Agent({ keepAlive: false, maxSockets: Infinity });

/** Fetches one URL, digests what comes and looks at the clock. Never rejects. */
export function download(url: string, options: DownloadOptions = {}): Promise<Download> {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const seen = new Watch(startedAt);
    const chunks: Buffer[] | null = options.onBody === undefined ? null : [];
    const end = (status: number, isComplete: boolean, headers: IncomingHttpHeaders = {}): void => {
      if (chunks !== null) options.onBody?.(Buffer.concat(chunks));
      resolve(seen.result(status, isComplete, headers));
    };
    const asked = { agent: options.agent ?? agent, headers: options.headers ?? {} };
    const request = get(url, asked, (response) => {
      response.on('data', (chunk: Buffer) => {
        seen.chunk(chunk);
        chunks?.push(chunk);
        if (seen.bytes >= (options.quitAfterBytes ?? Infinity)) request.destroy();
        else slowDown(response, chunk.length, options.bytesPerSecond);
      });
      response.on('close', () =>
        end(response.statusCode ?? 0, response.complete, response.headers),
      );
      response.on('error', () => {});
    });
    request.on('error', () => end(0, false));
  });
}

function slowDown(response: IncomingMessage, bytes: number, rate: number | undefined): void {
  if (rate === undefined) return;
  response.pause();
  setTimeout(() => response.resume(), (bytes / rate) * 1_000);
}

class Watch {
  readonly #startedAt: number;
  readonly #hash = createHash('sha256');
  #firstByteMs = Number.NaN;
  #lastAt: number;
  #longestGapMs = 0;
  bytes = 0;

  constructor(startedAt: number) {
    this.#startedAt = this.#lastAt = startedAt;
  }

  chunk(chunk: Buffer): void {
    const now = performance.now();
    if (this.bytes === 0) this.#firstByteMs = now - this.#startedAt;
    else this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastAt);
    this.#lastAt = now;
    this.bytes += chunk.length;
    this.#hash.update(chunk);
  }

  result(status: number, isComplete: boolean, headers: IncomingHttpHeaders): Download {
    return {
      status,
      isComplete,
      cacheStatus: String(headers['cache-status'] ?? ''),
      headers,
      sha256: this.#hash.digest('hex'),
      bytes: this.bytes,
      firstByteMs: this.#firstByteMs,
      totalMs: performance.now() - this.#startedAt,
      longestGapMs: this.#longestGapMs,
    };
  }
}
