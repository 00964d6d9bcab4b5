import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Logger } from '../core/logger.ts';
import type { ProjectName } from '../packaging/names.ts';
import { SMALL_FILE_BYTES } from '../repository/hot-files.ts';
import type { HotFile, HotFiles } from '../repository/hot-files.ts';
import type { HotPages } from '../repository/hot-pages.ts';
import type { ReadyPage } from '../repository/rendered-pages.ts';
import type { ByteRange, FileSource, ReadableBytes } from '../repository/repository.ts';
import { answerError } from './answer-errors.ts';
import type { BufferPool } from './buffer-pool.ts';
import { ifRangeHolds, parseRange } from './byte-ranges.ts';
import { careForClient } from './client-care.ts';
import { noneMatchFails } from './conditional.ts';
import { ClientLeftError, streamBytes } from './disk-stream.ts';
import { fileFields, wantsRedirect } from './file-heads.ts';

/** A page as it goes over the wire: heads as flat lists of names and values, ready for `writeHead`. */
export interface HotAnswer {
  readonly head: readonly string[];
  readonly notModifiedHead: readonly string[];
  readonly body: Buffer;
  readonly etag: string;
}

/** What every answer about one file says, as flat lists, ready for `writeHead`. */
export interface FileHeads {
  readonly etag: string | null;
  /** For 304, and for what adds lengths of its own. */
  readonly common: readonly string[];
  readonly whole: readonly string[];
  /** For a front that reads the file itself; `null` when there is none. */
  readonly redirect: readonly string[] | null;
}

/** The head of an answer, in order. */
export type HeadFields = readonly (readonly [name: string, value: string | number])[];

/** What the fast door answers from, and whom it tells. */
export interface FastDoorOptions {
  readonly pages: HotPages<HotAnswer>;
  readonly files: HotFiles<FileHeads>;
  /** Whether the User-Agent decides what a page lists. */
  readonly dependsOnUserAgent: boolean;
  readonly buffers: BufferPool;
  readonly log: Logger;
  /** Called after each GET of a file with the bytes that went to the client. */
  readonly onFileServed: (origin: 'hit', sentBytes: number) => void;
}

/**
 * The door in front of Express: answers what was answered before, byte for byte, from two look-ups. What
 * it does not know goes on to the other door, which leaves here what it answers.
 */
export class FastDoor {
  readonly #options: FastDoorOptions;
  readonly #pages: HotPages<HotAnswer>;
  readonly #files: HotFiles<FileHeads>;

  constructor(options: FastDoorOptions) {
    this.#options = options;
    this.#pages = options.pages;
    this.#files = options.files;
  }

  /** Counts changes; see HotPages. */
  get changes(): number {
    return this.#pages.changes;
  }

  /** Counts changes; see HotFiles. */
  get fileChanges(): number {
    return this.#files.changes;
  }

  /**
   * Answers the request if the answer is at hand. Needs the guards in front of it.
   *
   * @param otherDoor for what turns out, after `true` was returned, not to be at hand
   */
  answers(request: IncomingMessage, response: ServerResponse, otherDoor: RequestListener): boolean {
    const isHead = request.method === 'HEAD';
    if (!isHead && request.method !== 'GET') return false;
    const hot = this.#files.find(request.url ?? '');
    if (hot !== undefined) return this.#answersFile(hot, isHead, request, response, otherDoor);
    const answer = this.#pages.get(this.#keyOf(request));
    if (answer === undefined) return false;
    if (noneMatchFails(request.headers['if-none-match'], answer.etag)) {
      response.writeHead(304, answer.notModifiedHead as string[]).end();
    } else {
      response.writeHead(200, answer.head as string[]).end(isHead ? undefined : answer.body);
    }
    return true;
  }

  /** Keeps the answer to this request, made of `page`, for requests that say the same. */
  keep(
    request: IncomingMessage,
    project: ProjectName | null,
    page: ReadyPage,
    fields: { readonly head: HeadFields; readonly notModifiedHead: HeadFields },
    changesBefore: number,
  ): void {
    const answer = {
      head: fields.head.flat().map(String),
      notModifiedHead: fields.notModifiedHead.flat().map(String),
      body: page.body,
      etag: page.etag,
    };
    this.#pages.keep(this.#keyOf(request), project, page, answer, changesBefore);
  }

  /**
   * Keeps a held file for requests with the same target.
   *
   * @param redirect what a front is told in place of the bytes; `null` when there is none
   */
  keepFile(
    request: IncomingMessage,
    source: FileSource,
    redirect: readonly [name: string, value: string] | null,
    changesBefore: number,
  ): void {
    const { keepable, sizeBytes, etag } = source;
    if (keepable === undefined || keepable === null) return;
    const fields = fileFields(source);
    const common = fields.flat();
    const forFront = fields.filter(([name]) => name !== 'Accept-Ranges').flat();
    const heads: FileHeads = {
      etag,
      common,
      whole: [...common, 'Content-Length', String(sizeBytes)],
      redirect: redirect && [...forFront, ...redirect, 'Content-Length', '0'],
    };
    this.#files.keep(request.url ?? '', keepable, heads, changesBefore);
  }

  #answersFile(
    hot: HotFile<FileHeads>,
    isHead: boolean,
    request: IncomingMessage,
    response: ServerResponse,
    otherDoor: RequestListener,
  ): boolean {
    const { headers } = request;
    const { etag, common, whole, redirect } = hot.heads;
    const isRedirect = redirect !== null && wantsRedirect(headers);
    if (!this.#files.isInPlace(hot, isRedirect)) return this.#drop(request);
    if (noneMatchFails(headers['if-none-match'], etag)) {
      response.writeHead(304, common as string[]).end();
      return this.#served(hot, isHead, 0);
    }
    if (isRedirect) {
      response.writeHead(200, redirect as string[]).end();
      return this.#served(hot, isHead, hot.file.sizeBytes);
    }
    if (isHead) {
      response.writeHead(200, whole as string[]).end();
      return this.#served(hot, isHead, 0);
    }
    const range = wantedRange(headers, etag, hot.file.sizeBytes);
    // How to refuse it is the other door's business.
    if (range === 'unsatisfiable') return false;
    const body = this.#files.body(hot);
    if (body !== undefined) return this.#sendBody(hot, range, body, response);
    const bytes = this.#files.open(hot);
    if (bytes === undefined) return this.#drop(request);
    if (hot.file.sizeBytes > SMALL_FILE_BYTES) {
      this.#stream(hot, range, bytes, request, response);
      return true;
    }
    this.#files.load(hot, bytes, (loaded) => {
      if (loaded !== undefined) return void this.#sendBody(hot, range, loaded, response);
      this.#drop(request);
      otherDoor(request, response);
    });
    return true;
  }

  #sendBody(
    hot: HotFile<FileHeads>,
    range: ByteRange | null,
    body: Buffer,
    response: ServerResponse,
  ): true {
    if (range === null) {
      response.writeHead(200, hot.heads.whole as string[]).end(body);
      return this.#served(hot, false, body.length);
    }
    response.writeHead(206, partHead(hot, range)).end(body.subarray(range.start, range.end));
    return this.#served(hot, false, range.end - range.start);
  }

  #stream(
    hot: HotFile<FileHeads>,
    range: ByteRange | null,
    bytes: ReadableBytes,
    request: IncomingMessage,
    response: ServerResponse,
  ): void {
    const { buffers, log, onFileServed } = this.#options;
    careForClient(response);
    this.#files.noteUse(hot);
    const options = {
      bytes,
      range: range ?? { start: 0, end: hot.file.sizeBytes },
      pool: buffers,
      begin: () => {
        if (range === null) response.writeHead(200, hot.heads.whole as string[]);
        else response.writeHead(206, partHead(hot, range));
      },
    };
    streamBytes(response, options, (error, sentBytes) => {
      if (error === null) onFileServed('hit', sentBytes);
      else if (!(error instanceof ClientLeftError)) answerError(error, request, response, log);
    });
  }

  #served(hot: HotFile<FileHeads>, isHead: boolean, sentBytes: number): true {
    this.#files.noteUse(hot);
    if (!isHead) this.#options.onFileServed('hit', sentBytes);
    return true;
  }

  #drop(request: IncomingMessage): false {
    this.#files.drop(request.url ?? '');
    return false;
  }

  /** All of a request that a page depends on. */
  #keyOf({ url, headers }: IncomingMessage): string {
    const said = `${url}\n${headers.accept ?? ''}\n${String(headers['accept-encoding'] ?? '')}`;
    return this.#options.dependsOnUserAgent ? `${said}\n${headers['user-agent'] ?? ''}` : said;
  }
}

function wantedRange(
  headers: IncomingMessage['headers'],
  etag: string | null,
  sizeBytes: number,
): ByteRange | null | 'unsatisfiable' {
  if (headers.range === undefined) return null;
  if (!ifRangeHolds(headers['if-range'] as string | undefined, etag)) return null;
  try {
    return parseRange(headers.range, sizeBytes);
  } catch {
    return 'unsatisfiable';
  }
}

function partHead({ heads, file }: HotFile<FileHeads>, { start, end }: ByteRange): string[] {
  return [
    ...heads.common,
    'Content-Range',
    `bytes ${start}-${end - 1}/${file.sizeBytes}`,
    'Content-Length',
    String(end - start),
  ];
}
