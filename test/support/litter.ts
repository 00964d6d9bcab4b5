import { readdirSync } from 'node:fs';
import { systemClock } from '../../src/core/clock.ts';
import { layoutOf } from '../../src/store/layout.ts';
import { Catalog } from '../../src/store/catalog.ts';
import { sweep } from '../../src/store/sweep.ts';

/** What one sweep, two minutes from now, leaves in `partial/` and `locks/`. */
export async function litterAfterSweep(cacheDir: string): Promise<string[]> {
  const layout = layoutOf(cacheDir);
  const later = { ...systemClock, now: () => systemClock.now() + 120_000 };
  const catalog = await Catalog.open(layout, later);
  await sweep(layout, catalog, later);
  await catalog.close();
  return [...readdirSync(layout.partialDir), ...readdirSync(layout.locksDir)];
}
