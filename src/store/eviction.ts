import { statfsSync } from 'node:fs';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { AgeClock } from './age-clock.ts';
import type { Catalog } from './catalog.ts';
import { planEviction } from './eviction-plan.ts';
import type { PlannedEviction } from './eviction-plan.ts';
import type { KeptFiles } from './kept-files.ts';
import type { Layout } from './layout.ts';

/** What the store may hold; `null` for no limit. */
export interface EvictionLimits {
  /** Held bytes above which files go, least recently used first. */
  readonly maxSizeBytes: number;
  /** Files unused for longer go; `null` for never. */
  readonly maxAgeMs: number | null;
  /** How long the bytes stay after the page has stopped naming them. */
  readonly graceMs: number;
  /** Space on the disk that is left to others; below it, files go. */
  readonly reserveBytes: number;
}

/** What evictions work on. */
export interface EvictionSurroundings {
  readonly layout: Layout;
  readonly catalog: Catalog;
  readonly kept: KeptFiles;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What an eviction did. */
export interface EvictionReport {
  readonly files: number;
  /** Bytes that leave the disk when the grace time is over. */
  readonly bytes: number;
}

/** So many files leave in one transaction. */
const BATCH = 200;

/**
 * Keeps the cache below its size and the disk above its reserve by taking out what was used longest ago.
 * Files that people added, adopted or pinned stay. Pages forget a file at once, its bytes go after the
 * grace time.
 */
export class Eviction {
  readonly #env: EvictionSurroundings;
  readonly #limits: EvictionLimits;
  readonly #ageClock: AgeClock | null;
  #wantedRoom = 0;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;

  constructor(env: EvictionSurroundings, limits: EvictionLimits) {
    this.#env = env;
    this.#limits = limits;
    const { maxAgeMs } = limits;
    this.#ageClock = maxAgeMs === null ? null : new AgeClock(env.clock, env.catalog, maxAgeMs);
  }

  /** Looks soon; called after a file was stored. */
  schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.run();
    }, 500).unref();
  }

  /** A file of this size could not be stored: makes room for the next one like it. */
  makeRoom(bytes: number): void {
    // For half of the cache, too much that is used would have to go.
    if (bytes * 2 > this.#env.catalog.heldBytes()) return;
    this.#wantedRoom = Math.max(this.#wantedRoom, bytes);
    this.schedule();
  }

  /** Evicts what is over the limits and deletes what has left long enough ago. Never throws. */
  run(): Promise<void> {
    this.#running ??= this.#evict()
      .catch((error: unknown) =>
        this.#env.log.warn('eviction failed', { reason: messageOf(error) }),
      )
      .finally(() => (this.#running = null));
    return this.#running;
  }

  /**
   * What would go now. `unused`: also what nobody asked for again since it was fetched. `byAge: false`:
   * nothing for its age alone.
   */
  async plan(
    options: { readonly unused?: boolean; readonly byAge?: boolean } = {},
  ): Promise<PlannedEviction[]> {
    const { unused = false, byAge = true } = options;
    const { catalog, kept, clock } = this.#env;
    // Access times first: what was just used must not look old.
    await catalog.flushUses();
    await kept.mirror();
    const { maxSizeBytes, maxAgeMs, reserveBytes } = this.#limits;
    const state = {
      now: clock.now(),
      heldBytes: catalog.heldBytes(),
      freeBytes: this.#freeBytes() + catalog.holdings.departedBytes(),
    };
    const reserve = reserveBytes + this.#wantedRoom;
    return planEviction(catalog.evictable(), state, {
      maxSizeBytes,
      maxAgeMs: byAge ? maxAgeMs : null,
      reserveBytes: reserve,
      unused,
    });
  }

  /** Takes the planned files out. `onProgress` hears how many are gone. */
  async apply(
    plan: readonly PlannedEviction[],
    onProgress: (files: number) => void = () => {},
  ): Promise<EvictionReport> {
    const { catalog, log } = this.#env;
    let files = 0;
    let bytes = 0;
    for (let at = 0; at < plan.length; at += BATCH) {
      const batch = plan.slice(at, at + BATCH).map(({ file }) => file);
      const gone = await catalog.removeFiles(batch, this.#limits.graceMs);
      files += gone.length;
      bytes += gone.reduce((sum, file) => sum + file.sizeBytes, 0);
      onProgress(files);
    }
    if (files > 0) {
      catalog.count('evicted_files', files);
      log.info('evicted files', { files, bytes });
    }
    return { files, bytes };
  }

  /** Stops the timer and waits for a run under way. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  async #evict(): Promise<void> {
    const byAge = (await this.#ageClock?.isEven()) ?? false;
    await this.apply(await this.plan({ byAge }));
    this.#wantedRoom = 0;
    await this.#env.catalog.deleteDeparted();
  }

  #freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#env.layout.mirrorDir);
    return bavail * bsize;
  }
}
