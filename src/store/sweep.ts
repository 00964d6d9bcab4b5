import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import type { Catalog } from './catalog.ts';
import { readFillState } from './fill/fill-state.ts';
import type { FillState } from './fill/fill-state.ts';
import { isProvablyDead } from './fill/process-identity.ts';
import type { Layout } from './layout.ts';

/** A left partial is resumed by the next request for the file; after this long nobody will come. */
const RESUMABLE_FOR_MS = 24 * 3_600_000;
/** Between making a file and naming it in a note an owner needs some milliseconds. */
const UNNAMED_FOR_MS = 2_000;
/** A temporary file is named by nobody; whoever writes it may be stopped for a while. */
const TEMPORARY_FOR_MS = 60_000;
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
 * that can be resumed is no litter for a day; one whose file was stored meanwhile is.
 */
export async function sweep(
  layout: Layout,
  catalog: Pick<Catalog, 'findFile'>,
  clock: Clock,
): Promise<SweepReport> {
  const report = { removed: 0, resumable: 0 };
  const living = new Set<string>();
  for (const [key, names] of groupByKey(await readdir(layout.partialDir))) {
    const state = readFillState(layout, key);
    if (state !== undefined && isAtWork(state)) living.add(key);
    const kept = state === undefined ? null : await keptData(layout, catalog, clock, state);
    if (kept !== null && !living.has(key)) report.resumable++;
    for (const name of names) {
      if (kept !== null && (name === kept || name === `${key}.json`)) continue;
      const ageMs = name.endsWith('.tmp') ? TEMPORARY_FOR_MS : UNNAMED_FOR_MS;
      report.removed += await removeIfOlder(join(layout.partialDir, name), clock, ageMs);
    }
  }
  for (const name of await readdir(layout.locksDir)) {
    if (living.has(keyOf(name))) continue;
    report.removed += await removeIfOlder(join(layout.locksDir, name), clock, LOCK_ALIVE_MS);
  }
  return report;
}

/** The data file that must stay, if any. */
async function keptData(
  layout: Layout,
  catalog: Pick<Catalog, 'findFile'>,
  clock: Clock,
  state: FillState,
): Promise<string | null> {
  if (isAtWork(state)) return state.dataFile;
  // Nobody goes on with what has failed.
  if (state.phase === 'failed') return null;
  if (catalog.findFile(state.file.upstream, state.file.path) !== undefined) return null;
  const isKept = await isResumable(join(layout.partialDir, state.dataFile), clock);
  return isKept ? state.dataFile : null;
}

function isAtWork(state: FillState): boolean {
  return state.phase !== 'failed' && state.phase !== 'left' && !isProvablyDead(state.owner);
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
