import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';

/** The machine's clock, some way ahead of itself: time passes, and hours can be skipped. */
export class ShiftedClock implements Clock {
  #ahead = 0;

  now(): number {
    return Math.floor(systemClock.now() + this.#ahead);
  }

  monotonic(): number {
    return systemClock.monotonic() + this.#ahead;
  }

  /** Skips `ms` milliseconds. Timers that run do not notice. */
  advance(ms: number): void {
    this.#ahead += ms;
  }
}
