import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/core/clock.ts';

/** The machine's clock, some way ahead of itself: time passes, and hours can be skipped. */
export class ShiftedClock implements Clock {
  #ahead = 0;
  #wallOff = 0;

  now(): number {
    return Math.floor(systemClock.now() + this.#ahead + this.#wallOff);
  }

  monotonic(): number {
    return systemClock.monotonic() + this.#ahead;
  }

  /** Skips `ms` milliseconds. Timers that run do not notice. */
  advance(ms: number): void {
    this.#ahead += ms;
  }

  /** Sets the wall clock off by `ms` more; monotonic time goes on as if nothing had happened. */
  jump(ms: number): void {
    this.#wallOff += ms;
  }
}
