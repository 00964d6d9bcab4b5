/** Table B, first half: pages of a hostile or broken index, against the whole program. */
import { gzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { JSON_PAGE, hold, stageUpstream } from '../support/mirror.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import { faultTable } from './fault-row.ts';
import {
  NEWER,
  PAGE,
  WHEEL,
  entryOf,
  jsonPageOf,
  listed,
  makeStale,
  setHtml,
  setPage,
  stage,
} from './fault-stage.ts';
import type { FaultStage } from './fault-stage.ts';

const SHA256 = sha256Of(WHEEL.content);
const OTHER_SHA256 = sha256Of('other bytes');
const GOOD = entryOf(WHEEL);
const NAMES = [WHEEL.filename, NEWER.filename];

/** Such a page is not understood: 502 when nothing is stored, else the stored page stands. */
async function isRefusedAndStaleStands(
  spoil: (set: FaultStage) => void | Promise<void>,
  statuses: readonly number[] = [502],
): Promise<void> {
  const fresh = await stage({}, {});
  await spoil(fresh);
  const answer = await fresh.mirror.get(PAGE, { headers: { accept: JSON_PAGE } });
  expect(statuses).toContain(answer.status);
  if (answer.status >= 400) expect(answer.headers['content-type']).toMatch(/^text\/plain/);
  const set = await stage();
  expect(await listed(set.mirror)).toEqual(NAMES);
  await spoil(set);
  makeStale(set);
  const page = await set.mirror.page('demo');
  expect([page.status, page.filenames]).toEqual([200, NAMES]);
  expect(page.cacheStatus).toContain('stale');
}

/** Of a page with the good entry and these, only the good one is listed. */
async function keepsOnlyTheGood(bad: readonly object[]): Promise<FaultStage> {
  const set = await stage();
  setPage(set.upstream, jsonPageOf([GOOD, ...bad]));
  expect(await listed(set.mirror)).toEqual([WHEEL.filename]);
  return set;
}

faultTable('B: the pages of a hostile or broken index', [
  {
    id: 'B1',
    what: 'links of other schemes are dropped, and never fetched',
    run: async () => {
      const urls = ['file:///etc/passwd', 'ftp://127.0.0.1/x.whl', 'data:,x', 'javascript:x()'];
      const bad = urls.flatMap((url) => [
        entryOf(NEWER, { url }),
        entryOf(NEWER, { url: `${url}/demo-2.0-py3-none-any.whl` }),
      ]);
      const { upstream } = await keepsOnlyTheGood(bad);
      expect(upstream.count(/passwd|whl/)).toBe(0);
    },
  },
  {
    id: 'B2',
    what: 'links to other hosts and to private addresses, in any spelling, are never followed',
    run: async () => {
      const decoy = await stageUpstream({ projects: { demo: [NEWER] } });
      const { port } = decoy;
      const hosts = [
        `127.0.0.1:${port}`,
        `2130706433:${port}`,
        `0x7f.1:${port}`,
        `[::1]:${port}`,
        `[::ffff:127.0.0.1]:${port}`,
        `localhost:${port}`,
        `10.0.0.1`,
        `192.168.1.1`,
        `169.254.169.254`,
        `evil.example`,
      ];
      const set = await stage();
      const bad = hosts.map((host, at) =>
        entryOf(NEWER, {
          filename: `demo-3.${at}-py3-none-any.whl`,
          url: `http://${host}/demo-3.${at}-py3-none-any.whl`,
        }),
      );
      setPage(set.upstream, jsonPageOf([GOOD, ...bad]));
      const page = await set.mirror.page('demo');
      expect(page.filenames).toEqual([WHEEL.filename]);
      for (const [at, host] of hosts.entries()) {
        const path = `/packages/-/pypi/@${host}/demo-3.${at}-py3-none-any.whl`;
        expect((await set.mirror.get(encodeURI(path))).status).toBe(404);
      }
      expect([decoy.requests, decoy.connections]).toEqual([[], 0]);
    },
  },
  {
    id: 'B4',
    what: 'credentials in links show up nowhere',
    run: async () => {
      const set = await stage();
      const secret = set.upstream.origin.replace('http://', 'http://user:hunter2@');
      const url = `${secret}${set.wheelPath}`;
      setPage(set.upstream, jsonPageOf([entryOf(WHEEL, { url })]));
      const page = await set.mirror.get(PAGE);
      expect(page.text).toContain(WHEEL.filename);
      set.upstream.fault(/packages/, { status: 500 });
      const file = await set.mirror.get(set.wheelPath);
      expect(file.status).toBeGreaterThanOrEqual(500);
      const all = [page.text, file.text, JSON.stringify(set.mirror.log)].join('\n');
      expect(all).not.toMatch(/hunter2|user:/);
    },
  },
  {
    id: 'B5',
    what: 'nothing of the HTML but the links is passed on',
    run: async () => {
      const set = await stage();
      setHtml(
        set.upstream,
        `<!DOCTYPE html><html><head><base href="${set.upstream.origin}/elsewhere/">
        <script>alert(1)</script></head><body onload="evil()"><h1>evil
        <!-- <a href="demo-9.0-py3-none-any.whl">demo-9.0-py3-none-any.whl</a> -->
        <a href="demo-1.0-py3-none-any.whl#sha256=${SHA256}" onclick="evil()">demo-1.0-py3-none-any.whl
        <a href="demo-2.0-py3-none-any.whl#sha256=${SHA256}"><b>demo-2.0-py3-none-any.whl`,
      );
      const page = await set.mirror.get(PAGE);
      expect(page.text).not.toMatch(/script|evil|onload|onclick|<base|<b>|demo-9/);
      expect(await listed(set.mirror)).toEqual(NAMES);
      expect(page.text).toContain('packages/-/pypi/elsewhere/demo-1.0');
    },
  },
  {
    id: 'B6',
    what: 'attributes that would break out of their quotes are escaped',
    run: async () => {
      const set = await stage();
      const evil = `"><script>alert(1)</script>\n<a href='x'>`;
      setPage(
        set.upstream,
        jsonPageOf([entryOf(WHEEL, { yanked: evil, 'requires-python': evil })]),
      );
      const html = await set.mirror.get(PAGE);
      expect(html.text).not.toContain('<script>');
      expect(html.text.match(/<a /g)).toHaveLength(1);
      const json = await set.mirror.get(PAGE, { headers: { accept: JSON_PAGE } });
      const files = (JSON.parse(json.text) as { files: { yanked: string }[] }).files;
      expect(files[0]?.yanked).toBe(evil);
    },
  },
  {
    id: 'B7',
    what: 'names that are no file of the project are dropped; the link, not its text, is believed',
    run: async () => {
      const bad = [
        'other-1.0-py3-none-any.whl',
        'demo-2.0.iso',
        `demo-2.0-py3-none-any.whl.`,
        `demo-2.0-py3-none-any.whl%20`,
        `demo-${'9'.repeat(300)}-py3-none-any.whl`,
        'demo-2.0%00-py3-none-any.whl',
        '..%2fdemo-2.0-py3-none-any.whl',
        '%2e%2e',
      ].map((name) => entryOf(NEWER, { filename: name, url: `/files/${name}` }));
      await keepsOnlyTheGood(bad);
      const set = await stage();
      setHtml(
        set.upstream,
        `<a href="/files/demo-1.0-py3-none-any.whl#sha256=${SHA256}">../../demo-7.0.tar.gz</a>
         <a href="/files/other-1.0.tar.gz">demo-8.0.tar.gz</a>`,
      );
      expect(await listed(set.mirror)).toEqual([WHEEL.filename]);
    },
  },
  {
    id: 'B8',
    what: 'of one filename with two digests neither is listed',
    run: async () => {
      const set = await stage();
      const other = entryOf(NEWER, {
        hashes: { sha256: OTHER_SHA256 },
        url: '/b/demo-2.0-py3-none-any.whl',
      });
      setPage(set.upstream, jsonPageOf([GOOD, entryOf(NEWER), other]));
      expect(await listed(set.mirror)).toEqual([WHEEL.filename]);
    },
  },
  {
    id: 'B9',
    what: 'a known filename with another digest raises an alarm, and the old entry stays',
    run: async () => {
      const set = await stage();
      await hold(set.mirror, set.wheelPath);
      set.upstream.setProject('demo', [
        { ...WHEEL, listedSha256: OTHER_SHA256, path: set.wheelPath },
      ]);
      makeStale(set);
      const page = await set.mirror.get(PAGE, { headers: { accept: JSON_PAGE } });
      expect(page.text).toContain(SHA256);
      expect(page.text).not.toContain(OTHER_SHA256);
      expect((await set.mirror.get(set.wheelPath)).body.equals(WHEEL.content)).toBe(true);
      expect(JSON.stringify(set.mirror.log)).toContain('contradicts itself');
      expect(set.mirror.mirror.store.records.alarms(10).map(({ kind }) => kind)).toContain(
        'changed-digest',
      );
    },
  },
  {
    id: 'B15',
    what: 'the page of a captive portal is no index page',
    run: () =>
      isRefusedAndStaleStands(
        ({ upstream }) =>
          setHtml(upstream, '<html><title>Welcome</title><a href="/login">Log in</a></html>'),
        // Nothing stored: a page without files is what some indexes have for a name.
        [502, 200],
      ),
  },
  {
    id: 'B16',
    what: 'a page beyond the limits of length or entries is refused',
    run: async () => {
      const huge = Buffer.alloc(70 * 1024 * 1024, ' ');
      await isRefusedAndStaleStands(({ upstream }) =>
        upstream.setRaw(PAGE, { headers: { 'content-type': JSON_PAGE }, body: huge }),
      );
    },
  },
  {
    id: 'B17',
    what: 'bombs, unknown, wrong and nested codings are refused',
    run: async () => {
      const bomb = gzipSync(Buffer.alloc(30 * 1024 * 1024));
      const page = Buffer.from(jsonPageOf([GOOD]));
      const codings: readonly (readonly [string, Buffer])[] = [
        ['gzip', bomb],
        ['gzip', page],
        ['gzip, gzip', gzipSync(gzipSync(page))],
        ['zstd', page],
        ['compress', page],
      ];
      for (const [coding, body] of codings) {
        await isRefusedAndStaleStands(({ upstream }) =>
          upstream.setRaw(PAGE, {
            headers: { 'content-type': JSON_PAGE, 'content-encoding': coding },
            body,
          }),
        );
      }
    },
  },
  {
    id: 'B19',
    what: 'bad UTF-8 is replaced in HTML and refused in JSON; UTF-16 and lone surrogates do no harm',
    run: async () => {
      const html = await stage();
      const link = `<a href="/files/${WHEEL.filename}#sha256=${SHA256}" data-yanked="\u00ff">x</a>`;
      html.upstream.setRaw(PAGE, {
        headers: { 'content-type': 'text/html; charset=utf-8' },
        body: Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(link, 'latin1')]),
      });
      expect(await listed(html.mirror)).toEqual([WHEEL.filename]);
      await isRefusedAndStaleStands(({ upstream }) =>
        upstream.setRaw(PAGE, {
          headers: { 'content-type': JSON_PAGE },
          body: Buffer.from(jsonPageOf([entryOf(WHEEL, { yanked: '\u00ff' })]), 'latin1'),
        }),
      );
      await isRefusedAndStaleStands(({ upstream }) =>
        upstream.setRaw(PAGE, {
          headers: { 'content-type': JSON_PAGE },
          body: Buffer.from(jsonPageOf([GOOD]), 'utf16le'),
        }),
      );
      const lone = await stage();
      setPage(lone.upstream, jsonPageOf([entryOf(WHEEL, { yanked: '\ud800' })]));
      for (const accept of [JSON_PAGE, 'text/html'])
        expect([200, 502]).toContain((await lone.mirror.get(PAGE, { headers: { accept } })).status);
    },
  },
  {
    id: 'B20',
    what: 'bad JSON is refused, bad entries are dropped, prototypes stay clean',
    run: async () => {
      for (const body of [
        jsonPageOf([GOOD]).slice(0, -20),
        '['.repeat(100_000),
        '"text"',
        'null',
        '[]',
        '{"meta":{"api-version":"1.0"},"files":{}}',
        '',
      ]) {
        await isRefusedAndStaleStands(({ upstream }) => setPage(upstream, body));
      }
      const set = await stage();
      const sizes = [-1, 1.5, '12', Number.POSITIVE_INFINITY, 2 ** 60, null, {}];
      const odd = sizes.map((size, at) =>
        entryOf(NEWER, {
          filename: `demo-4.${at}.tar.gz`,
          url: `/files/demo-4.${at}.tar.gz`,
          size,
        }),
      );
      const evil = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},';
      setPage(set.upstream, evil + jsonPageOf([GOOD, ...odd, null as never, 7 as never]).slice(1));
      expect(await listed(set.mirror)).toContain(WHEEL.filename);
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
      const page = await set.mirror.get(PAGE, { headers: { accept: JSON_PAGE } });
      const { files } = JSON.parse(page.text) as { files: { size?: unknown }[] };
      for (const { size } of files)
        if (size !== undefined)
          expect(Number.isSafeInteger(size) && (size as number) >= 0).toBe(true);
    },
  },
  {
    id: 'B21',
    what: 'version 2 of the API is refused, 1.99 and none are read, and only ours is published',
    run: async () => {
      await isRefusedAndStaleStands(({ upstream }) =>
        setPage(upstream, jsonPageOf([GOOD], { meta: { 'api-version': '2.0' } })),
      );
      for (const meta of [{ 'api-version': '1.99' }, {}]) {
        const set = await stage();
        setPage(set.upstream, jsonPageOf([GOOD], { meta }));
        const page = await set.mirror.get(PAGE, { headers: { accept: JSON_PAGE } });
        const published = (JSON.parse(page.text) as { meta: { 'api-version': string } }).meta;
        expect(published['api-version']).toMatch(/^1\.[1-4]$/);
        expect(page.text).toContain(WHEEL.filename);
      }
    },
  },
  {
    id: 'B22',
    what: 'the page of another project, by its name or by a redirect, is refused',
    run: async () => {
      await isRefusedAndStaleStands(({ upstream }) =>
        setPage(upstream, jsonPageOf([GOOD], { name: 'other' })),
      );
      await isRefusedAndStaleStands(
        ({ upstream }) => {
          upstream.setProject('other', [WHEEL]);
          upstream.fault(PAGE, { redirectTo: '/simple/other/' });
        },
        [502],
      );
    },
  },
  {
    id: 'B24',
    what: 'a wrong content type is seen through only where the body speaks for itself',
    run: async () => {
      for (const type of ['text/plain', 'text/html', 'application/octet-stream', '']) {
        const set = await stage();
        const headers: Record<string, string> = type === '' ? {} : { 'content-type': type };
        set.upstream.setRaw(PAGE, { headers, body: jsonPageOf([GOOD]) });
        const page = await set.mirror.page('demo');
        expect([200, 502]).toContain(page.status);
        if (page.status === 200) expect(page.filenames).toEqual([WHEEL.filename]);
      }
      await isRefusedAndStaleStands(({ upstream }) =>
        upstream.setRaw(PAGE, { headers: { 'content-type': 'image/png' }, body: '\x89PNG\r\n' }),
      );
    },
  },
  {
    id: 'B25',
    what: 'a reused ETag hides no change that was sent, and 304 without a condition is no page',
    run: async () => {
      const set = await stage();
      set.upstream.fault(PAGE, { headers: { etag: '"always"' } });
      expect(await listed(set.mirror)).toEqual(NAMES);
      set.upstream.setProject('demo', [WHEEL]);
      makeStale(set);
      expect(await listed(set.mirror)).toEqual([WHEEL.filename]);
      const fresh = await stage();
      fresh.upstream.fault(PAGE, { notModified: true });
      expect((await fresh.mirror.get(PAGE)).status).toBe(502);
      fresh.upstream.clearFaults();
      const once = await stage();
      once.upstream.fault(PAGE, { notModified: true, times: 1 });
      expect(await listed(once.mirror)).toEqual(NAMES);
    },
  },
  {
    id: 'B26',
    what: 'of the headers of an index none but our own go out, and cookies are neither kept nor sent',
    run: async () => {
      const set = await stage();
      const headers = {
        'set-cookie': 'track=1',
        'cache-control': 'private, no-store',
        vary: '*',
        'content-disposition': 'attachment; filename=evil.exe',
        'content-security-policy': 'script-src *',
        'x-frame-options': 'ALLOW',
        'access-control-allow-origin': '*',
        'transfer-extension': 'x',
        server: 'evil',
        via: 'evil',
      };
      set.upstream.fault('*', { headers });
      for (const target of [PAGE, set.wheelPath, PAGE, set.wheelPath]) {
        const answer = await set.mirror.get(target);
        expect(answer.status).toBe(200);
        expect(JSON.stringify(answer.headers)).not.toMatch(/track|evil|script-src|no-store|ALLOW/);
        expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
        expect(answer.headers).not.toHaveProperty('content-disposition');
      }
      expect(set.upstream.requests.some((request) => 'cookie' in request.headers)).toBe(false);
    },
  },
  {
    id: 'B27',
    what: 'an absurd Retry-After is bounded, and the stale page comes at once',
    run: async () => {
      for (const status of [429, 503]) {
        for (const after of ['999999', 'Thu, 01 Jan 1970 00:00:00 GMT', '-5']) {
          const set = await stage();
          await listed(set.mirror);
          makeStale(set);
          set.upstream.fault(PAGE, { status, headers: { 'retry-after': after } });
          const page = await set.mirror.page('demo');
          expect([page.status, page.filenames]).toEqual([200, NAMES]);
          expect(page.elapsedMs).toBeLessThan(2_000);
          set.upstream.fault('/simple/cold/', { status, headers: { 'retry-after': after } });
          const cold = await set.mirror.get('/simple/cold/');
          expect(cold.status).toBe(503);
          const seconds = Number(cold.headers['retry-after']);
          expect(seconds).toBeGreaterThanOrEqual(1);
          expect(seconds).toBeLessThanOrEqual(60);
        }
      }
    },
  },
  {
    id: 'B28',
    what: 'a project that vanishes is kept for a day, then unknown; its files stay',
    run: async () => {
      const set = await stage();
      await hold(set.mirror, set.wheelPath);
      set.upstream.setProject('demo', null);
      makeStale(set);
      expect(await listed(set.mirror)).toEqual(NAMES);
      expect((await set.mirror.get(set.wheelPath)).status).toBe(200);
      set.mirror.clock.advance(25 * 3_600_000);
      await set.mirror.page('demo');
      expect((await set.mirror.page('demo')).status).toBe(404);
    },
  },
  {
    id: 'B29',
    what: 'refusals of an index are our failure, never the answer of a client',
    run: async () => {
      for (const status of [401, 403, 407]) {
        const set = await stage();
        set.upstream.fault('*', { status, headers: { 'www-authenticate': 'Basic realm="x"' } });
        const page = await set.mirror.get(PAGE);
        expect([502, 503]).toContain(page.status);
        expect(page.headers).not.toHaveProperty('www-authenticate');
        set.upstream.clearFaults();
        const open = await stage();
        await listed(open.mirror);
        open.upstream.fault(/packages/, { status });
        expect([502, 503]).toContain((await open.mirror.get(open.wheelPath)).status);
      }
    },
  },
  {
    id: 'B30',
    what: 'a page that is suddenly empty is looked at twice and raises an alarm',
    run: async () => {
      const set = await stage({ serial: null });
      await listed(set.mirror);
      const empty = { headers: { 'content-type': JSON_PAGE }, body: jsonPageOf([]) };
      set.upstream.fault(PAGE, { times: 1, headers: empty.headers, body: empty.body });
      makeStale(set);
      expect(await listed(set.mirror)).toEqual(NAMES);
    },
  },
  {
    id: 'B31',
    what: 'a serial that falls leaves the newer page in place',
    run: async () => {
      const set = await stage({ serial: 9 });
      await listed(set.mirror);
      const older = jsonPageOf([GOOD], { meta: { 'api-version': '1.1', '_last-serial': 3 } });
      set.upstream.setRaw(PAGE, {
        headers: { 'content-type': JSON_PAGE, 'x-pypi-last-serial': '3' },
        body: older,
      });
      makeStale(set);
      expect(await listed(set.mirror)).toEqual(NAMES);
    },
  },
  {
    id: 'B32',
    what: 'quarantined bytes are refused though held, and come back with the project; yanked is kept',
    run: async () => {
      const set = await stage({ projects: { demo: [{ ...WHEEL, yanked: 'broken' }] } });
      const wheelPath = set.upstream.filePath(WHEEL.filename);
      const html = await set.mirror.get(PAGE);
      expect(html.text).toContain('data-yanked="broken"');
      await hold(set.mirror, wheelPath);
      set.upstream.setStatus('demo', 'quarantined', 'malware');
      makeStale(set);
      const page = await set.mirror.page('demo');
      expect(page.filenames).toEqual([]);
      expect((await set.mirror.get(wheelPath)).status).toBe(403);
      set.upstream.setStatus('demo', 'active');
      set.upstream.setProject('demo', [WHEEL]);
      makeStale(set);
      const again = await set.mirror.get(PAGE);
      expect(again.text).toContain(WHEEL.filename);
      expect(again.text).not.toContain('data-yanked');
      expect((await set.mirror.get(wheelPath)).body.equals(WHEEL.content)).toBe(true);
    },
  },
]);
