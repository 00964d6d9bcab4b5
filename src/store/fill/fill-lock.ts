import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import lockfile from 'proper-lockfile';
import { codeOf } from '../../core/errors.ts';
import { sleep } from '../../core/sleep.ts';
import type { Layout } from '../layout.ts';
import {
  claimSuccession,
  claimedForMs,
  isForsaken,
  readFillState,
  silentForMs,
} from './fill-state.ts';

/** How long a lock may go without a sign of life before others take it, in milliseconds. */
const STALE_MS = 5_000;

/** A race for a stale lock takes some milliseconds. */
const RACE_MS = 50;

/** An owner, or whoever has claimed a succession, is taken for at work so long after its last sign of life. */
const AT_WORK_MS = 2_000;

/** A lock that is held. */
export interface FillLock {
  /** Never throws: a lock that is lost already is nobody's business any more. */
  release(): Promise<void>;
}

/** How the lock of a fill is tried; tests put in one that never says no. */
export type TryFillLock = (
  layout: Layout,
  key: string,
  options: FillLockOptions,
) => Promise<FillLock | undefined>;

/** What goes with one attempt. */
export interface FillLockOptions {
  /** Called when the lock was lost: whoever took it may be at work. */
  readonly onCompromised: () => void;
  /** Nonces of ownerships, dead or silent, whose succession is ours; a claim that succeeds is added. */
  readonly claims: Set<string>;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/**
 * Tries once to take the lock of `key`; `undefined` when somebody holds it, or is at work without it. It is
 * lost when this process was stopped for longer than the stale time, or when something removes or touches
 * it. Locks save traffic and guard nothing: where none can be made (disk full, read-only), the work goes
 * on without.
 */
export const tryFillLock: TryFillLock = async (layout, key, options) => {
  const path = lockPath(layout, key);
  try {
    const wasThere = existsSync(path);
    const release = await lockfile.lock(join(layout.locksDir, key), {
      lockfilePath: path,
      realpath: false,
      retries: 0,
      stale: STALE_MS,
      update: 1_000,
      onCompromised: options.onCompromised,
    });
    // Not given back when it is another's by now: that would take theirs away.
    if (wasThere && !(await isStillOurs(path))) return undefined;
    const lock = { release: () => release().catch(() => {}) };
    if (isFree(layout, key, options)) return lock;
    await lock.release();
    return undefined;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ELOCKED') return undefined;
    // Another one took our new lock for the stale one and removed it: it may be at work.
    if (code === 'ENOENT' && existsSync(layout.locksDir)) return undefined;
    return { release: async () => {} };
  }
};

/**
 * Several that find a stale lock at once remove each other's new ones for it, and the last one has it:
 * waits until that is over.
 */
async function isStillOurs(path: string): Promise<boolean> {
  const before = identityOf(path);
  await sleep(RACE_MS);
  return before !== undefined && before === identityOf(path);
}

/** Another for every lock made at the path; the same until the lock is renewed. */
function identityOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && `${found.ino} ${found.ctimeNs}`;
}

/**
 * Whether nobody else is at it, as far as the note tells. Several can come to think that a stale lock is
 * theirs, and one of them may need long to say in a note that it is at work: of those that find an owner dead or
 * silent, the one that claims its succession goes on. And an owner that is at work can lose its own lock.
 */
function isFree(layout: Layout, key: string, { claims, now }: FillLockOptions): boolean {
  const state = readFillState(layout, key);
  if (state === undefined || state.phase === 'failed') return true;
  if (!isForsaken(state) && silentForMs(layout, key, state, now()) < AT_WORK_MS) return false;
  if (claims.has(state.nonce)) return true;
  if (claimSuccession(layout, key, state)) {
    claims.add(state.nonce);
    return true;
  }
  return claimedForMs(layout, key, state, now()) >= AT_WORK_MS;
}

/** Removes the lock of a dead holder, so that the next try succeeds at once. */
export function breakFillLock(layout: Layout, key: string): void {
  rmSync(lockPath(layout, key), { recursive: true, force: true });
}

function lockPath(layout: Layout, key: string): string {
  return join(layout.locksDir, `${key}.lock`);
}
