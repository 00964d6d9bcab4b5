import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import type { PageRow } from '../store/catalog.ts';

/** When a page was confirmed, in the time of this process. */
interface Confirmation {
  /** Of the row: another value is another confirmation. */
  readonly checkedAt: number;
  /** Monotonic milliseconds; may lie before the start of this process. */
  readonly at: number;
}

/** Pages whose age is followed; of the others the wall clock alone tells. */
const FOLLOWED = 20_000;

/**
 * How old pages are. Their times are those of the wall clock, since they outlive the process, and that
 * clock jumps: set back, it would make a page younger than it is. So from the first look on, time is counted
 * by the monotonic clock as well, and the older age holds. (Not the monotonic one alone: it stands
 * still while a laptop sleeps.)
 */
export class PageAges {
  readonly #clock: Clock;
  readonly #seen = new LRUCache<string, Confirmation>({ max: FOLLOWED });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds since the page was confirmed; Infinity when that lies in the future: then nobody knows. */
  ageMs({ project, checkedAt }: Pick<PageRow, 'project' | 'checkedAt'>): number {
    const wallAgeMs = this.#clock.now() - checkedAt;
    const monotonic = this.#clock.monotonic();
    const seen = this.#seen.get(project);
    if (seen !== undefined && seen.checkedAt === checkedAt)
      return wallAgeMs < 0 ? Infinity : Math.max(wallAgeMs, monotonic - seen.at);
    if (wallAgeMs < 0) return Infinity;
    this.#seen.set(project, { checkedAt, at: monotonic - wallAgeMs });
    return wallAgeMs;
  }
}
