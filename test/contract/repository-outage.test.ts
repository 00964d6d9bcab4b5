/** Offline by choice, cut off, several indexes: which files are listed, and who is asked. */
import { describe, expect, it, vi } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { eventually } from '../support/eventually.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import {
  index,
  JSON_PAGE,
  QUICK,
  stageFolder,
  stageUpstream,
  startMirror,
} from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';

const MINUTE = 60_000;
const sdist = (version: string, name = 'demo'): ReturnType<typeof writeSdist> =>
  writeSdist({ name, version });
const wheel = writeWheel({ name: 'demo', version: '1.1', requiresPython: '>=3.8' });
const DEMO = [sdist('1.0'), wheel, sdist('2.0')];

/** Fetches a project's page and these of its files. */
async function hold(
  mirror: TestMirror,
  filenames: readonly string[],
  project = 'demo',
): Promise<void> {
  const { urls } = await mirror.page(project);
  for (const filename of filenames) {
    expect((await mirror.get(urls[filename] ?? '/missing')).status).toBe(200);
  }
}

/** Every listed file can be had, and HTML, JSON and versions agree. */
async function expectServable(mirror: TestMirror, project = 'demo'): Promise<readonly string[]> {
  const { filenames, urls, versions } = await mirror.page(project);
  const html = (await mirror.get(`/simple/${project}/`)).text;
  const anchors = [...html.matchAll(/>([^<]+)<\/a>/g)].map(([, name]) => name);
  expect(anchors).toEqual(filenames);
  expect(new Set(versions)).toEqual(
    new Set(filenames.map((name) => /-(\d+\.\d+)/.exec(name)?.[1] ?? '')),
  );
  for (const filename of filenames) {
    const { status, body } = await mirror.get(urls[filename] ?? '');
    expect([filename, status]).toEqual([filename, 200]);
    expect(body.length).toBeGreaterThan(0);
  }
  return filenames;
}

describe('offline by choice', () => {
  it('exactly the held files are listed and served, and no connection is made', async () => {
    const upstream = await stageUpstream({
      projects: { demo: DEMO, other: [sdist('1.0', 'other')] },
    });
    const cacheDir = await stageFolder();
    const online = await startMirror({ upstreams: [upstream], cacheDir });
    await hold(online, [wheel.filename, 'demo-1.0.tar.gz']);
    await online.page('other');
    const notHeld = (await online.page('demo')).urls['demo-2.0.tar.gz'] ?? '';
    await online.stop();
    upstream.forget();

    const mirror = await startMirror({
      upstreams: [upstream],
      cacheDir,
      settings: { offline: true },
    });
    const listed = await expectServable(mirror);
    expect([...listed].toSorted()).toEqual(['demo-1.0.tar.gz', wheel.filename]);
    expect((await mirror.page('demo')).cacheStatus).toBe('wheelcellar; hit; detail=offline');
    for (const target of ['/simple/other/', '/simple/never/', notHeld, `/pypi/never/json`]) {
      const { status, text, elapsedMs } = await mirror.get(target);
      expect([target, status]).toEqual([target, 404]);
      expect(text).not.toBe('');
      expect(elapsedMs).toBeLessThan(300);
    }
    const root = await mirror.get('/simple/', { headers: { accept: JSON_PAGE } });
    expect(JSON.parse(root.text)).toMatchObject({ projects: [{ name: 'demo' }] });
    expect(mirror.mirror.transport.connectionsOpened).toBe(0);
    expect(upstream.connections).toBe(0);
  });

  it('the held core metadata is advertised and served', async () => {
    const upstream = await stageUpstream({ projects: { demo: DEMO } });
    const cacheDir = await stageFolder();
    const online = await startMirror({ upstreams: [upstream], cacheDir });
    await hold(online, [wheel.filename]);
    const url = (await online.page('demo')).urls[wheel.filename] ?? '';
    expect((await online.get(`${url}.metadata`)).text).toBe(wheel.metadata);
    await online.stop();
    const { get } = await startMirror({
      upstreams: [upstream],
      cacheDir,
      settings: { offline: true },
    });
    const page = await get('/simple/demo/', { headers: { accept: JSON_PAGE } });
    const { files } = JSON.parse(page.text) as { files: Record<string, unknown>[] };
    expect(files[0]?.['core-metadata']).toMatchObject({ sha256: expect.any(String) as string });
    expect((await get(`${url}.metadata`)).text).toBe(wheel.metadata);
  });

  it('a HEAD for what is not held says 404 as well', async () => {
    const upstream = await stageUpstream({ projects: { demo: DEMO } });
    const { get } = await startMirror({ upstreams: [upstream], settings: { offline: true } });
    for (const target of ['/simple/demo/', upstream.filePath('demo-1.0.tar.gz')]) {
      expect((await get(target, { method: 'HEAD' })).status).toBe(404);
    }
  });
});

describe('cut off', () => {
  it('begins with two failures to connect that lie apart, lists the held files, ends with a success', async () => {
    const upstream = await stageUpstream({ projects: { demo: DEMO } });
    const mirror = await startMirror({ upstreams: [upstream], settings: QUICK });
    await hold(mirror, [wheel.filename]);
    await upstream.down();
    mirror.clock.advance(11 * MINUTE);
    const first = await mirror.page('demo');
    expect(first.cacheStatus).toBe('wheelcellar; hit; detail=stale');
    expect(first.filenames).toHaveLength(3);
    const second = await mirror.page('demo');
    expect([second.filenames.length, second.elapsedMs < 300]).toEqual([3, true]);

    mirror.clock.advance(6_000);
    await mirror.page('demo');
    await eventually(async () => {
      const page = await mirror.page('demo');
      expect(page.cacheStatus).toBe('wheelcellar; hit; detail=cut-off');
    });
    expect(await expectServable(mirror)).toEqual([wheel.filename]);
    expect((await mirror.get('/-/stats')).text).toContain('cut-off');
    expect((await mirror.page('demo')).elapsedMs).toBeLessThan(300);

    await upstream.up();
    mirror.clock.advance(2_000);
    await vi.waitFor(async () => {
      mirror.clock.advance(1_100);
      expect((await mirror.page('demo')).filenames).toHaveLength(3);
    }, 5_000);
  });

  it('a file or a project of which nothing is stored is our failure, not a 404', async () => {
    const upstream = await stageUpstream({
      projects: { demo: DEMO, other: [sdist('1.0', 'other')] },
    });
    const mirror = await startMirror({ upstreams: [upstream], settings: QUICK });
    await hold(mirror, [wheel.filename]);
    const notHeld = (await mirror.page('demo')).urls['demo-2.0.tar.gz'] ?? '';
    await upstream.down();
    for (const isCutOff of [false, true]) {
      mirror.clock.advance(isCutOff ? 6_000 : 11 * MINUTE);
      for (const target of ['/simple/other/', notHeld]) {
        const { status, headers } = await mirror.get(target);
        expect([isCutOff, target, status]).toEqual([isCutOff, target, 503]);
        expect(headers['retry-after']).toMatch(/^\d+$/);
        expect(headers['cache-control']).toBe('no-store');
      }
    }
    expect(mirror.mirror.statistics().mode).toBe('cut-off');
  });

  it('does not begin with errors that somebody answers', async () => {
    const upstream = await stageUpstream({ projects: { demo: DEMO } });
    const mirror = await startMirror({ upstreams: [upstream], settings: QUICK });
    await hold(mirror, [wheel.filename]);
    upstream.fault('*', { status: 503 });
    for (let at = 0; at < 4; at++) {
      mirror.clock.advance(11 * MINUTE);
      expect((await mirror.page('demo')).filenames).toHaveLength(3);
    }
    expect(mirror.mirror.statistics().mode).toBe('online');
  });

  it('keeps the whole page where that is wished', async () => {
    const upstream = await stageUpstream({ projects: { demo: DEMO } });
    const settings = { ...QUICK, whenUnreachable: 'stale' as const };
    const mirror = await startMirror({ upstreams: [upstream], settings });
    await hold(mirror, [wheel.filename]);
    await upstream.down();
    for (let at = 0; at < 4; at++) {
      mirror.clock.advance(11 * MINUTE);
      const page = await mirror.page('demo');
      expect(page.filenames).toHaveLength(3);
      expect(page.cacheStatus).toBe('wheelcellar; hit; detail=stale');
    }
  });

  it('from the start, what is held is served', async () => {
    const upstream = await stageUpstream({ projects: { demo: DEMO } });
    const cacheDir = await stageFolder();
    const before = await startMirror({ upstreams: [upstream], cacheDir });
    await hold(before, [wheel.filename]);
    await before.stop();
    await upstream.down();
    const clock = new ShiftedClock();
    clock.advance(60 * MINUTE);
    const mirror = await startMirror({ upstreams: [upstream], cacheDir, clock, settings: QUICK });
    const page = await mirror.page('demo');
    expect(page.status).toBe(200);
    expect((await mirror.get(page.urls[wheel.filename] ?? '')).status).toBe(200);
  });
});

describe('several indexes', () => {
  async function two(
    first: Record<string, ReturnType<typeof sdist>[]>,
    second: Record<string, ReturnType<typeof sdist>[]>,
    settings: Partial<Config> = QUICK,
  ): Promise<{ a: FakeUpstream; b: FakeUpstream; mirror: TestMirror }> {
    const a = await stageUpstream({ projects: first });
    const b = await stageUpstream({ projects: second });
    return { a, b, mirror: await startMirror({ upstreams: [a, b], settings }) };
  }

  it('the first that has a project has it alone', async () => {
    const { b, mirror } = await two({ demo: [sdist('1.0')] }, { demo: [sdist('9.9')] });
    expect((await mirror.page('demo')).versions).toEqual(['1.0']);
    expect(b.requests).toHaveLength(0);
  });

  it('a 404 lets the next one be asked, and both remember it', async () => {
    const { a, b, mirror } = await two({}, { demo: [sdist('9.9')] });
    const page = await mirror.page('demo');
    expect(page.versions).toEqual(['9.9']);
    expect(page.urls['demo-9.9.tar.gz']).toMatch(/^\/packages\/-\/second\//);
    expect((await mirror.get(page.urls['demo-9.9.tar.gz'] ?? '')).status).toBe(200);
    await mirror.page('demo');
    expect([a.count('/simple/demo/'), b.count('/simple/demo/')]).toEqual([1, 1]);
  });

  it.each([
    ['503', { status: 503 }, 503],
    ['401', { status: 401 }, 502],
    ['silence', { hang: true }, 503],
  ] as const)('%s of the first ends the search', async (_what, fault, status) => {
    const { a, b, mirror } = await two({}, { demo: [sdist('9.9')] });
    a.fault('*', fault);
    expect((await mirror.page('demo')).status).toBe(status);
    expect(b.requests).toHaveLength(0);
  });

  it('a first one that is down ends the search, also when it is down for long', async () => {
    const { a, b, mirror } = await two({ demo: [sdist('1.0')] }, { demo: [sdist('9.9')] });
    await a.down();
    for (let at = 0; at < 4; at++) {
      expect((await mirror.page('demo')).status).toBe(503);
      mirror.clock.advance(6_000);
    }
    expect(b.requests).toHaveLength(0);
  });

  it('one is not asked for names outside its projects, and may then be down', async () => {
    const a = await stageUpstream({ projects: { 'acme-tool': [sdist('1.0', 'acme-tool')] } });
    const b = await stageUpstream({
      projects: { demo: [sdist('9.9')], 'acme-tool': [sdist('6.6', 'acme-tool')] },
    });
    const upstreams = [index('acme', a, { projects: ['acme-*'] }), index('pypi', b)];
    const mirror = await startMirror({ upstreams: [], settings: { ...QUICK, upstreams } });
    expect((await mirror.page('acme-tool')).versions).toEqual(['1.0']);
    await a.down();
    expect((await mirror.page('demo')).versions).toEqual(['9.9']);
    expect(a.requests.map(({ path }) => path)).not.toContain('/simple/demo/');
    expect((await mirror.page('acme-other')).status).toBe(503);
    expect(b.requests.map(({ path }) => path)).not.toContain('/simple/acme-other/');
  });

  it('offline, a first one that knows nothing does not hide what the second one holds', async () => {
    const cacheDir = await stageFolder();
    const a = await stageUpstream();
    const b = await stageUpstream({ projects: { demo: [sdist('9.9')] } });
    const online = await startMirror({ upstreams: [a, b], cacheDir });
    await hold(online, ['demo-9.9.tar.gz']);
    await online.stop();
    const clock = new ShiftedClock();
    clock.advance(60 * MINUTE);
    const mirror = await startMirror({
      upstreams: [a, b],
      cacheDir,
      clock,
      settings: { offline: true },
    });
    expect(await expectServable(mirror)).toEqual(['demo-9.9.tar.gz']);
  });
});
