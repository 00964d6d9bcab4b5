/** A huge page that changes: nobody waits for its bytes, and nobody gets old ones for long. */
import { describe, expect, it, vi } from 'vitest';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { setHugePage } from '../support/huge-page.ts';
import { JSON_PAGE, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';

const FILES = 3_000;
const SECOND = 1_000;

interface Seen {
  readonly serial: number;
  readonly cacheStatus: string;
  readonly files: number;
}

async function hugeStage(): Promise<{ upstream: FakeUpstream; mirror: TestMirror }> {
  const upstream = await stageUpstream();
  setHugePage(upstream, 'huge', { files: FILES, variant: 1 });
  const mirror = await startMirror({ upstreams: [upstream] });
  return { upstream, mirror };
}

async function look(mirror: TestMirror): Promise<Seen> {
  const { status, headers, text } = await mirror.get('/simple/huge/', {
    headers: { accept: JSON_PAGE },
  });
  expect(status).toBe(200);
  return {
    serial: Number(headers['x-pypi-last-serial']),
    cacheStatus: String(headers['cache-status']),
    files: (JSON.parse(text) as { files: unknown[] }).files.length,
  };
}

describe('a huge page that changes', () => {
  it('is replaced by the page before, marked stale, while it is written', async () => {
    const { upstream, mirror } = await hugeStage();
    expect((await look(mirror)).serial).toBe(1);
    setHugePage(upstream, 'huge', { files: FILES, variant: 2 });
    await mirror.mirror.refresh('huge' as never, false);
    const first = await look(mirror);
    expect([first.serial, first.cacheStatus]).toEqual([1, expect.stringContaining('stale')]);
    const serials: number[] = [];
    await vi.waitFor(
      async () => {
        serials.push((await look(mirror)).serial);
        expect(serials.at(-1)).toBe(2);
      },
      { timeout: 10_000, interval: 20 },
    );
    expect(serials).toEqual(serials.toSorted((a, b) => a - b));
    expect((await look(mirror)).serial).toBe(2);
  });

  it('is not replaced by anything when nobody has asked since it was fetched', async () => {
    const { upstream, mirror } = await hugeStage();
    await look(mirror);
    setHugePage(upstream, 'huge', { files: FILES, variant: 2 });
    await mirror.mirror.refresh('huge' as never, false);
    mirror.clock.advance(11 * SECOND);
    expect((await look(mirror)).serial).toBe(2);
  });

  it('is not replaced when its project is quarantined', async () => {
    const { upstream, mirror } = await hugeStage();
    expect((await look(mirror)).files).toBe(FILES);
    setHugePage(upstream, 'huge', { files: FILES, variant: 2, status: 'quarantined' });
    await mirror.mirror.refresh('huge' as never, false);
    expect((await look(mirror)).files).toBe(0);
  });
});
