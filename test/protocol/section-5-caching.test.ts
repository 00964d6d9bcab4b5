/** Caching headers and conditional requests. */
import { describe, expect, it } from 'vitest';
import { hold, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';

const PAGE = '/simple/demo/';
const DEMO = Array.from({ length: 12 }, (_, at) =>
  writeSdist({ name: 'demo', version: `1.${at}` }),
);
const WHEEL = writeWheel({ name: 'demo', version: '2.0' });

async function demo(): Promise<{ upstream: FakeUpstream; mirror: TestMirror }> {
  const upstream = await stageUpstream({ projects: { demo: [...DEMO, WHEEL] }, serial: 7 });
  return { upstream, mirror: await startMirror({ upstreams: [upstream] }) };
}

describe('§5 an index page', () => {
  it('is to be asked about every time, with a strong entity tag and the serial [C][D]', async () => {
    const { mirror } = await demo();
    const { headers } = await mirror.get(PAGE);
    expect(headers['cache-control']).toBe('max-age=0, must-revalidate');
    expect(headers.etag).toMatch(/^"[^"]+"$/);
    expect(headers['x-pypi-last-serial']).toBe('7');
    expect(headers).not.toHaveProperty('age');
  });

  it('never has Last-Modified, which uv alone would take for freshness [C]', async () => {
    const { upstream, mirror } = await demo();
    upstream.behaviour.pageLastModified = true;
    for (const target of [PAGE, '/simple/']) {
      const { headers } = await mirror.get(target);
      expect(headers).not.toHaveProperty('last-modified');
      expect(headers['cache-control']).toBe('max-age=0, must-revalidate');
    }
  });

  it('has another entity tag for each representation and coding [S]', async () => {
    const { mirror } = await demo();
    const tags = await Promise.all(
      ['text/html', 'application/vnd.pypi.simple.v1+json'].flatMap((accept) =>
        ['identity', 'gzip'].map(
          async (coding) =>
            (await mirror.get(PAGE, { headers: { accept, 'accept-encoding': coding } })).headers
              .etag,
        ),
      ),
    );
    expect(new Set(tags).size).toBe(4);
  });

  it('a 304 carries ETag, Vary and Cache-Control, and no body [S]', async () => {
    const { mirror } = await demo();
    const page = await mirror.get(PAGE);
    const same = await mirror.get(PAGE, {
      headers: { 'if-none-match': String(page.headers.etag) },
    });
    expect([same.status, same.body.length]).toEqual([304, 0]);
    for (const name of ['etag', 'vary', 'cache-control']) {
      expect(same.headers[name]).toBe(page.headers[name]);
    }
    expect(same.headers).not.toHaveProperty('content-encoding');
  });

  it.each(['*', 'W/TAG', '"a", TAG , "b"', '"a",W/TAG'])(
    'If-None-Match %s matches, for GET and HEAD [S]',
    async (pattern) => {
      const { mirror } = await demo();
      const tag = String((await mirror.get(PAGE)).headers.etag);
      const headers = { 'if-none-match': pattern.replace('TAG', tag) };
      for (const method of ['GET', 'HEAD']) {
        expect((await mirror.get(PAGE, { method, headers })).status).toBe(304);
      }
    },
  );

  it('If-None-Match beats If-Modified-Since [S]', async () => {
    const { mirror } = await demo();
    const headers = { 'if-none-match': '"other"', 'if-modified-since': new Date().toUTCString() };
    expect((await mirror.get(PAGE, { headers })).status).toBe(200);
    const alone = { 'if-modified-since': new Date().toUTCString() };
    expect((await mirror.get(PAGE, { headers: alone })).status).toBe(200);
  });

  it.each(['max-age=0', 'max-age=600', 'no-cache', 'no-store'])(
    'Cache-Control: %s of a client does not make us ask the upstream again [D]',
    async (directive) => {
      const { upstream, mirror } = await demo();
      await mirror.get(PAGE);
      await mirror.get(PAGE, { headers: { 'cache-control': directive, pragma: 'no-cache' } });
      expect(upstream.count(PAGE)).toBe(1);
    },
  );

  it('of an upstream without validators is compared by its bytes, and clients keep theirs [D]', async () => {
    const { upstream, mirror } = await demo();
    Object.assign(upstream.behaviour, { pageEtags: false, maxAgeSeconds: null });
    const first = await mirror.get(PAGE);
    mirror.clock.advance(601_000);
    const headers = { 'if-none-match': String(first.headers.etag) };
    expect((await mirror.get(PAGE, { headers })).status).toBe(304);
    expect(upstream.count(PAGE)).toBe(2);
  });
});

describe('§5 a file', () => {
  it.each(['', '.metadata'])(
    '%s is for ever, with its digest for an entity tag [W][D]',
    async (suffix) => {
      const { upstream, mirror } = await demo();
      const path = `${upstream.filePath(WHEEL.filename)}${suffix}`;
      for (const state of ['cold', 'held']) {
        const { status, headers } = await mirror.get(path);
        expect(status, state).toBe(200);
        expect(headers['cache-control'], state).toBe('public, max-age=31536000, immutable');
        expect(headers.etag, state).toMatch(/^"sha256-[0-9a-f]{64}"$/);
        expect(headers['accept-ranges'], state).toBe('bytes');
        expect(headers, state).not.toHaveProperty('last-modified');
        await hold(mirror, path);
      }
    },
  );

  it('is answered with 304 by its entity tag', async () => {
    const { upstream, mirror } = await demo();
    const path = upstream.filePath(WHEEL.filename);
    await hold(mirror, path);
    for (const tag of [`"sha256-${WHEEL.sha256}"`, `W/"sha256-${WHEEL.sha256}"`, '*']) {
      const { status, headers, body } = await mirror.get(path, {
        headers: { 'if-none-match': tag },
      });
      expect([status, body.length]).toEqual([304, 0]);
      expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
      expect(headers.etag).toBe(`"sha256-${WHEEL.sha256}"`);
    }
  });

  it('no directive of a client forces a round trip, as poetry and pip send with ranges [C]', async () => {
    const { upstream, mirror } = await demo();
    const path = upstream.filePath(WHEEL.filename);
    await hold(mirror, path);
    upstream.forget();
    const headers = { 'cache-control': 'no-cache', range: 'bytes=-100' };
    expect((await mirror.get(path, { headers })).status).toBe(206);
    expect(upstream.requests).toEqual([]);
  });
});
