import type { Clock } from '../../src/core/clock.ts';

/** A clock that stands still until it is turned. */
export class ManualClock implements Clock {
  #now: number;
  #monotonic = 1_000;

  /** @param now epoch milliseconds to start from */
  constructor(now: number = Date.UTC(2026, 0, 1)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  /** Lets `ms` milliseconds pass. */
  advance(ms: number): void {
    this.#now += ms;
    this.#monotonic += ms;
  }

  /** Sets the wall clock only, as people and time servers do. */
  setWallClock(now: number): void {
    this.#now = now;
  }
}
