/** The limits that the configuration sets, each with the answer of whoever meets it. */
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import { eventually } from '../support/eventually.ts';
import { JSON_PAGE, hold, startMirror } from '../support/mirror.ts';
import type { ProjectName } from '../../src/packaging/names.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import { PAGE, WHEEL, entryOf, jsonPageOf, setPage, stage } from './fault-stage.ts';
import type { FaultStage } from './fault-stage.ts';

const { limits, http } = loadConfig({ env: {}, homeDir: '/nonexistent' });

const limited = (changes: Partial<typeof limits>): Promise<FaultStage> =>
  stage({}, { limits: { ...limits, ...changes } });

async function refusesPage({ mirror }: FaultStage, words: RegExp): Promise<void> {
  const answer = await mirror.get(PAGE);
  expect(answer.status).toBe(502);
  expect(answer.text).toMatch(words);
}

describe('a limit', () => {
  it('on entries of a page counts those that are left out', async () => {
    const set = await limited({ pageFiles: 3 });
    expect((await set.mirror.get(PAGE)).status).toBe(200);
    const other = await limited({ pageFiles: 3 });
    const dropped = entryOf(WHEEL, { url: 'file:///etc/passwd' });
    setPage(other.upstream, jsonPageOf([entryOf(WHEEL), dropped, dropped, dropped]));
    await refusesPage(other, /4 entries.*limits\.page_files/s);
  });

  it('on the length of a page holds for what is decoded', async () => {
    const set = await limited({ pageBytes: 10_000 });
    setPage(set.upstream, jsonPageOf([entryOf(WHEEL)], { padding: 'x'.repeat(20_000) }));
    await refusesPage(set, /longer than the limit of 10000 bytes/);
  });

  it('on expansion stops a bomb before the limit on length does', async () => {
    const set = await limited({ expansion: 10 });
    set.upstream.setRaw(PAGE, {
      headers: { 'content-type': JSON_PAGE, 'content-encoding': 'gzip' },
      body: gzipSync(jsonPageOf([entryOf(WHEEL)], { padding: ' '.repeat(3_000_000) })),
    });
    await refusesPage(set, /more than 10 times/);
  });

  it('on core metadata makes it missing', async () => {
    const set = await limited({ metadataBytes: 20 });
    const refused = await set.mirror.get(`${set.wheelPath}.metadata`);
    expect([refused.status, refused.text]).toEqual([404, expect.stringMatching(/cannot be had/)]);
    expect((await set.mirror.get(set.wheelPath)).status).toBe(200);
  });

  it('on redirects ends a chain', async () => {
    const set = await limited({ redirects: 2 });
    for (let at = 0; at < 3; at++)
      set.upstream.fault(`/hop${at}/demo/`, { redirectTo: `/hop${at + 1}/demo/` });
    set.upstream.fault(PAGE, { redirectTo: '/hop0/demo/' });
    await refusesPage(set, /redirect/);
  });

  it('on the head of an answer makes it no answer', async () => {
    const set = await limited({ answerHeaderBytes: 2_000 });
    set.upstream.fault(PAGE, { headers: { 'x-long': 'y'.repeat(4_000) } });
    await refusesPage(set, /headers overflow/i);
  });

  it('on the head of a request is told by its own status', async () => {
    const set = await limited({ requestHeaderBytes: 2_000 });
    const headers = { 'x-long': 'y'.repeat(4_000) };
    expect((await set.mirror.get(PAGE, { headers })).status).toBe(431);
    expect((await set.mirror.get(PAGE)).status).toBe(200);
  });

  it('on connections of one client holds until one of them ends', async () => {
    const set = await limited({ clientConnections: 3 });
    const { port } = new URL(set.mirror.origin);
    const idle = Array.from({ length: 3 }, () => connect(Number(port), '127.0.0.1'));
    onTestFinished(() => idle.forEach((socket) => socket.destroy()));
    await eventually(async () => {
      const refused = await set.mirror.get('/-/health');
      expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
    });
    idle[0]?.destroy();
    await eventually(async () => expect((await set.mirror.get('/-/health')).status).toBe(200));
  });

  it('on ranges makes the answer the whole file, as if none had been asked for', async () => {
    const set = await limited({ ranges: 3 });
    const status = async (range: string): Promise<number> =>
      (await set.mirror.get(set.wheelPath, { headers: { range } })).status;
    // Cold and held, by both doors: the second request of a target takes the short way.
    for (const _ of [1, 2, 3]) {
      expect(await status('bytes=0-1,2-3,4-5')).toBe(206);
      expect(await status('bytes=0-1,2-3,4-5,6-7')).toBe(200);
      await hold(set.mirror, set.wheelPath);
    }
    const whole = await set.mirror.get(set.wheelPath, {
      headers: { range: 'bytes=0-0,0-0,0-0,0-0' },
    });
    expect(sha256Of(whole.body)).toBe(sha256Of(WHEEL.content));
  });

  it('on unknown names forgets the oldest, which are asked for again', async () => {
    const set = await limited({ unknownNames: 3 });
    const names = ['aa', 'bb', 'cc', 'dd', 'ee', 'ff'].map((name) => `/simple/nobody-${name}/`);
    for (const name of names) {
      expect((await set.mirror.get(name)).status).toBe(404);
      set.mirror.clock.advance(1);
    }
    const counts = async (name = ''): Promise<number> => {
      expect((await set.mirror.get(name)).status).toBe(404);
      return set.upstream.count(name);
    };
    expect(await counts(names[5])).toBe(1);
    expect(await counts(names[0])).toBe(2);
    const { holdings } = set.mirror.mirror.store.catalog;
    const remembered = names.filter(
      (name) => holdings.pagesOf(name.split('/')[2] as ProjectName).length > 0,
    );
    expect(remembered).toHaveLength(3);
  });

  it('on connections of one client does not bound a proxy', async () => {
    const { upstream } = await stage();
    const mirror = await startMirror({
      upstreams: [upstream],
      settings: { limits: { ...limits, clientConnections: 1 }, trustProxy: ['loopback'] },
    });
    const all = await Promise.all(Array.from({ length: 8 }, () => mirror.get('/-/health')));
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]));
  });

  it('on connections to an index holds for any number of clients', async () => {
    const set = await stage({}, { http: { ...http, connectionsPerHost: 2 } });
    set.upstream.fault('*', { delayMs: 20 });
    const names = Array.from({ length: 20 }, (_, at) => `/simple/other-${at}/`);
    await Promise.all(names.map((name) => set.mirror.get(name)));
    expect(set.upstream.connections).toBeLessThanOrEqual(2);
  });
});
