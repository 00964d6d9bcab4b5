/**
 * Fetches index pages. One fetch, in order: ask (conditionally), follow redirects that stay with the
 * project, try again what may pass, decode within limits, let the reader understand it, and refuse
 * what is about another project.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import {
  InvalidUpstreamAnswerError,
  messageOf,
  UpstreamUnavailableError,
  WheelcellarError,
} from '../core/errors.ts';
import { redact } from '../core/redact.ts';
import { parseProjectName } from '../packaging/names.ts';
import type { ProjectName } from '../packaging/names.ts';
import type {
  FetchedPage,
  IndexLayout,
  PageReader,
  PageValidators,
  UnchangedPage,
} from './answers.ts';
import type { Ask, Reply } from './asking.ts';
import { freshForMs, lastSerialOf } from './cache-headers.ts';
import { ACCEPTED_CODINGS, readDecoded } from './decoded-body.ts';
import { retrying } from './retrying.ts';
import { isAbsent, PauseAskedError, statusFailure } from './statuses.ts';

/** JSON first, HTML for indexes that have nothing else (PEP 691). */
const ACCEPTED_TYPES =
  'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01';

/** A page's bytes, before anyone has looked into them. */
export interface RawPage {
  readonly kind: 'raw';
  readonly url: string;
  readonly body: Uint8Array;
  /** SHA-256 of `body`, hexadecimal. */
  readonly bodyDigest: string;
  readonly contentType: string;
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly maxAgeMs: number | null;
  readonly lastSerial: number | null;
}

/** What comes of asking for a page. */
export type RawAnswer = RawPage | UnchangedPage | { readonly kind: 'absent' };

/** How pages are asked for, and how much of one is read. */
export interface PageClientOptions {
  readonly ask: Ask;
  readonly clock: Clock;
  readonly readPage: PageReader;
  readonly layout: IndexLayout;
  readonly maxPageBytes: number;
  /** Entries of one page, those that are left out included. */
  readonly maxPageFiles: number;
  /** See DecodingOptions. */
  readonly maxExpansion: number;
  readonly retries: number;
  /** No attempt begins later than this; so long a client may have to wait for an answer's headers. */
  readonly retryWithinMs: number;
  /** One fetch never takes longer than this, whatever trickles in. */
  readonly pageWithinMs: number;
  readonly headersTimeoutMs: number;
  readonly onReceived: (bytes: number) => void;
}

/** Which page is wanted, and what of it is known already. */
export interface PageRequest {
  readonly url: URL;
  readonly validators: PageValidators | null;
  readonly noCache: boolean;
  readonly signal?: AbortSignal | undefined;
  /** The project whose page this is; `null` for a page of all projects. */
  readonly project: ProjectName | null;
}

/** Whether a redirected page is still the project's: its name ends the path, perhaps before a file name. */
function isPageOf(project: ProjectName, url: URL): boolean {
  const segments = url.pathname.split('/').filter((segment) => segment !== '');
  return segments.slice(-2).some((segment) => {
    try {
      return parseProjectName(decodeURIComponent(segment)) === project;
    } catch {
      return false;
    }
  });
}

function headersFor(validators: PageValidators | null, noCache: boolean): Record<string, string> {
  const headers: Record<string, string> = {
    accept: ACCEPTED_TYPES,
    'accept-encoding': ACCEPTED_CODINGS,
  };
  const { etag = null, lastModified = null } = validators ?? {};
  if (etag !== null) headers['if-none-match'] = etag;
  if (lastModified !== null) headers['if-modified-since'] = lastModified;
  if (noCache) headers['cache-control'] = 'no-cache';
  return headers;
}

const hasCondition = (validators: PageValidators | null): boolean =>
  validators !== null && (validators.etag !== null || validators.lastModified !== null);

/** Fetches and reads the pages of one upstream. */
export class PageClient {
  readonly #options: PageClientOptions;
  /** Monotonic time before which a 429 asked us not to come back. */
  #pausedUntil = 0;

  constructor(options: PageClientOptions) {
    this.#options = options;
  }

  /**
   * The page's bytes.
   *
   * @throws UpstreamUnavailableError (also UpstreamUnreachableError) when it cannot be had now
   * @throws InvalidUpstreamAnswerError when what comes cannot be used
   */
  async fetch(request: PageRequest): Promise<RawAnswer> {
    const { clock, retries, retryWithinMs, pageWithinMs } = this.#options;
    this.#respectPause(request.url);
    const deadline = new AbortController();
    const timer = setTimeout(
      () => deadline.abort(this.#tooSlow(request.url)),
      pageWithinMs,
    ).unref();
    const signals = [deadline.signal, ...(request.signal === undefined ? [] : [request.signal])];
    const signal = AbortSignal.any(signals);
    try {
      return await retrying({ retries, withinMs: retryWithinMs, clock, signal }, (leftMs) =>
        this.#attempt({ ...request, signal }, leftMs),
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /** What the bytes say about `project`. Throws InvalidUpstreamAnswerError when they are no such page. */
  async read(page: RawPage, project: ProjectName): Promise<FetchedPage> {
    const { body, contentType, url, lastSerial, kind: _kind, ...told } = page;
    const { layout } = this.#options;
    const read = await this.#understood(url, () =>
      this.#options.readPage({
        body,
        contentType,
        project,
        pageUrl: url,
        layout,
        serial: lastSerial,
      }),
    );
    if (read.detail.name !== project) {
      throw new InvalidUpstreamAnswerError(
        `${redact(url)} is the page of ${read.detail.name}, not of ${project}.`,
      );
    }
    if (contentType === '' && !read.looksLikeIndex) {
      throw new InvalidUpstreamAnswerError(
        `${redact(url)} has no content type, and nothing shows that it is an index page.`,
      );
    }
    this.#checkCount(read, url);
    const { detail, looksLikeIndex, dropped, conflicts = [] } = read;
    return {
      kind: 'page',
      detail,
      looksLikeIndex,
      dropped,
      conflicts,
      ...told,
      url,
      lastSerial: lastSerial ?? detail.lastSerial,
    };
  }

  /** Entries that are left out have cost as much to read as the others. */
  #checkCount({ detail, dropped }: Pick<FetchedPage, 'detail' | 'dropped'>, url: string): void {
    const entries = Object.values(dropped).reduce((sum, count) => sum + count, detail.files.length);
    if (entries <= this.#options.maxPageFiles) return;
    throw new InvalidUpstreamAnswerError(
      `${redact(url)} has ${entries} entries, more than the limit of ${this.#options.maxPageFiles}.`,
      { hint: 'limits.page_files in the configuration sets it.' },
    );
  }

  async #understood<T>(url: string, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof WheelcellarError) throw error;
      throw new InvalidUpstreamAnswerError(
        `${redact(url)} cannot be understood: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }

  async #attempt(request: PageRequest, leftMs: number): Promise<RawAnswer> {
    const reply = await this.#asked(request, request.validators, request.noCache, leftMs);
    if (reply.status !== 304) return this.#answerOf(reply, request);
    reply.discard();
    if (hasCondition(request.validators)) return unchanged(reply);
    // Some cache on the way mixes up its clients. Asked past it, the index itself should answer.
    const again = await this.#asked(request, null, true, leftMs);
    if (again.status !== 304) return this.#answerOf(again, request);
    again.discard();
    throw new InvalidUpstreamAnswerError(
      `${redact(again.url)} answered "not modified" to a request without a condition.`,
    );
  }

  #asked(
    request: PageRequest,
    validators: PageValidators | null,
    noCache: boolean,
    leftMs: number,
  ): Promise<Reply> {
    return this.#options.ask({
      method: 'GET',
      url: request.url,
      headers: headersFor(validators, noCache),
      signal: request.signal,
      headersTimeoutMs: Math.ceil(Math.min(this.#options.headersTimeoutMs, leftMs)),
    });
  }

  async #answerOf(reply: Reply, request: PageRequest): Promise<RawAnswer> {
    const { project, url } = request;
    if (isAbsent(reply.status)) {
      reply.discard();
      return { kind: 'absent' };
    }
    if (reply.status !== 200)
      throw this.#notePause(statusFailure(reply, this.#options.clock), reply);
    const isElsewhere = reply.url.href !== url.href;
    if (project !== null && isElsewhere && !isPageOf(project, reply.url)) {
      reply.cancel();
      throw new InvalidUpstreamAnswerError(
        `The page of ${project} redirects to ${redact(reply.url)}, which is another page.`,
      );
    }
    return this.#rawPage(reply);
  }

  async #rawPage(reply: Reply): Promise<RawPage> {
    const { headers, url } = reply;
    // Piece by piece: the digest of a huge page at once would stop the event loop.
    const hash = createHash('sha256');
    try {
      const body = await readDecoded(reply.body, {
        coding: headers['content-encoding'],
        maxBytes: this.#options.maxPageBytes,
        maxExpansion: this.#options.maxExpansion,
        url: redact(url),
        onReceived: this.#options.onReceived,
        onDecoded: (piece) => hash.update(piece),
      });
      return {
        kind: 'raw',
        url: url.href,
        body,
        bodyDigest: hash.digest('hex'),
        contentType: headers['content-type'] ?? '',
        etag: headers['etag'] ?? null,
        lastModified: headers['last-modified'] ?? null,
        maxAgeMs: freshForMs(headers),
        lastSerial: lastSerialOf(headers),
      };
    } catch (error) {
      reply.cancel();
      throw error;
    }
  }

  #notePause<T>(failure: T, reply: Reply): T {
    if (reply.status === 429 && failure instanceof PauseAskedError) {
      const pauseMs = failure.retryAfterSeconds * 1000;
      this.#pausedUntil = this.#options.clock.monotonic() + pauseMs;
    }
    return failure;
  }

  /** A 429 is about us, not about the page: other pages would only make it worse. */
  #respectPause(url: URL): void {
    const leftMs = this.#pausedUntil - this.#options.clock.monotonic();
    if (leftMs <= 0) return;
    throw new PauseAskedError(`${redact(url)} is not asked yet; the upstream wants a pause.`, {
      retryAfterSeconds: Math.ceil(leftMs / 1000),
    });
  }

  #tooSlow(url: URL): UpstreamUnavailableError {
    const seconds = Math.round(this.#options.pageWithinMs / 1000);
    return new UpstreamUnavailableError(
      `${redact(url)} was not complete within ${seconds} seconds.`,
    );
  }
}

function unchanged(reply: Reply): UnchangedPage {
  const { headers } = reply;
  return {
    kind: 'not-modified',
    etag: headers['etag'] ?? null,
    lastModified: headers['last-modified'] ?? null,
    maxAgeMs: freshForMs(headers),
  };
}
