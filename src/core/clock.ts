/** The only source of time. Tests replace it by one they turn by hand. */
export interface Clock {
  /** Wall clock, milliseconds since the epoch. For records that outlive the process. */
  now(): number;
  /** Milliseconds that never jump, from an arbitrary start. For durations and freshness in one run. */
  monotonic(): number;
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
};
