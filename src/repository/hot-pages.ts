import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { ReadyPage } from './rendered-pages.ts';

/** What may make a kept answer wrong. */
export interface HotPagesOptions {
  /** For the bodies of all kept answers. */
  readonly memoryBytes: number;
  readonly clock: Clock;
}

interface HotPage<Answer> {
  readonly answer: Answer;
  /** `null` for the root page, which depends on every project. */
  readonly project: ProjectName | null;
  readonly sizeBytes: number;
  /** Monotonic milliseconds. */
  readonly freshUntil: number;
}

/**
 * Whole answers by what the request said, for a door that looks at nothing else. An answer is kept until
 * its page may be stale or anything of its project changes, in this process or (a poll later) in another.
 */
export class HotPages<Answer> {
  readonly #clock: Clock;
  readonly #pages: LRUCache<string, HotPage<Answer>>;
  readonly #keysOf = new Map<ProjectName | null, Set<string>>();
  #changes = 0;

  constructor(options: HotPagesOptions) {
    this.#clock = options.clock;
    this.#pages = new LRUCache({
      max: 20_000,
      maxSize: Math.max(1, options.memoryBytes),
      sizeCalculation: (page) => page.sizeBytes + 500,
      dispose: (page, key) => this.#keysOf.get(page.project)?.delete(key),
    });
  }

  /** Counts changes. An answer that was begun before a change must not be kept after it. */
  get changes(): number {
    return this.#changes;
  }

  /** The kept answer, if it may still be given. */
  get(key: string): Answer | undefined {
    const page = this.#pages.get(key);
    if (page === undefined) return undefined;
    if (this.#clock.monotonic() < page.freshUntil) return page.answer;
    this.#pages.delete(key);
    return undefined;
  }

  /**
   * Keeps an answer made of `page`.
   *
   * @param changesBefore `changes` from before the page was asked for
   */
  keep(
    key: string,
    project: ProjectName | null,
    page: ReadyPage,
    answer: Answer,
    changesBefore: number,
  ): void {
    if (changesBefore !== this.#changes || page.freshness.freshForMs <= 0) return;
    const freshUntil = this.#clock.monotonic() + page.freshness.freshForMs;
    this.#pages.set(key, { answer, project, sizeBytes: page.body.length, freshUntil });
    const keys = this.#keysOf.get(project) ?? new Set();
    this.#keysOf.set(project, keys.add(key));
  }

  /** Forgets what the project shows in: its own pages and the root. */
  changed(project: ProjectName): void {
    this.#changes++;
    for (const concerned of [project, null]) {
      for (const key of this.#keysOf.get(concerned) ?? []) this.#pages.delete(key);
      this.#keysOf.delete(concerned);
    }
  }

  /** Forgets everything: an upstream was lost or found again. */
  clear(): void {
    this.#changes++;
    this.#pages.clear();
    this.#keysOf.clear();
  }
}
