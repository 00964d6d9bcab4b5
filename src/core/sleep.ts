import { setTimeout as delay } from 'node:timers/promises';

/** Waits `ms` milliseconds; ends early, and quietly, when `signal` aborts. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}

/** A pause of `baseMs · 2^attempt`, at most `capMs`, with full jitter between half of it and all of it. */
export function backoffMs(attempt: number, baseMs: number, capMs: number): number {
  const full = Math.min(capMs, baseMs * 2 ** attempt);
  return full / 2 + Math.random() * (full / 2);
}
