import type { Clock } from '../core/clock.ts';
import { SingleFlight } from '../core/single-flight.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { PageAnswer, PageValidators } from './answers.ts';
import type { PageClient, RawAnswer, RawPage } from './page-client.ts';

/** How long one answer serves all projects when the upstream does not say. */
const DEFAULT_MEMO_MS = 60_000;

/** Where a page of links lies, and who asks for it. */
export interface LinksPageOptions {
  readonly url: URL;
  readonly pages: PageClient;
  readonly clock: Clock;
}

/** What a page of links is asked with. */
export interface LinksPageAsking {
  readonly noCache: boolean;
  readonly signal?: AbortSignal | undefined;
}

interface Memo {
  readonly answer: RawPage | { readonly kind: 'absent' };
  /** Monotonic. */
  readonly freshUntil: number;
}

/** `promise`, unless the caller leaves first; the shared work goes on for the others. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  signal.throwIfAborted();
  return new Promise<T>((resolve, reject) => {
    const leave = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', leave, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}

/** The one page of a find-links upstream, fetched for all projects at once and kept for a minute. */
export class LinksPage {
  readonly #options: LinksPageOptions;
  readonly #fetches = new SingleFlight<Memo>();
  #memo: Memo | undefined;

  constructor(options: LinksPageOptions) {
    this.#options = options;
  }

  /** What the page holds of `project`; a page without any file of it is a definite "not here". */
  async pageOf(
    project: ProjectName,
    validators: PageValidators | null,
    asking: LinksPageAsking,
  ): Promise<PageAnswer> {
    const { answer, freshUntil } = await unlessAborted(
      this.#current(asking.noCache),
      asking.signal,
    );
    if (answer.kind === 'absent') return answer;
    const { etag, lastModified } = answer;
    const maxAgeMs = Math.max(0, freshUntil - this.#options.clock.monotonic());
    const isSame = etag !== null && etag === validators?.etag;
    if (isSame) return { kind: 'not-modified', etag, lastModified, maxAgeMs };
    const page = await this.#options.pages.read(answer, project);
    return page.detail.files.length === 0 ? { kind: 'absent' } : { ...page, maxAgeMs };
  }

  async #current(noCache: boolean): Promise<Memo> {
    const memo = this.#memo;
    const isFresh = memo !== undefined && this.#options.clock.monotonic() < memo.freshUntil;
    if (isFresh && !noCache) return memo;
    return this.#fetches.run(String(noCache), async () => {
      this.#memo = await this.#fetched(noCache);
      return this.#memo;
    });
  }

  async #fetched(noCache: boolean): Promise<Memo> {
    const { url, pages, clock } = this.#options;
    const old = this.#memo?.answer.kind === 'raw' ? this.#memo.answer : undefined;
    const validators = old ?? null;
    const raw: RawAnswer = await pages.fetch({ url, validators, noCache, project: null });
    const maxAgeMs = raw.kind === 'absent' ? null : raw.maxAgeMs;
    const freshUntil = clock.monotonic() + (maxAgeMs ?? DEFAULT_MEMO_MS);
    if (raw.kind !== 'not-modified') return { answer: raw, freshUntil };
    // Only a page we hold makes the request conditional.
    return { answer: old ?? { kind: 'absent' }, freshUntil };
  }
}
