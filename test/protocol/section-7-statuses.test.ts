/** Status codes, chosen by what each makes installers do. */
import { describe, expect, it } from 'vitest';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { sendRaw } from '../support/http-client.ts';
import { hold, JSON_PAGE, QUICK, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { writeSdist } from '../support/wheel-writer.ts';

const PAGE = '/simple/demo/';
const SDIST = writeSdist({ name: 'demo', version: '1.0' });
const OTHER = writeSdist({ name: 'demo', version: '2.0' });

async function demo(): Promise<{ upstream: FakeUpstream; mirror: TestMirror }> {
  const upstream = await stageUpstream({ projects: { demo: [SDIST, OTHER] } });
  return { upstream, mirror: await startMirror({ upstreams: [upstream], settings: QUICK }) };
}

async function offline(upstream: FakeUpstream, cacheDir?: string): Promise<TestMirror> {
  const settings = { offline: true };
  return await startMirror({
    upstreams: [upstream],
    settings,
    ...(cacheDir === undefined ? {} : { cacheDir }),
  });
}

describe('§7 404', () => {
  it.each([404, 410, 451])(
    'is what an upstream’s %i becomes, remembered for a minute [D]',
    async (status) => {
      const { upstream, mirror } = await demo();
      upstream.fault('/simple/nope/', { status });
      for (let time = 0; time < 3; time++) {
        const { status: answered, headers } = await mirror.get('/simple/nope/');
        expect(answered).toBe(404);
        expect(headers['content-type']).toBe('text/plain; charset=utf-8');
      }
      expect(upstream.count('/simple/nope/')).toBe(1);
      mirror.clock.advance(61_000);
      await mirror.get('/simple/nope/');
      expect(upstream.count('/simple/nope/')).toBe(2);
    },
  );

  it('is what offline and not held is, at once, for pages and files [D]', async () => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST] } });
    const mirror = await offline(upstream);
    for (const target of [PAGE, upstream.filePath(SDIST.filename), '/pypi/demo/json']) {
      const { status, elapsedMs } = await mirror.get(target);
      expect(status, target).toBe(404);
      expect(elapsedMs).toBeLessThan(1_000);
    }
    expect(upstream.requests).toEqual([]);
  });

  it('offline lists exactly what is held, and serves it [D]', async () => {
    const { upstream, mirror } = await demo();
    await mirror.page('demo');
    const path = upstream.filePath(SDIST.filename);
    await hold(mirror, path);
    await mirror.stop();
    const later = await offline(upstream, mirror.cacheDir);
    const page = await later.page('demo');
    expect(page.filenames).toEqual([SDIST.filename]);
    expect((await later.get(path)).status).toBe(200);
    expect((await later.get(upstream.filePath(OTHER.filename))).status).toBe(404);
  });
});

describe('§7 an upstream that fails', () => {
  it.each([500, 502, 503, 429])(
    'with %i: 503 with a short Retry-After when nothing is stored [D]',
    async (status) => {
      const { upstream, mirror } = await demo();
      upstream.fault(PAGE, { status });
      const { status: answered, headers } = await mirror.get(PAGE);
      expect(answered).toBe(503);
      expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
      expect(Number(headers['retry-after'])).toBeLessThanOrEqual(5);
    },
  );

  it.each([500, 503, 429, 403, 401])(
    'with %i: the stale page with 200, when there is one [D]',
    async (status) => {
      const { upstream, mirror } = await demo();
      await mirror.page('demo');
      upstream.fault(PAGE, { status });
      mirror.clock.advance(601_000);
      const answer = await mirror.get(PAGE);
      expect(answer.status).toBe(200);
      expect(answer.headers['cache-status']).toBe('wheelcellar; hit; detail=stale');
      expect(answer.text).toContain(OTHER.filename);
    },
  );

  it.each([401, 403])(
    'with %i is never passed on: uv would stop its search there [C]',
    async (status) => {
      const { upstream, mirror } = await demo();
      upstream.fault('*', { status });
      for (const target of [PAGE, upstream.filePath(SDIST.filename)]) {
        expect((await mirror.get(target)).status, target).toBe(502);
      }
    },
  );

  it.each([
    [
      'no index',
      { body: 'Welcome to the hotel network', headers: { 'content-type': 'text/html' } },
    ],
    ['plain text', { headers: { 'content-type': 'text/plain' } }],
    ['broken JSON', { body: '{"files":[', headers: { 'content-type': JSON_PAGE } }],
  ])('with %s never spoils the page that is stored [C]', async (_what, fault) => {
    const { upstream, mirror } = await demo();
    const before = await mirror.page('demo');
    upstream.setProject('demo', [SDIST]);
    upstream.fault(PAGE, fault);
    mirror.clock.advance(601_000);
    expect((await mirror.page('demo')).filenames).toEqual(before.filenames);
  });

  it('with bytes that are not the listed ones: 502 or a broken connection, nothing is stored [D]', async () => {
    const lying = { ...SDIST, listedSha256: OTHER.sha256 };
    const upstream = await stageUpstream({ projects: { demo: [lying] } });
    const mirror = await startMirror({ upstreams: [upstream], settings: QUICK });
    const path = upstream.filePath(SDIST.filename);
    const status = await mirror.get(path).then(
      (answer) => answer.status,
      () => 502,
    );
    expect(status).toBe(502);
    expect(mirror.mirror.store.catalog.findFile('pypi', path.slice(1))).toBeUndefined();
  });
});

describe('§7 a request', () => {
  it('with another method gives 405 and Allow [S]', async () => {
    const { mirror } = await demo();
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const { status, headers } = await mirror.get(PAGE, { method });
      expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
    }
  });

  it('with an endless head gives 431, with garbage 400 [S]', async () => {
    const { mirror } = await demo();
    const { port } = new URL(mirror.origin);
    const head = `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`;
    expect(await sendRaw(mirror.origin, `${head}X: ${'x'.repeat(200_000)}\r\n\r\n`)).toMatch(
      /^(HTTP\/1\.1 431|$)/,
    );
    expect(await sendRaw(mirror.origin, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/);
  });
});

describe('§7 two indexes behind the mirror', () => {
  it.each([500, 403])(
    'a first one that answers %i ends the search: no public name in its place [D]',
    async (status) => {
      const first = await stageUpstream();
      const second = await stageUpstream({ projects: { demo: [SDIST] } });
      const mirror = await startMirror({ upstreams: [first, second], settings: QUICK });
      first.fault(PAGE, { status });
      expect((await mirror.get(PAGE)).status).toBe(status === 500 ? 503 : 502);
      expect(second.requests).toEqual([]);
    },
  );

  it('only a definite 404 lets the next one be asked [D]', async () => {
    const first = await stageUpstream();
    const second = await stageUpstream({ projects: { demo: [SDIST] } });
    const mirror = await startMirror({ upstreams: [first, second], settings: QUICK });
    expect((await mirror.page('demo')).filenames).toEqual([SDIST.filename]);
    expect(first.count(PAGE)).toBe(1);
  });
});
