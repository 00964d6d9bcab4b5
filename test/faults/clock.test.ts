/** Table C, row 6: what a clock that jumps may make of the age of files. */
import { expect } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { hold, stageFolder, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';
import { faultTable } from './fault-row.ts';
import { NEWER, WHEEL } from './fault-stage.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;
const BASE = loadConfig({ env: {}, homeDir: '/nonexistent' });

/** A mirror in a folder of its own whose files may be 90 days old, and holds one. */
async function aged(): Promise<{ mirror: TestMirror; upstream: FakeUpstream; wheelPath: string }> {
  const upstream = await stageUpstream({ projects: { demo: [WHEEL, NEWER] } });
  const wheelPath = upstream.filePath(WHEEL.filename);
  const mirror = await startAged(upstream, await stageFolder(), new ShiftedClock());
  await hold(mirror, wheelPath);
  return { mirror, upstream, wheelPath };
}

function startAged(
  upstream: FakeUpstream,
  cacheDir: string,
  clock: ShiftedClock,
): Promise<TestMirror> {
  const cache = { ...BASE.cache, dir: cacheDir, maxAgeMs: 90 * DAY };
  return startMirror({ upstreams: [upstream], cacheDir, clock, settings: { cache } });
}

/** What a server does each minute, several times; the files that are held then. */
async function heldAfterPasses({ mirror }: TestMirror): Promise<number> {
  for (let pass = 0; pass < 3; pass++) await mirror.store.eviction.run();
  return mirror.store.catalog.heldCounts().files;
}

faultTable('C: jumps of the clock', [
  {
    id: 'C6',
    what: 'a clock that jumps ahead evicts nothing by age, whoever asks meanwhile, until it is set right',
    run: async () => {
      for (const jumpMs of [30 * DAY, YEAR, 10 * YEAR]) {
        const { mirror, wheelPath } = await aged();
        const held = await heldAfterPasses(mirror);
        expect(held).toBeGreaterThan(0);
        mirror.clock.jump(jumpMs);
        expect(await heldAfterPasses(mirror)).toBe(held);
        mirror.clock.advance(20 * HOUR);
        expect(await heldAfterPasses(mirror)).toBe(held);
        mirror.clock.jump(-jumpMs);
        expect(await heldAfterPasses(mirror)).toBe(held);
        expect((await mirror.get(wheelPath)).status).toBe(200);
      }
    },
  },
  {
    id: 'C6',
    what: 'a server that starts with a clock far ahead evicts nothing by age at once',
    run: async () => {
      const { mirror, upstream, wheelPath } = await aged();
      const held = await heldAfterPasses(mirror);
      await mirror.stop();
      const clock = new ShiftedClock();
      clock.jump(10 * YEAR);
      const next = await startAged(upstream, mirror.cacheDir, clock);
      expect(await heldAfterPasses(next)).toBe(held);
      clock.advance(2 * HOUR);
      expect(await heldAfterPasses(next)).toBe(held);
      expect((await next.get(wheelPath)).status).toBe(200);
    },
  },
  {
    id: 'C6',
    what: 'time that really passes makes files old, a sleeping computer or a small correction between',
    run: async () => {
      const { mirror } = await aged();
      const held = await heldAfterPasses(mirror);
      for (let day = 0; day < 89; day++) {
        mirror.clock.advance(16 * HOUR);
        await mirror.mirror.store.eviction.run();
        mirror.clock.jump(8 * HOUR);
        await mirror.mirror.store.eviction.run();
      }
      expect(await heldAfterPasses(mirror)).toBe(held);
      mirror.clock.advance(2 * DAY);
      expect(await heldAfterPasses(mirror)).toBe(0);
    },
  },
  {
    id: 'C6',
    what: 'a clock that is believed again after a day of even going evicts what is old by it',
    run: async () => {
      const { mirror } = await aged();
      await heldAfterPasses(mirror);
      mirror.clock.jump(YEAR);
      await heldAfterPasses(mirror);
      mirror.clock.advance(25 * HOUR);
      expect(await heldAfterPasses(mirror)).toBe(0);
    },
  },
]);
