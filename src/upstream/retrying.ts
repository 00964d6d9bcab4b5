import type { Clock } from '../core/clock.ts';
import { UpstreamUnavailableError, UpstreamUnreachableError } from '../core/errors.ts';
import { backoffMs, sleep } from '../core/sleep.ts';
import { PauseAskedError } from './statuses.ts';

/** How often, and after which waits, something is tried again. */
export interface RetryOptions {
  /** Attempts after the first. */
  readonly retries: number;
  /** No attempt begins later than this after the first one began. */
  readonly withinMs: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

const BASE_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 3_000;

/**
 * Tries again after a failure that may pass. Not after a failure to connect: that has cost its time
 * already, and the breaker tries again on its own.
 *
 * @param work is given the time left, in milliseconds
 */
export async function retrying<T>(
  options: RetryOptions,
  work: (leftMs: number) => Promise<T>,
): Promise<T> {
  const { clock, signal } = options;
  const end = clock.monotonic() + options.withinMs;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work(Math.max(1, end - clock.monotonic()));
    } catch (error) {
      const mayPass =
        error instanceof UpstreamUnavailableError && !(error instanceof UpstreamUnreachableError);
      if (!mayPass || attempt >= options.retries) throw error;
      const asked = error instanceof PauseAskedError ? error.retryAfterSeconds * 1000 : 0;
      const pauseMs = Math.max(asked, backoffMs(attempt, BASE_PAUSE_MS, LONGEST_PAUSE_MS));
      if (clock.monotonic() + pauseMs >= end) throw error;
      await sleep(pauseMs, signal);
      signal?.throwIfAborted();
    }
  }
}
