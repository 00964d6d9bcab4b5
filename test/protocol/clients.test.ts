/** The requests of real installers, in their order, with their headers. */
import { Agent } from 'node:http';
import { describe, expect, it } from 'vitest';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { ask } from '../support/http-client.ts';
import type { Answer } from '../support/http-client.ts';
import { JSON_PAGE, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { writeWheel } from '../support/wheel-writer.ts';

const WHEEL = writeWheel({ name: 'demo', version: '1.0', paddingBytes: 300_000 });
const SIZE = WHEEL.content.length;
const { metadata: _metadata, ...BARE } = WHEEL;

async function demo(
  file: typeof BARE = WHEEL,
): Promise<{ upstream: FakeUpstream; mirror: TestMirror; path: string }> {
  const upstream = await stageUpstream({ projects: { demo: [file] } });
  const mirror = await startMirror({ upstreams: [upstream] });
  return { upstream, mirror, path: upstream.filePath(file.filename) };
}

describe('client §1 requests [C]', () => {
  it('pip: page, core metadata, wheel, each with the headers it sends', async () => {
    const { mirror, path } = await demo();
    const accept = `${JSON_PAGE}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01`;
    const page = await mirror.get('/simple/demo/', {
      headers: { accept, 'accept-encoding': 'gzip, deflate' },
    });
    expect([page.status, page.headers['content-type']]).toEqual([200, JSON_PAGE]);
    const headers = { 'accept-encoding': 'identity' };
    expect((await mirror.get(`${path}.metadata`, { headers })).text).toBe(WHEEL.metadata);
    expect(sha256Of((await mirror.get(path, { headers })).body)).toBe(WHEEL.sha256);
  });

  it('pip with fast-deps: HEAD, the tail, then the piece before it, of a wheel nobody holds', async () => {
    const { mirror, path } = await demo(BARE);
    const head = await mirror.get(path, { method: 'HEAD' });
    expect(head.headers).toMatchObject({ 'accept-ranges': 'bytes', 'content-length': `${SIZE}` });
    for (const [start, end] of [
      [SIZE - 4_000, SIZE - 1],
      [SIZE - 10_000, SIZE - 4_001],
    ] as const) {
      const headers = { range: `bytes=${start}-${end}`, 'cache-control': 'no-cache' };
      const { status, body } = await mirror.get(path, { headers });
      expect(status).toBe(206);
      expect(body.equals(WHEEL.content.subarray(start, end + 1))).toBe(true);
    }
  });

  it('poetry: a range from the end at once; a 200 would cost it a second download', async () => {
    const { mirror, path } = await demo(BARE);
    const { status, body } = await mirror.get(path, { headers: { range: 'bytes=-10000' } });
    expect([status, body.length]).toEqual([206, 10_000]);
  });

  it('uv: forty files of one project at once, each fetched once upstream', async () => {
    const files = Array.from({ length: 41 }, (_, at) =>
      writeWheel({ name: 'demo', version: `1.${at}` }),
    );
    const upstream = await stageUpstream({ projects: { demo: files } });
    const mirror = await startMirror({ upstreams: [upstream] });
    const paths = files.map(({ filename }) => upstream.filePath(filename));
    const answers = await Promise.all([...paths, ...paths].map((path) => mirror.get(path)));
    expect(answers.map(({ body }) => sha256Of(body))).toEqual(
      [...files, ...files].map(({ sha256 }) => sha256),
    );
    for (const path of paths) expect(upstream.count(path)).toBe(1);
    expect(upstream.count('/simple/demo/')).toBe(1);
  });

  it('buildout and easy_install: no Accept, a new connection for each request', async () => {
    const { mirror, path } = await demo();
    const headers = { connection: 'close', 'user-agent': 'setuptools/44.1.1 Python-urllib/3.6' };
    const page = await mirror.get('/simple/demo/', { headers });
    expect(page.headers.connection).toBe('close');
    expect(page.text).toContain(WHEEL.filename);
    expect(sha256Of((await mirror.get(path, { headers })).body)).toBe(WHEEL.sha256);
  });

  it('pip-tools with hashes: /<name>/json beside the index, without which it fetches every file', async () => {
    const { upstream, mirror, path } = await demo();
    const document = JSON.parse((await mirror.get('/demo/json')).text) as {
      releases: Record<string, { digests: { sha256: string } }[]>;
    };
    expect(document.releases['1.0']?.[0]?.digests.sha256).toBe(WHEEL.sha256);
    expect(upstream.count(path)).toBe(0);
  });

  it('connections are kept for those who keep them', async () => {
    const { mirror, path } = await demo();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const answers: Answer[] = [];
    for (const target of ['/simple/demo/', path, '/simple/nope/', path]) {
      answers.push(await ask(mirror.origin, target, { agent }));
    }
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 404, 200]);
    expect(answers.every(({ headers }) => headers.connection === 'keep-alive')).toBe(true);
    expect(Object.values(agent.freeSockets).flat()).toHaveLength(1);
    agent.destroy();
  });
});

describe('client §2 second runs [C]', () => {
  it('cost one 304 for each project, and nothing upstream', async () => {
    const { upstream, mirror } = await demo();
    const first = await mirror.get('/simple/demo/', { headers: { accept: JSON_PAGE } });
    upstream.forget();
    const headers = { accept: JSON_PAGE, 'if-none-match': String(first.headers.etag) };
    const again = await mirror.get('/simple/demo/', { headers });
    expect([again.status, again.body.length]).toEqual([304, 0]);
    expect(upstream.requests).toEqual([]);
  });

  it('see a new file as soon as the mirror does', async () => {
    const { upstream, mirror } = await demo();
    const first = await mirror.get('/simple/demo/');
    upstream.setProject('demo', [WHEEL, writeWheel({ name: 'demo', version: '2.0' })]);
    mirror.clock.advance(601_000);
    const headers = { 'if-none-match': String(first.headers.etag) };
    const again = await mirror.get('/simple/demo/', { headers });
    expect(again.status).toBe(200);
    expect(again.text).toContain('demo-2.0');
  });
});

describe('client §3 what installers do not survive [C]', () => {
  it('a page is always of a type that they read, never text/plain', async () => {
    const { upstream, mirror } = await demo();
    upstream.fault('/simple/demo/', { headers: { 'content-type': 'text/plain' } });
    const { status, headers } = await mirror.get('/simple/demo/');
    if (status === 200) expect(headers['content-type']).toMatch(/^text\/html/);
    else expect(status).toBe(502);
  });

  it('files that a page gives no URL below us for are not listed', async () => {
    const { upstream, mirror } = await demo();
    const listed = { ...WHEEL, listedUrl: 'https://elsewhere.test/demo-1.0-py3-none-any.whl' };
    upstream.setProject('demo', [listed]);
    expect((await mirror.page('demo')).filenames).toEqual([]);
  });

  it('broken JSON upstream is never passed on: pip ends with a traceback', async () => {
    const { upstream, mirror } = await demo();
    upstream.fault('/simple/demo/', {
      body: '{"meta":',
      headers: { 'content-type': JSON_PAGE, 'content-encoding': null },
    });
    expect((await mirror.get('/simple/demo/', { headers: { accept: JSON_PAGE } })).status).toBe(
      502,
    );
  });
});
