import type { EvictableFile } from './file-table.ts';

/**
 * Why a file goes: `age` (unused for longer than allowed), `size` (the cache is too large), `reserve`
 * (too little space is free on the disk), `unused` (nobody asked for it again; only on demand).
 */
export type EvictionReason = 'age' | 'size' | 'reserve' | 'unused';

/** A file that would go. */
export interface PlannedEviction {
  readonly file: EvictableFile;
  readonly reason: EvictionReason;
}

/** How things stand; sizes in bytes, times in epoch milliseconds. */
export interface EvictionState {
  readonly now: number;
  readonly heldBytes: number;
  /** Space that others can use on the disk, with what leaves it anyway when its grace time is over. */
  readonly freeBytes: number;
}

/** What shall hold afterwards; sizes in bytes. */
export interface EvictionGoal {
  readonly maxSizeBytes: number;
  /** Files unused for longer go; `null` for never. */
  readonly maxAgeMs: number | null;
  /** Free space that the disk shall have. */
  readonly reserveBytes: number;
  /** Whether files go that nobody asked for again since they were fetched. */
  readonly unused: boolean;
}

/** When the limit is passed, this share of it is made free, so that not every new file evicts one. */
const FREE_BELOW = 0.95;
/** Whoever fetched a file an hour ago may still want it, and its use may not have been written yet. */
const UNUSED_AFTER_MS = 3_600_000;

/**
 * The files that must go, least recently used first; `files` comes in that order. Pure: what is shown
 * by `gc --dry-run` is what an eviction does.
 */
export function planEviction(
  files: Iterable<EvictableFile>,
  state: EvictionState,
  goal: EvictionGoal,
): PlannedEviction[] {
  const { maxSizeBytes } = goal;
  const heldGoal = state.heldBytes > maxSizeBytes ? maxSizeBytes * FREE_BELOW : Infinity;
  const oldest = goal.maxAgeMs === null ? -Infinity : state.now - goal.maxAgeMs;
  const plan: PlannedEviction[] = [];
  let freed = 0;
  const limit = (file: EvictableFile): EvictionReason | null => {
    if (file.usedAt < oldest) return 'age';
    if (state.heldBytes - freed > heldGoal) return 'size';
    return state.freeBytes + freed < goal.reserveBytes ? 'reserve' : null;
  };
  for (const file of files) {
    const isUnused = goal.unused && file.hits === 0 && file.storedAt <= state.now - UNUSED_AFTER_MS;
    const reason = limit(file) ?? (isUnused ? 'unused' : null);
    if (reason !== null) {
      plan.push({ file, reason });
      freed += file.sizeBytes;
    } else if (!goal.unused) break;
  }
  return plan;
}
