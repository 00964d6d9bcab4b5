import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Catalog } from './catalog.ts';

export interface EvictionLimits {
  /** Held bytes above which files go, least recently used first. */
  readonly maxSizeBytes: number;
  /** Files unused for longer go; `null` for never. */
  readonly maxAgeMs: number | null;
  /** How long the bytes stay after the page has stopped naming them. */
  readonly graceMs: number;
}

/** When the limit is passed, this share of it is made free, so that not every new file evicts one. */
const FREE_BELOW = 0.95;

/**
 * Keeps the cache below its size by taking out what was used longest ago. Files that people added,
 * adopted or pinned stay. Pages forget a file at once, its bytes go after the grace time.
 */
export class Eviction {
  readonly #catalog: Catalog;
  readonly #limits: EvictionLimits;
  readonly #clock: Clock;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;

  constructor(catalog: Catalog, limits: EvictionLimits, clock: Clock, log: Logger) {
    this.#catalog = catalog;
    this.#limits = limits;
    this.#clock = clock;
    this.#log = log;
  }

  /** Looks soon; called after a file was stored. */
  schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.run();
    }, 500).unref();
  }

  /** Evicts what is over the limits and deletes what has left long enough ago. Never throws. */
  run(): Promise<void> {
    this.#running ??= this.#evict()
      .catch((error: unknown) => this.#log.warn('eviction failed', { reason: messageOf(error) }))
      .finally(() => (this.#running = null));
    return this.#running;
  }

  /** Stops the timer and waits for a run under way. */
  async close(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  async #evict(): Promise<void> {
    // Access times first: what was just used must not look old.
    await this.#catalog.flushUses();
    const { maxSizeBytes, maxAgeMs, graceMs } = this.#limits;
    let held = this.#catalog.heldBytes();
    const goal = held > maxSizeBytes ? maxSizeBytes * FREE_BELOW : Infinity;
    const oldest = maxAgeMs === null ? -Infinity : this.#clock.now() - maxAgeMs;
    for (;;) {
      const batch = [];
      for (const file of this.#catalog.leastRecentlyUsed(200)) {
        if (held <= goal && file.usedAt >= oldest) break;
        batch.push(file);
        held -= file.sizeBytes;
      }
      if (batch.length === 0) break;
      const gone = await this.#catalog.removeFiles(batch, graceMs);
      this.#catalog.count('evicted_files', gone.length);
      this.#log.info('evicted files', {
        files: gone.length,
        bytes: gone.reduce((sum, file) => sum + file.sizeBytes, 0),
        heldBytes: held,
      });
    }
    await this.#catalog.deleteDeparted();
  }
}
