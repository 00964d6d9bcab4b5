import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { PageRow } from '../store/catalog.ts';
import type { LoadedPage } from './stored-pages.ts';

/** The revision of a page, and the one that it has followed. */
interface Succession {
  readonly revision: string;
  readonly withdrawn: number;
  readonly before: string | undefined;
  /** Monotonic milliseconds. */
  readonly since: number;
}

/** Pages that are followed. */
const FOLLOWED = 1_000;
/** The page before may be given for so long after its successor was seen first; it is written meanwhile. */
const STAND_IN_MS = 2_000;
/** When a page was fetched longer ago, whoever asks first waits for it: the one before may be of yesterday. */
const JUST_FETCHED_MS = 10_000;

/**
 * Which revision of a page came before the present one, and whether it may stand in while the present one is
 * written and compressed: then a page that changes is as quick as one that does not. It may when its index
 * has just listed something else, as if that answer had come a moment later. It may not when the change takes
 * something back: core metadata that was found wrong, a project that is quarantined.
 */
export class PageSuccessions {
  readonly #clock: Clock;
  readonly #known = new LRUCache<ProjectName, Succession>({ max: FOLLOWED });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The revision that may stand in for the page of this row. */
  standInFor(
    { project, fetchedAt }: PageRow,
    revision: string,
    { withdrawn, served }: LoadedPage,
  ): string | undefined {
    const now = this.#clock.monotonic();
    let known = this.#known.get(project);
    if (known?.revision !== revision) {
      const before = known?.withdrawn === withdrawn ? known.revision : undefined;
      known = { revision, withdrawn, before, since: now };
      this.#known.set(project, known);
    }
    if (known.before === undefined || now - known.since >= STAND_IN_MS) return undefined;
    const age = this.#clock.now() - fetchedAt;
    const isJustFetched = age >= 0 && age < JUST_FETCHED_MS;
    return isJustFetched && served.detail.status !== 'quarantined' ? known.before : undefined;
  }
}
