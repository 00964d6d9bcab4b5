import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { readFillState } from './fill/fill-state.ts';
import { isProvablyDead } from './fill/process-identity.ts';
import type { Layout } from './layout.ts';

/** A left partial is resumed by the next request for the file; after this long nobody will come. */
const RESUMABLE_FOR_MS = 24 * 3_600_000;
/** Between making a file and naming it in a note an owner needs some milliseconds. */
const UNNAMED_FOR_MS = 2_000;
/** A living holder renews its lock every second. A time far in the future never goes stale by itself. */
const LOCK_ALIVE_MS = 10_000;

/** What a sweep found. */
export interface SweepReport {
  readonly removed: number;
  /** Partials that the next request for their file will go on with. */
  readonly resumable: number;
}

/**
 * Removes what killed processes left in `partial/` and `locks/`: data that no note names, notes and
 * locks of the dead, succession marks, temporary files. Never what a living owner names. A partial
 * that can be resumed is no litter for a day.
 */
export async function sweep(layout: Layout, clock: Clock): Promise<SweepReport> {
  const byKey = groupByKey(await readdir(layout.partialDir));
  const locks = await readdir(layout.locksDir);
  const finishedKeys = new Set(locks.map(keyOf));
  let removed = 0;
  let resumable = 0;
  for (const [key, names] of byKey) {
    const state = readFillState(layout, key);
    const isAlive =
      state !== undefined &&
      state.phase !== 'failed' &&
      state.phase !== 'left' &&
      !isProvablyDead(state.owner);
    const keptData =
      state !== undefined &&
      (isAlive || (await isResumable(join(layout.partialDir, state.dataFile), clock)))
        ? state.dataFile
        : null;
    if (isAlive) finishedKeys.delete(key);
    else if (keptData !== null) resumable++;
    for (const name of names) {
      if (keptData !== null && (name === keptData || name === `${key}.json`)) continue;
      removed += await removeIfOlder(join(layout.partialDir, name), clock, UNNAMED_FOR_MS);
    }
  }
  for (const name of locks) {
    if (!finishedKeys.has(keyOf(name))) continue;
    removed += await removeIfOlder(join(layout.locksDir, name), clock, LOCK_ALIVE_MS);
  }
  return { removed, resumable };
}

function groupByKey(names: readonly string[]): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const name of names) groups.set(keyOf(name), [...(groups.get(keyOf(name)) ?? []), name]);
  return groups;
}

function keyOf(name: string): string {
  return name.slice(0, Math.max(0, name.indexOf('.')));
}

async function isResumable(dataFile: string, clock: Clock): Promise<boolean> {
  const found = await stat(dataFile).catch(() => undefined);
  return found !== undefined && found.size > 0 && clock.now() - found.mtimeMs < RESUMABLE_FOR_MS;
}

/** Age by the later of mtime and ctime: a claim by rename changes only the second. */
async function removeIfOlder(path: string, clock: Clock, ageMs: number): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || Math.abs(clock.now() - Math.max(found.mtimeMs, found.ctimeMs)) < ageMs)
    return 0;
  await rm(path, { recursive: true, force: true });
  return 1;
}
