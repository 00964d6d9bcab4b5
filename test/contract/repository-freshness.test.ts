/** When pages are asked for again, and what is served while that fails: the whole program over a fake upstream. */
import { describe, expect, it, vi } from 'vitest';
import type { FakeUpstream, Fault } from '../support/fake-upstream.ts';
import { JSON_PAGE, QUICK, stageUpstream, startMirror } from '../support/mirror.ts';
import { writeSdist } from '../support/wheel-writer.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const PAGE = '/simple/demo/';

const sdist = (version: string, name = 'demo'): ReturnType<typeof writeSdist> =>
  writeSdist({ name, version });
const DEMO = [sdist('1.0'), sdist('1.1')];

/** Failures that take no longer than they must. */

async function demoUpstream(): Promise<FakeUpstream> {
  return await stageUpstream({ projects: { demo: DEMO } });
}

describe('a page', () => {
  it('is asked for once while it is fresh, then confirmed by its entity tag', async () => {
    const upstream = await demoUpstream();
    const { page, clock } = await startMirror({ upstreams: [upstream] });
    expect((await page('demo')).cacheStatus).toBe('wheelcellar; fwd=uri-miss; stored');
    clock.advance(9 * MINUTE);
    expect((await page('demo')).cacheStatus).toBe('wheelcellar; hit');
    expect(upstream.count(PAGE)).toBe(1);
    clock.advance(2 * MINUTE);
    expect((await page('demo')).cacheStatus).toBe('wheelcellar; hit');
    expect(upstream.requests.map(({ status }) => status)).toEqual([200, 304]);
    clock.advance(9 * MINUTE);
    await page('demo');
    expect(upstream.count(PAGE)).toBe(2);
  });

  it('is as fresh as its upstream says', async () => {
    const upstream = await demoUpstream();
    upstream.behaviour.maxAgeSeconds = 5;
    const { page, clock } = await startMirror({ upstreams: [upstream] });
    await page('demo');
    clock.advance(6_000);
    await page('demo');
    expect(upstream.count(PAGE)).toBe(2);
  });

  it('without an entity tag is confirmed by its bytes, and the client keeps what it has', async () => {
    const upstream = await stageUpstream({ projects: { demo: DEMO }, pageEtags: false });
    upstream.behaviour.maxAgeSeconds = null;
    const { get, clock } = await startMirror({ upstreams: [upstream] });
    const first = await get(PAGE);
    clock.advance(11 * MINUTE);
    const headers = { 'if-none-match': String(first.headers.etag) };
    expect((await get(PAGE, { headers })).status).toBe(304);
    expect(upstream.count(PAGE)).toBe(2);
  });

  it('that changed is served as soon as it is asked for again', async () => {
    const upstream = await demoUpstream();
    const { page, clock } = await startMirror({ upstreams: [upstream] });
    expect((await page('demo')).versions).toEqual(['1.0', '1.1']);
    upstream.setProject('demo', [...DEMO, sdist('2.0')]);
    expect((await page('demo')).versions).toEqual(['1.0', '1.1']);
    clock.advance(11 * MINUTE);
    expect((await page('demo')).versions).toEqual(['1.0', '1.1', '2.0']);
  });

  it('is asked for once by any number of clients at once', async () => {
    const upstream = await demoUpstream();
    upstream.fault(PAGE, { delayMs: 100 });
    const { page } = await startMirror({ upstreams: [upstream] });
    const pages = await Promise.all(Array.from({ length: 16 }, () => page('demo')));
    expect(pages.every(({ status }) => status === 200)).toBe(true);
    expect(upstream.count(PAGE)).toBe(1);
  });
});

describe('while the upstream is slow', () => {
  it('the stale page comes after a moment, to the next one at once, and the new one once it is there', async () => {
    const upstream = await demoUpstream();
    const { page, clock } = await startMirror({ upstreams: [upstream] });
    await page('demo');
    upstream.setProject('demo', [sdist('2.0'), ...DEMO]);
    upstream.fault(PAGE, { delayMs: 1_500 });
    clock.advance(11 * MINUTE);
    const first = await page('demo');
    expect(first.cacheStatus).toBe('wheelcellar; hit; detail=stale');
    expect(first.elapsedMs).toBeLessThan(700);
    const second = await page('demo');
    expect(second.versions).toEqual(['1.0', '1.1']);
    expect(second.elapsedMs).toBeLessThan(300);
    await vi.waitFor(async () => expect((await page('demo')).versions).toContain('2.0'), 5_000);
    expect(upstream.count(PAGE)).toBe(2);
  });
});

describe('while the upstream fails', () => {
  const captive =
    '<!DOCTYPE html><html><body><a href="/login">Log in to this network</a></body></html>';
  const faults: readonly (readonly [string, Fault])[] = [
    ['500', { status: 500 }],
    ['429', { status: 429, headers: { 'retry-after': '999999' } }],
    ['401', { status: 401 }],
    ['silence', { hang: true }],
    ['a broken connection', { resetBeforeHeaders: true }],
    ['a log-in page', { body: captive, headers: { 'content-type': 'text/html' } }],
    ['a broken document', { body: '{"files": [', headers: { etag: null } }],
  ];

  it.each(faults)(
    'with %s the stale page is served, the next time at once',
    async (_what, fault) => {
      const upstream = await demoUpstream();
      upstream.behaviour.pageEtags = false;
      const { page, clock } = await startMirror({ upstreams: [upstream], settings: QUICK });
      await page('demo');
      clock.advance(11 * MINUTE);
      upstream.fault('*', fault);
      const first = await page('demo');
      expect(first).toMatchObject({ status: 200, versions: ['1.0', '1.1'] });
      expect(first.cacheStatus).toBe('wheelcellar; hit; detail=stale');
      expect(first.elapsedMs).toBeLessThan(700);
      const second = await page('demo');
      expect(second).toMatchObject({ status: 200, versions: ['1.0', '1.1'] });
      expect(second.elapsedMs).toBeLessThan(300);
      upstream.clearFaults();
      clock.advance(30 * MINUTE);
      await vi.waitFor(
        async () => expect((await page('demo')).cacheStatus).toBe('wheelcellar; hit'),
        5_000,
      );
    },
  );

  it.each([
    ['500', { status: 500 }, 503],
    ['429', { status: 429 }, 503],
    ['401', { status: 401 }, 502],
    ['403', { status: 403 }, 502],
    ['407', { status: 407 }, 502],
    ['silence', { hang: true }, 503],
    ['a broken document', { body: '{"files": [', headers: { etag: null } }, 502],
  ] as const)('with %s and nothing stored, it is our failure', async (_what, fault, status) => {
    const upstream = await demoUpstream();
    upstream.fault('*', fault);
    const { get } = await startMirror({ upstreams: [upstream], settings: QUICK });
    const answer = await get(PAGE);
    expect(answer.status).toBe(status);
    expect(answer.headers).not.toHaveProperty('www-authenticate');
    if (status === 503) expect(answer.headers['retry-after']).toMatch(/^\d{1,2}$/);
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
    upstream.clearFaults();
    expect((await get(PAGE)).status).toBe(200);
  });
});

describe('a project that does not exist', () => {
  it('is remembered for a minute, under all its spellings', async () => {
    const upstream = await stageUpstream();
    const { get, page, clock } = await startMirror({ upstreams: [upstream] });
    expect((await page('later')).status).toBe(404);
    for (const spelling of ['later', 'Later', 'LATER']) await get(`/simple/${spelling}/`);
    expect(upstream.count('/simple/later/')).toBe(1);
    upstream.setProject('later', [sdist('1.0', 'later')]);
    clock.advance(50_000);
    expect((await page('later')).status).toBe(404);
    expect(upstream.count('/simple/later/')).toBe(1);
    clock.advance(15_000);
    expect((await page('later')).status).toBe(200);
  });

  it('any more is kept for a day, since the 404 may be a fault', async () => {
    const upstream = await demoUpstream();
    const { page, clock, log } = await startMirror({ upstreams: [upstream] });
    await page('demo');
    upstream.setProject('demo', null);
    clock.advance(11 * MINUTE);
    expect((await page('demo')).versions).toEqual(['1.0', '1.1']);
    expect(log.some(({ level, message }) => level === 'warn' && /24 hours/.test(message))).toBe(
      true,
    );
    clock.advance(23 * HOUR);
    expect((await page('demo')).versions).toEqual(['1.0', '1.1']);
    clock.advance(2 * HOUR);
    expect((await page('demo')).status).toBe(404);
  });

  it('any more and is there again is as it was', async () => {
    const upstream = await demoUpstream();
    const { page, clock } = await startMirror({ upstreams: [upstream] });
    await page('demo');
    upstream.setProject('demo', null);
    clock.advance(11 * MINUTE);
    await page('demo');
    upstream.setProject('demo', DEMO);
    clock.advance(30 * HOUR);
    expect((await page('demo')).versions).toEqual(['1.0', '1.1']);
    clock.advance(30 * HOUR);
    expect((await page('demo')).versions).toEqual(['1.0', '1.1']);
  });

  it('is not asked for by a name that cannot be one', async () => {
    const upstream = await stageUpstream();
    const { get } = await startMirror({ upstreams: [upstream] });
    const names = [
      '..%2f..%2fetc',
      '%00',
      '%ff%fe',
      'a%20b',
      '-',
      'ﬂask',
      'a'.repeat(5_000),
      '%e2%84%aa',
    ];
    for (const name of names) {
      expect((await get(`/simple/${encodeURI(decodeSafe(name))}/`)).status).toBe(404);
    }
    expect(upstream.requests).toHaveLength(0);
  });
});

describe('a captive portal met before the index', () => {
  it('leaves nothing behind', async () => {
    const upstream = await demoUpstream();
    const portal = '<html><body><form action="/login">Log in</form></body></html>';
    const clear = upstream.fault(PAGE, {
      body: portal,
      headers: { 'content-type': 'text/html', etag: null, 'cache-control': null },
    });
    const { page } = await startMirror({ upstreams: [upstream] });
    expect([404, 502, 503]).toContain((await page('demo')).status);
    clear();
    expect((await page('demo')).versions).toEqual(['1.0', '1.1']);
  });
});

describe('prefer_offline', () => {
  it('does not ask for what is stored, and asks for what is not', async () => {
    const upstream = await demoUpstream();
    const settings = { preferOffline: true };
    const { page, clock } = await startMirror({ upstreams: [upstream], settings });
    await page('demo');
    clock.advance(30 * 24 * HOUR);
    expect((await page('demo')).versions).toEqual(['1.0', '1.1']);
    expect(upstream.count(PAGE)).toBe(1);
  });
});

it('answers the root page without asking, in both forms', async () => {
  const upstream = await demoUpstream();
  const { get } = await startMirror({ upstreams: [upstream] });
  expect((await get('/simple/')).status).toBe(200);
  const { text } = await get('/', { headers: { accept: JSON_PAGE } });
  expect(JSON.parse(text)).toMatchObject({ projects: [] });
  expect(upstream.requests).toHaveLength(0);
});

/** Percent-encoded names as they are, others readable. */
function decodeSafe(name: string): string {
  try {
    return decodeURI(name);
  } catch {
    return name;
  }
}
