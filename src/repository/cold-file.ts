import { InvalidUpstreamAnswerError } from '../core/errors.ts';
import { awaitFill } from '../store/fill/await-fill.ts';
import type { AwaitFillOptions } from '../store/fill/await-fill.ts';
import type { FillRequest } from '../store/fill/byte-source.ts';
import { openFill } from '../store/fill/reader.ts';
import type { Store } from '../store/store.ts';
import { etagOf } from './held-source.ts';
import type { ByteRange, FileSource, OpenFileOptions, OpenedFile } from './repository.ts';

/** Ranges up to this length … */
const SMALL_RANGE_BYTES = 1024 * 1024;
/** … of files of at least this length are asked for beside the fill: installers read metadata so. */
const LARGE_FILE_BYTES = 8 * 1024 * 1024;

/**
 * A file that is not held yet. Opening it starts (or joins) its fill. A small range of a large file does
 * not wait for the fill, nor start one: an installer that looks at the tail of a wheel may never want it.
 */
export class ColdFile implements FileSource {
  readonly origin = 'miss';
  readonly #store: Store;
  readonly #request: FillRequest;
  readonly #askSize: ((signal: AbortSignal) => Promise<number | null>) | null;
  #sizeBytes: number | null;

  constructor(
    store: Store,
    request: FillRequest,
    askSize: ((signal: AbortSignal) => Promise<number | null>) | null,
  ) {
    this.#store = store;
    this.#request = request;
    this.#askSize = askSize;
    this.#sizeBytes = this.#underWay()?.progress.totalBytes ?? request.sizeBytes;
  }

  get filename(): string {
    return this.#request.filename;
  }

  get kind(): 'distribution' | 'metadata' {
    return this.#request.kind;
  }

  get sizeBytes(): number | null {
    return this.#sizeBytes;
  }

  get etag(): string | null {
    const sha256 = this.#request.hashes['sha256'];
    return sha256 === undefined ? null : etagOf(sha256);
  }

  async learnSize(signal: AbortSignal): Promise<number | null> {
    this.#sizeBytes ??=
      this.#underWay()?.progress.totalBytes ?? (await this.#askSize?.(signal)) ?? null;
    return this.#sizeBytes;
  }

  async open(range: ByteRange | null, options: OpenFileOptions): Promise<OpenedFile> {
    if (range !== null && options.holdAll !== true && this.#isBeside(range))
      return await this.#openBeside(range, options);
    const fill = this.#store.fills.fetch(this.#request);
    const read = { start: range?.start ?? 0, end: range?.end ?? null };
    const opened = await openFill(fill, read, options);
    return { ...opened, etag: this.etag };
  }

  async keep(options?: AwaitFillOptions): Promise<void> {
    await awaitFill(this.#store.fills.fetch(this.#request), options);
  }

  async close(): Promise<void> {}

  #underWay(): ReturnType<Store['fills']['find']> {
    return this.#store.fills.find(this.#request.upstream, this.#request.path);
  }

  /** Whether the range is small, the file large, and the fill not there yet. */
  #isBeside(range: ByteRange): boolean {
    if (this.#sizeBytes === null || this.#sizeBytes < LARGE_FILE_BYTES) return false;
    if (range.end - range.start > SMALL_RANGE_BYTES) return false;
    const file = this.#underWay()?.progress.file;
    return file === undefined || file === null || file.sizeBytes < range.end;
  }

  async #openBeside(range: ByteRange, options: OpenFileOptions): Promise<OpenedFile> {
    const answer = await this.#request.source.open({
      offset: range.start,
      lastByte: range.end - 1,
      signal: options.signal,
    });
    const isAsked = answer.kind === 'part' && answer.offset === range.start;
    if (!isAsked || (answer.totalBytes !== null && answer.totalBytes !== this.#sizeBytes)) {
      answer.cancel();
      // An upstream without ranges: the fill can give them.
      const fill = this.#store.fills.fetch(this.#request);
      return { ...(await openFill(fill, range, options)), etag: this.etag };
    }
    return {
      totalBytes: this.#sizeBytes,
      etag: this.etag,
      body: exactly(answer, range.end - range.start),
    };
  }
}

/** A body of just so many bytes. @throws InvalidUpstreamAnswerError when it is shorter or longer */
async function* exactly(
  answer: { readonly body: AsyncIterable<Uint8Array>; cancel(): void },
  length: number,
): AsyncGenerator<Uint8Array, void, void> {
  let left = length;
  try {
    for await (const chunk of answer.body) {
      left -= chunk.length;
      if (left < 0) break;
      yield chunk;
    }
    if (left !== 0)
      throw new InvalidUpstreamAnswerError('The upstream sent another range than it announced.');
  } finally {
    answer.cancel();
  }
}
