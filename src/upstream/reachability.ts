/**
 * When is an upstream cut off? The flow:
 *
 * 1. Connecting fails once: the breaker opens. Calls fail at once instead of waiting 3 s each.
 * 2. A second after the latest failure, one caller at a time may have the host tried again; a timer
 *    tries it 5 s after the first failure, so that nothing depends on clients coming by.
 * 3. It fails again 5 s or more after the first failure, with no success between: cut off.
 * 4. Any success, a caller's or the timer's: up, and the breaker closes.
 *
 * Only connecting counts. An answer with an error, or one that never ends, comes from someone who is
 * there; taking it for an outage would make resolvers choose older versions.
 */
import type { Clock } from '../core/clock.ts';
import { UpstreamUnreachableError } from '../core/errors.ts';
import { sleep } from '../core/sleep.ts';

/** `cut-off`: connecting has failed for a while. */
export type ReachabilityState = 'up' | 'cut-off';

/** Whether an upstream can be connected to. */
export interface Reachability {
  readonly state: ReachabilityState;
  /** Epoch milliseconds of the latest switch, or of the start. */
  readonly since: number;
  /** Tells of every switch; the result ends that. */
  onSwitch(listener: (state: ReachabilityState) => void): () => void;
}

/** All in milliseconds. */
export interface ReachabilityTimings {
  /** Between the first failure and the one that means "cut off"; default 5 s. */
  readonly cutOffAfterMs: number;
  /** After a failure, before the next attempt; default 1 s. */
  readonly probeAfterMs: number;
  /** How long the caller that may try waits for the attempt; default 0.5 s. */
  readonly probeWaitMs: number;
  /** Longest pause between the timer's attempts; default 30 s. */
  readonly longestPauseMs: number;
}

/** Two failures to connect over five seconds cut off; then one probe at a time. */
export const DEFAULT_REACHABILITY_TIMINGS: ReachabilityTimings = {
  cutOffAfterMs: 5_000,
  probeAfterMs: 1_000,
  probeWaitMs: 500,
  longestPauseMs: 30_000,
};

/** What a breaker watches and whom it tells. */
export interface BreakerOptions {
  /** Named in errors: the host, without secrets. */
  readonly label: string;
  readonly clock: Clock;
  /** Connects and hangs up; throws UpstreamUnreachableError when that fails. */
  readonly probe: () => Promise<void>;
  /** Whether a timer keeps trying while the breaker is open. */
  readonly triesByItself: boolean;
  readonly timings: ReachabilityTimings;
}

/** Timers may fire a little early against the monotonic clock. */
const TIMER_SLACK_MS = 25;

/** The breaker of one host. */
export class ConnectBreaker implements Reachability {
  readonly #options: BreakerOptions;
  readonly #listeners = new Set<(state: ReachabilityState) => void>();
  #state: ReachabilityState = 'up';
  #since: number;
  /** Monotonic; `undefined` while the breaker is closed. */
  #firstFailureAt: number | undefined;
  #lastFailureAt = 0;
  #lastFailure: unknown;
  #probing: Promise<boolean> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pauseMs: number;
  #closed = false;

  constructor(options: BreakerOptions) {
    this.#options = options;
    this.#since = options.clock.now();
    this.#pauseMs = options.timings.cutOffAfterMs;
  }

  get state(): ReachabilityState {
    return this.#state;
  }

  get since(): number {
    return this.#since;
  }

  /** Whether calls fail at once. */
  get isOpen(): boolean {
    return this.#firstFailureAt !== undefined;
  }

  onSwitch(listener: (state: ReachabilityState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Runs `work`, which resolves when the host has answered.
   *
   * @throws UpstreamUnreachableError at once while the breaker is open and it is not time to try again
   */
  async guard<T>(work: () => Promise<T>): Promise<T> {
    if (this.isOpen) await this.tryAgain();
    try {
      const result = await work();
      this.#succeeded();
      return result;
    } catch (error) {
      if (error instanceof UpstreamUnreachableError) this.#failed(error);
      throw error;
    }
  }

  /**
   * Returns when the host can be connected to again.
   *
   * @throws UpstreamUnreachableError when it cannot, or when it is too early to try
   */
  async tryAgain(): Promise<void> {
    const { clock, timings } = this.#options;
    const mayTry =
      this.#probing === undefined &&
      clock.monotonic() - this.#lastFailureAt >= timings.probeAfterMs;
    if (!mayTry) throw this.#refusal();
    const hurry = new AbortController();
    const patience = sleep(timings.probeWaitMs, hurry.signal).then(() => false);
    const isBack = await Promise.race([this.#probe(), patience]);
    hurry.abort();
    if (!isBack) throw this.#refusal();
  }

  /** Stops the timer. The breaker goes on working without it. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #refusal(): UpstreamUnreachableError {
    const { label } = this.#options;
    return new UpstreamUnreachableError(`No connection to ${label}; it is tried again soon.`, {
      cause: this.#lastFailure,
    });
  }

  #probe(): Promise<boolean> {
    this.#probing ??= this.#options
      .probe()
      .then(
        () => this.#succeeded(),
        (error: unknown) => {
          // Refused TLS and the like: someone is there, and the next call reports it properly.
          if (error instanceof UpstreamUnreachableError) this.#failed(error);
          else this.#succeeded();
        },
      )
      .then(() => !this.isOpen)
      .finally(() => {
        this.#probing = undefined;
      });
    return this.#probing;
  }

  #succeeded(): void {
    this.#firstFailureAt = undefined;
    this.#lastFailure = undefined;
    this.#pauseMs = this.#options.timings.cutOffAfterMs;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#switchTo('up');
  }

  #failed(error: UpstreamUnreachableError): void {
    const now = this.#options.clock.monotonic();
    this.#lastFailureAt = now;
    this.#lastFailure = error.cause ?? error;
    if (this.#firstFailureAt === undefined) this.#firstFailureAt = now;
    else if (now - this.#firstFailureAt >= this.#options.timings.cutOffAfterMs) {
      this.#switchTo('cut-off');
    }
    this.#schedule();
  }

  #schedule(): void {
    if (!this.#options.triesByItself || this.#timer !== undefined || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const { longestPauseMs } = this.#options.timings;
      if (this.#state === 'cut-off') this.#pauseMs = Math.min(longestPauseMs, this.#pauseMs * 1.5);
      void this.#probe();
    }, this.#pauseMs + TIMER_SLACK_MS).unref();
  }

  #switchTo(state: ReachabilityState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#since = this.#options.clock.now();
    for (const listener of this.#listeners) listener(state);
  }
}
