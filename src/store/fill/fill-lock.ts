import { rmSync } from 'node:fs';
import { join } from 'node:path';
import lockfile from 'proper-lockfile';
import { codeOf } from '../../core/errors.ts';
import type { Layout } from '../layout.ts';

/** How long a lock may go without a sign of life before others take it, in milliseconds. */
const STALE_MS = 5_000;

export interface FillLock {
  /** Never throws: a lock that is lost already is nobody's business any more. */
  release(): Promise<void>;
}

/** How the lock of a fill is tried; tests put in one that never says no. */
export type TryFillLock = (
  layout: Layout,
  key: string,
  onCompromised: () => void,
) => Promise<FillLock | undefined>;

/**
 * Tries once to take the lock of `key`; `undefined` when somebody holds it. `onCompromised` is called
 * when the lock was lost (this process was stopped for longer than the stale time): whoever took it
 * may be at work. Locks save traffic and guard nothing: where none can be made (disk full, read-only),
 * the work goes on without.
 */
export const tryFillLock: TryFillLock = async (layout, key, onCompromised) => {
  try {
    const release = await lockfile.lock(join(layout.locksDir, key), {
      lockfilePath: lockPath(layout, key),
      realpath: false,
      retries: 0,
      stale: STALE_MS,
      update: 1_000,
      onCompromised,
    });
    return { release: () => release().catch(() => {}) };
  } catch (error) {
    if (codeOf(error) === 'ELOCKED') return undefined;
    return { release: async () => {} };
  }
};

/** Removes the lock of a dead holder, so that the next try succeeds at once. */
export function breakFillLock(layout: Layout, key: string): void {
  rmSync(lockPath(layout, key), { recursive: true, force: true });
}

function lockPath(layout: Layout, key: string): string {
  return join(layout.locksDir, `${key}.lock`);
}
