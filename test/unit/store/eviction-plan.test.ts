import { describe, expect, it } from 'vitest';
import type { ProjectName } from '../../../src/packaging/names.ts';
import { planEviction } from '../../../src/store/eviction-plan.ts';
import type { EvictionGoal, EvictionReason } from '../../../src/store/eviction-plan.ts';
import type { EvictableFile } from '../../../src/store/file-table.ts';

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 0, 1);
const ALL_IS_WELL: EvictionGoal = {
  maxSizeBytes: 1_000,
  maxAgeMs: null,
  reserveBytes: 0,
  unused: false,
};

/** Ten files of 100 bytes, used ten to one hours ago. */
const files = Array.from({ length: 10 }, (_, at) => file(at));

function file(at: number, changes: Partial<EvictableFile> = {}): EvictableFile {
  const usedAt = NOW - (10 - at) * HOUR;
  return {
    upstream: 'pypi',
    path: `packages/${at}`,
    project: 'demo' as ProjectName,
    sizeBytes: 100,
    storedAt: usedAt,
    usedAt,
    hits: 1,
    ...changes,
  };
}

function plan(
  goal: Partial<EvictionGoal>,
  state: { heldBytes?: number; freeBytes?: number } = {},
  from: readonly EvictableFile[] = files,
): [string, EvictionReason][] {
  const full = { now: NOW, heldBytes: 1_000, freeBytes: 1_000, ...state };
  return planEviction(from, full, { ...ALL_IS_WELL, ...goal }).map(({ file: each, reason }) => [
    each.path,
    reason,
  ]);
}

describe('an eviction', () => {
  it('takes nothing while all limits hold', () => {
    expect(plan({})).toEqual([]);
  });

  it('takes what was used longest ago, some more than must go', () => {
    expect(plan({ maxSizeBytes: 800 })).toEqual(
      // 95 % of 800 bytes is the goal, so that not every new file evicts one.
      [0, 1, 2].map((at) => [`packages/${at}`, 'size']),
    );
  });

  it('takes what was not used for too long, whatever the size', () => {
    expect(plan({ maxAgeMs: 8.5 * HOUR })).toEqual([
      ['packages/0', 'age'],
      ['packages/1', 'age'],
    ]);
  });

  it('takes as much as the disk is short of its reserve', () => {
    expect(plan({ reserveBytes: 1_150 })).toEqual([
      ['packages/0', 'reserve'],
      ['packages/1', 'reserve'],
    ]);
  });

  it('takes on demand what nobody asked for again, but for the last hour', () => {
    const some = [file(1, { hits: 0 }), file(2), file(9, { hits: 0 }), file(10, { hits: 0 })];
    expect(plan({ unused: true }, {}, some)).toEqual([
      ['packages/1', 'unused'],
      ['packages/9', 'unused'],
    ]);
  });
});
