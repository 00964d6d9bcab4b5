/** Content negotiation. */
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { negotiateCoding } from '../../src/simple/negotiate.ts';
import { JSON_PAGE as JSON_TYPE, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { writeSdist } from '../support/wheel-writer.ts';

const HTML_TYPE = 'application/vnd.pypi.simple.v1+html; charset=utf-8';
const PLAIN_HTML = 'text/html; charset=utf-8';
const V1_JSON = 'application/vnd.pypi.simple.v1+json';
const V1_HTML = 'application/vnd.pypi.simple.v1+html';
const DEMO = Array.from({ length: 12 }, (_, at) =>
  writeSdist({ name: 'demo', version: `1.${at}` }),
);

async function demoMirror(): Promise<TestMirror> {
  return await startMirror({ upstreams: [await stageUpstream({ projects: { demo: DEMO } })] });
}

describe('§2 Accept', () => {
  it.each([
    ['*/*', PLAIN_HTML, 'anything'],
    ['application/*', HTML_TYPE, 'a family'],
    [V1_JSON, JSON_TYPE, 'JSON'],
    [V1_HTML, HTML_TYPE, 'HTML by its versioned name'],
    ['text/html', PLAIN_HTML, 'pip before 22.2'],
    [`${V1_JSON}, ${V1_HTML}; q=0.1, text/html; q=0.01`, JSON_TYPE, 'pip since 22.2, pdm, pipenv'],
    [`${V1_JSON}, ${V1_HTML};q=0.2, text/html;q=0.01`, JSON_TYPE, 'uv'],
    [`${V1_JSON}, */*;q=0.1`, JSON_TYPE, 'poetry'],
    [`${V1_JSON}, ${V1_HTML}, text/html;q=0.01`, JSON_TYPE, 'pypi-simple'],
    [`${V1_JSON};q=0, text/html`, PLAIN_HTML, 'JSON excluded'],
    ['application/vnd.pypi.simple.latest+json', JSON_TYPE, 'the newest JSON'],
    ['application/vnd.pypi.simple.latest+html', HTML_TYPE, 'the newest HTML'],
    [`${V1_JSON.toUpperCase()};charset=x`, JSON_TYPE, 'another case, a parameter'],
    [`${V1_JSON};q=0.123, text/html;q=0.124`, PLAIN_HTML, 'weights to three decimals'],
  ])('%s gives %s (%s) [S][C]', async (accept, type) => {
    const { get } = await demoMirror();
    const { status, headers, text } = await get('/simple/demo/', { headers: { accept } });
    expect([status, headers['content-type']]).toEqual([200, type]);
    expect(text.startsWith(type === JSON_TYPE ? '{"meta"' : '<!DOCTYPE html>')).toBe(true);
  });

  it('absent gives 200 text/html on the root and on a project, never 406 [S][C]', async () => {
    const { get } = await demoMirror();
    for (const target of ['/simple/', '/simple/demo/']) {
      const { status, headers } = await get(target);
      expect([status, headers['content-type']]).toEqual([200, PLAIN_HTML]);
    }
  });

  it.each(['application/vnd.pypi.simple.v2+json', 'application/xml', 'text/html;q=0'])(
    '%s gives 406 in plain text with what there is, never 300 [S]',
    async (accept) => {
      const { get } = await demoMirror();
      for (const target of ['/simple/', '/simple/demo/']) {
        const { status, headers, text } = await get(target, { headers: { accept } });
        expect(status).toBe(406);
        expect(headers['content-type']).toBe('text/plain; charset=utf-8');
        for (const type of [V1_JSON, V1_HTML, 'text/html']) expect(text).toContain(type);
      }
    },
  );

  it('both names of HTML are the same bytes [S]', async () => {
    const { get } = await demoMirror();
    const old = await get('/simple/demo/', { headers: { accept: 'text/html' } });
    const named = await get('/simple/demo/', { headers: { accept: V1_HTML } });
    expect(named.text).toBe(old.text);
  });

  it('every answer of the index varies by it, 200, 304 and 406 [S]', async () => {
    const { get } = await demoMirror();
    const page = await get('/simple/demo/');
    const same = await get('/simple/demo/', {
      headers: { 'if-none-match': String(page.headers.etag) },
    });
    const none = await get('/simple/demo/', { headers: { accept: 'a/b' } });
    const root = await get('/simple/');
    expect([page, same, none, root].map(({ status }) => status)).toEqual([200, 304, 406, 200]);
    for (const { headers } of [page, same, none, root]) {
      expect(headers.vary).toMatch(/^Accept, Accept-Encoding/);
    }
  });
});

describe('§2 Accept-Encoding', () => {
  it.each([
    [undefined, undefined],
    ['identity', undefined],
    ['gzip, deflate', 'gzip'],
    ['x-gzip', 'gzip'],
    ['gzip;q=0', undefined],
    ['gzip;q=0, *;q=0', undefined],
    ['br, deflate', undefined],
  ])('%s gives the coding %s [C]', async (header, coding) => {
    const { get } = await demoMirror();
    const plain = await get('/simple/demo/');
    const headers: Record<string, string> =
      header === undefined ? {} : { 'accept-encoding': header };
    const answer = await get('/simple/demo/', { headers });
    expect(answer.headers['content-encoding']).toBe(coding);
    const body = coding === 'gzip' ? gunzipSync(answer.body) : answer.body;
    expect(body.toString()).toBe(plain.text);
    expect(answer.headers['content-length']).toBe(String(answer.body.length));
  });

  it('zstd, which uv and poetry accept, is preferred where the runtime has it [C]', () => {
    const header = 'gzip, deflate, zstd';
    expect(negotiateCoding(header, ['zstd', 'gzip'])).toBe('zstd');
    expect(negotiateCoding(header, ['gzip'])).toBe('gzip');
    expect(negotiateCoding('gzip, zstd;q=0.5', ['zstd', 'gzip'])).toBe('gzip');
    expect(negotiateCoding('gzip, zstd;q=0', ['zstd', 'gzip'])).toBe('gzip');
    expect(negotiateCoding('identity', ['zstd', 'gzip'])).toBe('identity');
  });
});
