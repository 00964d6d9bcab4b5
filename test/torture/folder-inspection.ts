import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { aheadCounts } from '../../src/repository/ahead/ledger.ts';
import type { AheadCounts } from '../../src/repository/ahead/ledger.ts';
import { systemClock } from '../../src/core/clock.ts';
import { Catalog } from '../../src/store/catalog.ts';
import { layoutOf } from '../../src/store/layout.ts';
import { sweep } from '../../src/store/sweep.ts';

/** How the folder was found when all was over. */
export interface FolderInspection {
  readonly filesOnDisk: number;
  readonly corruptOnDisk: string[];
  /** Acknowledged files that are not there. */
  readonly lost: string[];
  /** SQLite's own opinion of the catalog. */
  readonly quickCheck: string;
  readonly held: unknown;
  /** Whether the sums that triggers have kept are those of the files. */
  readonly sumsHold: boolean;
  readonly evicted: number;
  /** What was asked for ahead of clients. */
  readonly ahead: AheadCounts;
  readonly litter: {
    readonly before: number;
    readonly removed: number;
    readonly resumable: number;
    /** After one sweep, without what can be resumed: must be none. */
    readonly left: number;
  };
}

/**
 * Looks at a cache folder that nobody works on: digests every file, asks SQLite, sweeps once.
 *
 * @param right sha256 by filename of all files that there are
 * @param acknowledged filenames that must be there
 */
export async function inspectFolder(
  cacheDir: string,
  right: ReadonlyMap<string, string>,
  acknowledged: readonly string[],
): Promise<FolderInspection> {
  const layout = layoutOf(cacheDir);
  const corruptOnDisk: string[] = [];
  const found = new Set<string>();
  const packages = join(layout.mirrorDir, 'packages');
  const entries = existsSync(packages)
    ? readdirSync(packages, { recursive: true, withFileTypes: true })
    : [];
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex');
    if (entry.name.endsWith('.metadata')) continue;
    found.add(entry.name);
    if (sha256 !== right.get(entry.name)) corruptOnDisk.push(path);
  }
  const later = { ...systemClock, now: () => systemClock.now() + 120_000 };
  const catalog = await Catalog.open(layout, later);
  try {
    const before = leftovers(layout);
    const { removed, resumable } = await sweep(layout, catalog, later);
    return {
      filesOnDisk: found.size,
      corruptOnDisk,
      lost: acknowledged.filter((filename) => !found.has(filename)),
      quickCheck: catalog.quickCheck(),
      held: catalog.heldCounts(),
      sumsHold: sumsHold(catalog),
      evicted: catalog.counters()['evicted_files'] ?? 0,
      ahead: aheadCounts(catalog.counters()),
      litter: { before, removed, resumable, left: leftovers(layout) - 2 * resumable },
    };
  } finally {
    await catalog.close();
  }
}

function sumsHold(catalog: Catalog): boolean {
  const projects = catalog.holdings.projects();
  const files = projects.reduce((sum, project) => sum + project.files, 0);
  const bytes = projects.reduce((sum, project) => sum + project.bytes, 0);
  return files === catalog.heldCounts().files && bytes === catalog.heldBytes();
}

function leftovers(layout: ReturnType<typeof layoutOf>): number {
  return readdirSync(layout.partialDir).length + readdirSync(layout.locksDir).length;
}
