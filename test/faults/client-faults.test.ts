/** Table A: hostile or broken requests of clients, against the whole program. */
import { connect } from 'node:net';
import { expect, onTestFinished, vi } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { sendRaw } from '../support/http-client.ts';
import { stage as httpStage } from '../support/http-stage.ts';
import { JSON_PAGE, hold } from '../support/mirror.ts';
import { download } from '../support/download.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import type { ProjectName } from '../../src/packaging/names.ts';
import { faultTable } from './fault-row.ts';
import { PAGE, WHEEL, blob, stage } from './fault-stage.ts';
import type { FaultStage } from './fault-stage.ts';

/** Every target is refused as not there, and the index hears nothing of it. */
async function refusesUnasked(targets: readonly string[]): Promise<void> {
  const { mirror, upstream } = await stage();
  for (const target of targets) {
    const answer = await mirror.get(target);
    expect([400, 404], `${target} → ${answer.status}`).toContain(answer.status);
    expect(answer.headers['content-type']).toMatch(/^text\/plain/);
    expect(answer.headers['x-content-type-options']).toBe('nosniff');
    expect(answer.text).not.toMatch(/root:|<script/);
  }
  expect(upstream.requests).toEqual([]);
}

const quoted = (text: string): string => encodeURIComponent(text);

/** Raw bytes of a request; the connection ends with the answer. */
async function raw({ mirror }: FaultStage, head: string): Promise<string> {
  return await sendRaw(mirror.origin, head);
}

faultTable('A: a hostile or broken client', [
  {
    id: 'A1',
    what: 'traversal in a project name is not there, and no index is asked',
    run: () =>
      refusesUnasked([
        '/simple/..%2f..%2fetc%2fpasswd/',
        '/simple/%2e%2e/',
        '/simple/....//',
        '/simple/..%5c..%5cetc/',
        '/simple/../../etc/passwd',
        '/..%2f..%2fetc%2fpasswd/',
      ]),
  },
  {
    id: 'A2',
    what: 'traversal in a file path, once or twice encoded, leads to no file',
    run: () =>
      refusesUnasked([
        '/packages/../../../../etc/passwd',
        '/packages/aa/..%2f..%2f..%2fetc%2fpasswd',
        '/packages/-/pypi/%2e%2e/%2e%2e/state-v1/catalog.sqlite',
        '/packages/%252e%252e/%252e%252e/state-v1/catalog.sqlite',
        '/packages/-/pypi/..%252f..%252fcatalog.sqlite',
        '//etc/passwd',
        '/packages//etc/passwd',
      ]),
  },
  {
    id: 'A3',
    what: 'control bytes, bad and over-long UTF-8 and spaces are refused, never a 5xx',
    run: () =>
      refusesUnasked([
        '/simple/a%00b/',
        '/simple/a%01b/',
        '/simple/%ff%fe/',
        '/simple/%c0%ae%c0%ae/',
        '/simple/a%20b/',
        '/simple/%/',
        '/simple/%zz/',
        '/packages/aa/bb/%ff%fe-1.0.tar.gz',
        '/packages/aa/bb/x%00-1.0.tar.gz',
      ]),
  },
  {
    id: 'A4',
    what: 'markup in a name, a format or a file name never comes back as markup',
    run: async () => {
      const { mirror } = await stage();
      const evil = quoted('"><script>alert(1)</script>');
      for (const target of [
        `/simple/${evil}/`,
        `/simple/demo/?format=${evil}`,
        `/packages/aa/bb/${evil}`,
        `/-/${evil}`,
      ]) {
        const answer = await mirror.get(target);
        expect(answer.headers['x-content-type-options']).toBe('nosniff');
        if (answer.status >= 400)
          expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
        else expect(answer.text).not.toContain('<script>');
      }
    },
  },
  {
    id: 'A5',
    what: 'names and file names beyond every limit are not there, and no index is asked',
    run: () =>
      refusesUnasked([
        `/simple/${'a'.repeat(5_000)}/`,
        `/simple/${'a'.repeat(215)}/`,
        `/packages/aa/bb/${'a'.repeat(260)}-1.0.tar.gz`,
        `/${'a/'.repeat(2_000)}`,
      ]),
  },
  {
    id: 'A6',
    what: 'a line break in a name that would be redirected splits no header',
    run: async () => {
      const { mirror } = await stage();
      for (const name of ['Demo%0d%0aX-Evil:%201', 'Demo%0aSet-Cookie:x', 'Demo%0d']) {
        for (const target of [`/simple/${name}`, `/simple/${name}/`, `/simple/Demo?${name}`]) {
          const answer = await mirror.get(target);
          expect(answer.headers).not.toHaveProperty('x-evil');
          expect(answer.headers).not.toHaveProperty('set-cookie');
          expect([301, 400, 404]).toContain(answer.status);
        }
      }
    },
  },
  {
    id: 'A7',
    what: 'look-alikes of other alphabets are no names',
    run: () =>
      refusesUnasked(
        ['ﬂask', 'ｄｅｍｏ', '\u212aivy', 'd\u0131st', 'de\u200bmo', 'demo\u0301', 'dеmo'].map(
          (name) => `/simple/${quoted(name)}/`,
        ),
      ),
  },
  {
    id: 'A8',
    what: 'all spellings of one name are redirected to one page, fetched once',
    run: async () => {
      const { mirror, upstream } = await stage({ projects: { 'a-b': [blob('a_b-1.tar.gz', 99)] } });
      const spellings = ['a.b', 'a--b', 'A_b', 'a-_.b', 'A.B', 'a__b'];
      for (const name of spellings) {
        const answer = await mirror.get(`/simple/${name}/`);
        expect([answer.status, answer.headers.location]).toEqual([301, '../a-b/']);
      }
      expect(upstream.requests).toEqual([]);
      await Promise.all(Array.from({ length: 8 }, () => mirror.page('a-b')));
      expect(upstream.count('/simple/a-b/')).toBe(1);
    },
  },
  {
    id: 'A9',
    what: 'reserved words of languages and systems are projects like any other, or none',
    run: async () => {
      const names = ['constructor', 'con', 'nul', 'tostring', 'hasownproperty'];
      const projects = Object.fromEntries(
        names.map((name) => [name, [blob(`${name}-1.0.tar.gz`, 500)]]),
      );
      const { mirror, upstream } = await stage({ projects });
      for (const name of names) {
        const page = await mirror.page(name);
        expect(page.filenames).toEqual([`${name}-1.0.tar.gz`]);
        await hold(mirror, page.urls[`${name}-1.0.tar.gz`] ?? '');
      }
      upstream.forget();
      for (const name of ['__proto__', '.', '..', '-', '_', '%2e']) {
        expect((await mirror.get(`/simple/${name}/`)).status, name).not.toBe(500);
        expect(upstream.requests).toEqual([]);
      }
    },
  },
  {
    id: 'A10',
    what: 'requests that two parsers could read in two ways are refused, and the connection ends',
    run: async () => {
      const set = await stage();
      const head = 'Host: localhost\r\n';
      for (const request of [
        `POST / HTTP/1.1\r\n${head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
        `GET / HTTP/1.1\r\n${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx`,
        `GET / HTTP/1.1\r\n${head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
        `GET / HTTP/1.1\r\n${head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
        `GET /simple/ HTTP/1.1\nHost: localhost\n\n`,
        `GET /simple/ HTTP/1.1\r\nHost : localhost\r\n\r\n`,
      ]) {
        const answer = await raw(set, request);
        expect(answer, JSON.stringify(request)).toMatch(/^HTTP\/1\.1 400 /);
        expect(answer.match(/^HTTP\/1\.1 /gm)).toHaveLength(1);
      }
    },
  },
  {
    id: 'A11',
    what: 'huge request lines and headers are refused, and the server lives',
    run: async () => {
      const set = await stage();
      const many = Array.from({ length: 10_000 }, (_, at) => `x${at}: y\r\n`).join('');
      for (const request of [
        `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'y'.repeat(200_000)}\r\n\r\n`,
        `GET / HTTP/1.1\r\nHost: localhost\r\n${many}\r\n`,
        `GET /${'a'.repeat(1_000_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
      ]) {
        expect(await raw(set, request)).toMatch(/^(HTTP\/1\.1 4(14|31) |$)/);
      }
      expect((await set.mirror.get('/-/health')).status).toBe(200);
    },
  },
  {
    id: 'A12',
    what: 'neither a foreign Host, nor forwarded ones, nor a whole URL as target poison a page',
    run: async () => {
      const set = await stage();
      const evil = { 'x-forwarded-host': 'evil.example', 'x-forwarded-prefix': '/evil' };
      const page = await set.mirror.get(PAGE, { headers: { ...evil, 'x-forwarded-proto': 'x' } });
      expect(page.status).toBe(200);
      expect(page.text).not.toContain('evil');
      expect(page.text).not.toMatch(/href="\w+:/);
      const host = await set.mirror.get(PAGE, { headers: { host: 'evil.example' } });
      expect([host.status, host.text.includes('evil')]).toEqual([421, false]);
      const head = 'Connection: close\r\n\r\n';
      const absolute = `GET http://evil.example${PAGE} HTTP/1.1\r\nHost: localhost\r\n${head}`;
      expect(await raw(set, absolute)).toMatch(/^HTTP\/1\.1 400 /);
      const twice = `GET ${PAGE} HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n${head}`;
      expect(await raw(set, twice)).toMatch(/^HTTP\/1\.1 400 /);
    },
  },
  {
    id: 'A13',
    what: 'idle clients are let go, and a slow reader holds up nobody',
    run: async () => {
      const { origin } = await httpStage({ headersWithinMs: 500 });
      const idle = Array.from({ length: 20 }, () => sendRaw(origin, 'GET / HTTP/1.1\r\nHost: lo'));
      const big = blob('demo-1.0.tar.gz', 6_000_000);
      const { mirror, upstream } = await stage({ projects: { demo: [big] } });
      const path = upstream.filePath(big.filename);
      const { port } = new URL(mirror.origin);
      const slow = connect(Number(port), '127.0.0.1', () =>
        slow.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`),
      );
      slow.pause();
      onTestFinished(() => void slow.destroy());
      const quick = await download(mirror.origin + path);
      expect([quick.isComplete, quick.sha256]).toEqual([true, sha256Of(big.content)]);
      expect(quick.totalMs).toBeLessThan(5_000);
      expect(upstream.count(/packages/, 'GET')).toBe(1);
      for (const answer of await Promise.all(idle)) expect(answer).toMatch(/^(HTTP\/1\.1 408 |$)/);
    },
  },
  {
    id: 'A14',
    what: 'a file whose only client leaves is fetched to its end, once',
    run: async () => {
      const { mirror, upstream, wheelPath } = await stage();
      upstream.fault(/packages/, { bytesPerSecond: 400_000 });
      const gone = await download(mirror.origin + wheelPath, { quitAfterBytes: 10_000 });
      expect(gone.isComplete).toBe(false);
      await vi.waitFor(
        () =>
          expect(mirror.mirror.store.catalog.findFile('pypi', wheelPath.slice(1))).toMatchObject({
            sizeBytes: WHEEL.content.length,
          }),
        10_000,
      );
      const next = await mirror.get(wheelPath);
      expect(next.body.equals(WHEEL.content)).toBe(true);
      expect(upstream.count(/\.whl$/)).toBe(1);
    },
  },
  {
    id: 'A15',
    what: 'a thousand unknown names cost one question each, then none, and a bounded memory',
    run: async () => {
      const { mirror, upstream } = await stage();
      const ask = async (name: string): Promise<number> =>
        (await mirror.get(`/simple/${name}/`)).status;
      const names = Array.from({ length: 1_000 }, (_, at) => `unknown-${at}`);
      for (let at = 0; at < names.length; at += 50) {
        const some = names.slice(at, at + 50);
        const statuses = await Promise.all([...some, ...some.slice(0, 5)].map(ask));
        expect(new Set(statuses)).toEqual(new Set([404]));
      }
      expect(upstream.count(/^\/simple\//)).toBe(1_000);
      expect(upstream.connections).toBeLessThanOrEqual(33);
      upstream.forget();
      await Promise.all(names.slice(0, 100).map(ask));
      expect(upstream.requests).toEqual([]);
      // No revision, no page to write, no file: only a row that is dropped again.
      const { store } = mirror.mirror;
      expect(names.some((name) => store.catalog.revisionOf(name as ProjectName) > 0)).toBe(false);
    },
  },
  {
    id: 'A16',
    what: 'thousands of ranges, none, or ranges beyond any number are 200 or 416',
    run: async () => {
      const { mirror, wheelPath } = await stage();
      await hold(mirror, wheelPath);
      for (const range of [
        `bytes=${Array.from({ length: 1_000 }, () => '0-').join(',')}`,
        'bytes=-0',
        'bytes=18446744073709551615-',
        'bytes=99999999-',
        'bytes=5-2',
        'bytes=--1',
        'bytes=0x0-0x5',
        'chapters=1-2',
      ]) {
        const answer = await mirror.get(wheelPath, { headers: { range } });
        expect([200, 416], range.slice(0, 40)).toContain(answer.status);
        if (answer.status === 200) expect(answer.body.equals(WHEEL.content)).toBe(true);
        else expect(answer.headers['content-range']).toBe(`bytes */${WHEEL.content.length}`);
      }
    },
  },
  {
    id: 'A17',
    what: 'an endless Accept, and qualities that are no numbers, are read in no time',
    run: async () => {
      const { mirror } = await stage();
      await mirror.page('demo');
      const long = Array.from({ length: 1_500 }, (_, at) => `text/x${at};q=0.5`).join(',');
      for (const accept of [
        long,
        `${JSON_PAGE};q=NaN, text/html;q=0.1`,
        `${JSON_PAGE};q=2, text/html;q=0.1`,
        `${JSON_PAGE};q=-1, text/html`,
        `${JSON_PAGE};q=`,
        ';;;,,,q=1',
      ]) {
        const answer = await mirror.get(PAGE, { headers: { accept } });
        expect([200, 406]).toContain(answer.status);
        expect(answer.elapsedMs).toBeLessThan(500);
      }
    },
  },
  {
    id: 'A18',
    what: 'other methods are told what is possible, and CONNECT ends',
    run: async () => {
      const set = await stage();
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'TRACE', 'OPTIONS']) {
        for (const target of [PAGE, set.wheelPath]) {
          const { status, headers } = await set.mirror.get(target, { method });
          expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
        }
      }
      const tunnel = 'CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n';
      expect(await raw(set, tunnel)).not.toMatch(/^HTTP\/1\.1 2/);
      expect(set.upstream.requests).toEqual([]);
    },
  },
  {
    id: 'A20',
    what: 'a client that wants no caches makes nobody fetch anything again',
    run: async () => {
      const { mirror, upstream, wheelPath } = await stage();
      await mirror.page('demo');
      await hold(mirror, wheelPath);
      await eventually(() => expect(upstream.count('*')).toBeGreaterThan(0));
      upstream.forget();
      const headers = { 'cache-control': 'no-cache, no-store, max-age=0', pragma: 'no-cache' };
      for (const target of [PAGE, wheelPath, PAGE, wheelPath])
        expect((await mirror.get(target, { headers })).status).toBe(200);
      expect(upstream.requests).toEqual([]);
    },
  },
]);
