/** Pages that contradict what is known: nothing that was right once is spoilt. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { FakeFile, FakeUpstream } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { DEFAULTS, hold, stageFolder, stageUpstream, startMirror } from '../support/mirror.ts';
import type { MirrorOptions, TestMirror } from '../support/mirror.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import { alarmKinds, fileOf, skipFreshness, wholePage } from './looking.ts';

const PAGE = '/simple/demo/';
const SDIST = writeSdist({ name: 'demo', version: '1.0' });
const NEXT = writeSdist({ name: 'demo', version: '2.0' });
const HOUR = 3_600_000;

async function demo(
  files: readonly FakeFile[] = [SDIST],
  options: Partial<MirrorOptions> = {},
): Promise<{ upstream: FakeUpstream; mirror: TestMirror }> {
  const upstream = await stageUpstream({ projects: { demo: files }, serial: 10 });
  return { upstream, mirror: await startMirror({ upstreams: [upstream], ...options }) };
}

describe('a known file with another digest', () => {
  it('keeps its old entry, and an alarm is raised once for each look', async () => {
    const { upstream, mirror } = await demo();
    const path = upstream.filePath(SDIST.filename);
    await hold(mirror, path);
    await mirror.page('demo');
    upstream.setProject('demo', [{ ...SDIST, listedSha256: NEXT.sha256, yanked: 'bad' }, NEXT]);
    skipFreshness(mirror);
    const page = await wholePage(mirror);
    expect(fileOf(page, SDIST.filename)).toMatchObject({
      hashes: { sha256: SDIST.sha256 },
      yanked: 'bad',
    });
    expect(page.files).toHaveLength(2);
    expect(alarmKinds(mirror)).toEqual(['changed-digest']);
    expect(sha256Of((await mirror.get(path)).body)).toBe(SDIST.sha256);
  });
});

describe('a page whose serial falls', () => {
  async function fallen(): Promise<{ upstream: FakeUpstream; mirror: TestMirror }> {
    const stage = await demo([SDIST, NEXT]);
    stage.upstream.setProject('demo', [SDIST, NEXT]);
    await stage.mirror.page('demo');
    stage.upstream.setProject('demo', null);
    stage.upstream.behaviour.serial = 3;
    stage.upstream.setProject('demo', [SDIST]);
    return stage;
  }

  it('is asked for once more past all caches, then ours is kept', async () => {
    const { upstream, mirror } = await fallen();
    upstream.forget();
    skipFreshness(mirror);
    expect((await mirror.page('demo')).filenames).toHaveLength(2);
    const looks = upstream.requests.filter(({ path }) => path === PAGE);
    expect(looks).toHaveLength(2);
    expect(looks[1]?.headers['cache-control']).toBe('no-cache');
    expect(looks[1]?.headers).not.toHaveProperty('if-none-match');
    expect(alarmKinds(mirror)).toEqual(['went-back']);
  });

  it('is believed after a day', async () => {
    const { mirror } = await fallen();
    for (let hour = 0; hour < 25; hour += 6) {
      expect((await mirror.page('demo')).filenames).toHaveLength(2);
      mirror.clock.advance(6 * HOUR);
    }
    expect((await mirror.page('demo')).filenames).toHaveLength(1);
  });

  it('only for a moment (an old copy of a cache) is taken from the second look', async () => {
    const { upstream, mirror } = await demo([SDIST]);
    await mirror.page('demo');
    upstream.setProject('demo', [SDIST, NEXT]);
    const body = '{"meta":{"api-version":"1.4","_last-serial":2},"name":"demo","files":[]}';
    const headers = { 'x-pypi-last-serial': '2', etag: '"old"', 'content-encoding': null };
    upstream.fault(PAGE, { times: 1, body, headers });
    skipFreshness(mirror);
    expect((await mirror.page('demo')).filenames).toHaveLength(2);
    expect(alarmKinds(mirror)).toEqual([]);
  });
});

describe('a page that is suddenly empty', () => {
  it('without a higher serial is asked for again, then taken with an alarm', async () => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST] }, serial: null });
    const mirror = await startMirror({ upstreams: [upstream] });
    await hold(mirror, upstream.filePath(SDIST.filename));
    await mirror.page('demo');
    upstream.setProject('demo', []);
    upstream.forget();
    skipFreshness(mirror);
    await mirror.page('demo');
    expect(upstream.count(PAGE)).toBe(2);
    expect(alarmKinds(mirror)).toEqual(['went-back']);
  });

  it('with a higher serial is taken as it is', async () => {
    const { upstream, mirror } = await demo();
    await mirror.page('demo');
    upstream.setProject('demo', []);
    skipFreshness(mirror);
    expect((await mirror.page('demo')).filenames).toEqual([]);
    expect(alarmKinds(mirror)).toEqual([]);
  });
});

describe('a project that is gone', () => {
  it('is kept for a day, then it is a 404', async () => {
    const { upstream, mirror } = await demo();
    await mirror.page('demo');
    upstream.setProject('demo', null);
    for (const hours of [1, 10, 12]) {
      mirror.clock.advance(hours * HOUR);
      expect((await mirror.page('demo')).filenames, String(hours)).toEqual([SDIST.filename]);
    }
    mirror.clock.advance(3 * HOUR);
    await mirror.page('demo');
    mirror.clock.advance(HOUR);
    expect((await mirror.page('demo')).status).toBe(404);
  });

  it('that comes back starts no day of grace half over', async () => {
    const { upstream, mirror } = await demo();
    await mirror.page('demo');
    upstream.setProject('demo', null);
    mirror.clock.advance(HOUR);
    await mirror.page('demo');
    upstream.setProject('demo', [SDIST]);
    mirror.clock.advance(20 * HOUR);
    await mirror.page('demo');
    upstream.setProject('demo', null);
    mirror.clock.advance(10 * HOUR);
    expect((await mirror.page('demo')).status).toBe(200);
  });
});

describe('another index URL', () => {
  it('starts afresh: no page and no guard of the old one holds', async () => {
    const { upstream, mirror } = await demo();
    await mirror.page('demo');
    await mirror.stop();
    const other = await stageUpstream({
      projects: { demo: [{ ...SDIST, content: NEXT.content, listedSha256: NEXT.sha256 }] },
      serial: 1,
    });
    const later = await startMirror({ upstreams: [other], cacheDir: mirror.cacheDir });
    const page = await wholePage(later);
    expect(fileOf(page, SDIST.filename).hashes).toEqual({ sha256: NEXT.sha256 });
    expect(alarmKinds(later)).toEqual([]);
    expect(upstream.count(PAGE)).toBe(1);
  });
});

describe('a file without a digest', () => {
  const WHEEL = writeWheel({ name: 'demo', version: '3.0' });
  const BARE: FakeFile = { ...WHEEL, hashless: true, path: '/files/demo-3.0-py3-none-any.whl' };
  const CHANGED: FakeFile = {
    ...BARE,
    content: writeWheel({ name: 'demo', version: '3.0', requires: ['x'] }).content,
  };

  it('is held to what it was first, which the page then lists', async () => {
    const { upstream, mirror } = await demo([BARE]);
    const { urls } = await mirror.page('demo');
    const path = urls[WHEEL.filename] ?? '';
    await hold(mirror, path);
    expect(fileOf(await wholePage(mirror), WHEEL.filename).hashes).toEqual({
      sha256: WHEEL.sha256,
    });
    expect(upstream.count('/files/demo-3.0-py3-none-any.whl')).toBe(1);
  });

  it('is held to it past eviction: other bytes under its name are refused', async () => {
    const { upstream, mirror } = await demo([BARE]);
    const { urls } = await mirror.page('demo');
    const path = urls[WHEEL.filename] ?? '';
    await hold(mirror, path);
    const { catalog } = mirror.mirror.store;
    const held = catalog.findFile('pypi', decodeURIComponent(path.slice(1)));
    if (held === undefined) throw new Error('not held');
    await eventually(() => expect(catalog.findFile('pypi', `${held.path}.metadata`)).toBeDefined());
    await catalog.removeFiles([held], 0);
    rmSync(join(mirror.cacheDir, 'mirror', held.path));
    upstream.setProject('demo', [CHANGED]);
    skipFreshness(mirror);
    const page = await wholePage(mirror);
    expect(fileOf(page, WHEEL.filename).hashes).toEqual({ sha256: WHEEL.sha256 });
    const status = await mirror.get(path).then(
      (answer) => answer.status,
      () => 502,
    );
    expect(status).toBe(502);
  });

  it('is never fetched in the strict mode', async () => {
    const settings = { index: { ...DEFAULTS.index, withoutDigest: 'refuse' as const } };
    const { upstream, mirror } = await demo([BARE], { settings });
    const { urls } = await mirror.page('demo');
    const { status, text } = await mirror.get(urls[WHEEL.filename] ?? '');
    expect(status).toBe(403);
    expect(text).toContain('without a digest');
    expect(upstream.count(BARE.path ?? '')).toBe(0);
  });

  it.each([
    ['cut in the middle', WHEEL.content.subarray(0, 300)],
    ['a page of errors', Buffer.from('<html>Not the file</html>'.repeat(20))],
  ])('must have a readable archive end: not %s', async (_what, content) => {
    const upstream = await stageUpstream({ mode: 'html', legacyJson: false });
    upstream.setProject('demo', [{ ...BARE, content }]);
    const mirror = await startMirror({ upstreams: [upstream], cacheDir: await stageFolder() });
    const { urls } = await mirror.page('demo');
    const path = urls[WHEEL.filename] ?? '';
    const status = await mirror.get(path).then(
      (answer) => answer.status,
      () => 502,
    );
    expect(status).toBe(502);
    const held = mirror.mirror.store.catalog.findFile('pypi', decodeURIComponent(path.slice(1)));
    expect(held).toBeUndefined();
  });
});
