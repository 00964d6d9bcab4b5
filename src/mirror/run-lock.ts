import { mkdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { BusyError } from '../core/errors.ts';
import { sleep } from '../core/sleep.ts';
import { tryFillLock } from '../store/fill/fill-lock.ts';
import type { Layout } from '../store/layout.ts';

/** What a run holds while it works. */
export interface RunLock {
  release(): Promise<void>;
}

const LOOK_AGAIN_MS = 300;

/**
 * Waits until no other run works on a folder. The lock lies beside the folder as `.<name>.run-mirror.lock`;
 * that of a killed run is free after five seconds.
 *
 * @param onWait hears once that somebody else is at work
 * @throws BusyError when that takes longer than `waitMs`
 */
export async function lockFolder(
  folder: string,
  layout: Layout,
  options: { readonly waitMs: number; readonly signal: AbortSignal; readonly onWait: () => void },
): Promise<RunLock> {
  mkdirSync(dirname(folder), { recursive: true });
  const beside: Layout = { ...layout, locksDir: dirname(folder) };
  const key = `.${basename(folder)}.run-mirror`;
  const until = performance.now() + options.waitMs;
  for (let attempt = 0; ; attempt++) {
    const lock = await tryFillLock(beside, key, () => {});
    if (lock !== undefined) return lock;
    if (performance.now() >= until) {
      throw new BusyError(`Another run-mirror is at work on ${folder}.`, {
        hint: 'Try again when it is through, or give it longer with --wait.',
      });
    }
    if (attempt === 0) options.onWait();
    await sleep(LOOK_AGAIN_MS, options.signal);
    options.signal.throwIfAborted();
  }
}
