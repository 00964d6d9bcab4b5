/** The HTTP side alone: the real server and app over a repository that does as it is told. */
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  ConfigurationError,
  InvalidUpstreamAnswerError,
  NotHeldOfflineError,
  RefusedError,
  StorageError,
  UpstreamUnavailableError,
} from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { LegacyDocuments } from '../../src/repository/legacy-documents.ts';
import { ProvenanceSource } from '../../src/repository/provenance.ts';
import { RenderedPages } from '../../src/repository/rendered-pages.ts';
import { createApp } from '../../src/server/app.ts';
import { startHttpServer } from '../../src/server/http-server.ts';
import type { HttpServer, HttpServerOptions } from '../../src/server/http-server.ts';
import { FakeRepository } from '../support/fake-repository.ts';
import { ask, sendRaw } from '../support/http-client.ts';
import type { Answer, AskOptions } from '../support/http-client.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

interface Stage {
  readonly repository: FakeRepository;
  readonly server: HttpServer;
  readonly origin: string;
  readonly served: { origin: string; bytes: number }[];
  get(target: string, options?: AskOptions): Promise<Answer>;
}

const FILE = 'packages/aa/bb/demo-1.0.tar.gz';
const MANY = Array.from({ length: 60 }, (_, at) => `demo-1.${at}.tar.gz`);

async function stage(
  options: Partial<HttpServerOptions> & { basePath?: string } = {},
): Promise<Stage> {
  const { basePath = '/', ...rest } = options;
  const repository = new FakeRepository();
  repository.setProject('demo', MANY);
  const served: { origin: string; bytes: number }[] = [];
  const app = createApp({
    pages: new RenderedPages(repository, 10_000_000),
    repository,
    legacy: new LegacyDocuments(repository),
    provenance: new ProvenanceSource(repository, []),
    basePath,
    networkMode: 'normal',
    trustProxy: options.trustProxy ?? [],
    hideYanked: 'never',
    log: silentLogger,
    stats: () => ({ answer: 42 }),
    isReady: () => true,
    onFileServed: (origin, bytes) => served.push({ origin, bytes }),
  });
  const server = await startHttpServer(
    {
      listen: [{ host: '127.0.0.1', port: 0 }],
      unix: null,
      allowedHosts: [],
      trustProxy: [],
      log: silentLogger,
      ...rest,
    },
    app,
  );
  onTestFinished(() => server.close(0));
  const origin = server.origins[0] ?? '';
  return {
    repository,
    server,
    origin,
    served,
    get: (target, asking) => ask(origin, target, asking),
  };
}

/** Without what differs between any two answers. */
function stable({ headers }: Answer): object {
  const { date: _date, connection: _connection, 'keep-alive': _keepAlive, ...rest } = headers;
  return rest;
}

describe('a page', () => {
  it('comes with everything a cache needs to know, and nothing about us', async () => {
    const { get } = await stage();
    const { status, headers } = await get('/simple/demo/');
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'max-age=0, must-revalidate',
      'x-content-type-options': 'nosniff',
      'x-pypi-last-serial': '7',
      'cache-status': 'wheelcellar; hit',
    });
    expect(headers.vary).toMatch(/^Accept, Accept-Encoding/);
    expect(headers.etag).toMatch(/^"[\w-]+"$/);
    expect(headers['content-length']).toMatch(/^\d+$/);
    expect(Math.abs(Date.parse(headers.date ?? '') - Date.now())).toBeLessThan(5_000);
    expect(headers).not.toHaveProperty('x-powered-by');
    expect(headers).not.toHaveProperty('last-modified');
    expect(headers).not.toHaveProperty('access-control-allow-origin');
  });

  it('is answered with 304 by its entity tag, with the headers of the page', async () => {
    const { get } = await stage();
    const page = await get('/simple/demo/');
    for (const method of ['GET', 'HEAD']) {
      const headers = { 'if-none-match': `"x", W/${page.headers.etag}` };
      const same = await get('/simple/demo/', { method, headers });
      expect(same.status).toBe(304);
      expect(same.body.length).toBe(0);
      for (const name of ['etag', 'vary', 'cache-control', 'cache-status']) {
        expect(same.headers[name]).toBe(page.headers[name]);
      }
    }
    const other = await get('/simple/demo/', { headers: { 'if-none-match': '"x"' } });
    expect(other.status).toBe(200);
  });

  it('has another entity tag for each form, coding and depth', async () => {
    const { get } = await stage();
    const json = 'application/vnd.pypi.simple.v1+json';
    const answers = await Promise.all([
      get('/simple/demo/'),
      get('/simple/demo/', { headers: { 'accept-encoding': 'gzip' } }),
      get('/simple/demo/', { headers: { accept: json } }),
      get('/demo/'),
    ]);
    expect(new Set(answers.map(({ headers }) => headers.etag)).size).toBe(4);
    expect(gunzipSync(answers[1].body).equals(answers[0].body)).toBe(true);
  });

  it('is made and compressed once for all who ask at once', async () => {
    const { get, repository } = await stage();
    const asking = { headers: { 'accept-encoding': 'gzip' } };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => get('/simple/demo/', asking)),
    );
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(repository.counts.loads).toBe(1);
    await get('/simple/demo/');
    expect(repository.counts.loads).toBe(1);
    repository.setProject('demo', ['demo-2.0.tar.gz']);
    expect((await get('/simple/demo/')).text).toContain('demo-2.0.tar.gz');
    expect(repository.counts.loads).toBe(2);
  });

  it('that no type fits is refused with what there is, and varies all the same', async () => {
    const { get } = await stage();
    const { status, text, headers } = await get('/simple/demo/', {
      headers: { accept: 'application/xml' },
    });
    expect(status).toBe(406);
    expect(text).toContain('application/vnd.pypi.simple.v1+json');
    expect(headers.vary).toMatch(/^Accept, Accept-Encoding/);
    expect(headers['content-type']).toBe('text/plain; charset=utf-8');
  });
});

describe('HEAD', () => {
  it.each([
    '/simple/',
    '/simple/demo/',
    '/simple/nope/',
    '/simple/Demo',
    `/${FILE}`,
    '/packages/aa/bb/nope',
    '/-/health',
    '/-/stats',
    '/nowhere/at/all',
  ])('says of %s what GET says, without the body', async (target) => {
    const { get, repository } = await stage();
    repository.setFile(FILE, { content: Buffer.from('0123456789') });
    const whole = await get(target);
    const head = await get(target, { method: 'HEAD' });
    expect(head.status).toBe(whole.status);
    expect(stable(head)).toEqual(stable(whole));
    expect(head.body.length).toBe(0);
    expect(head.headers['content-length']).toBe(String(whole.body.length));
  });

  it('of a file opens nothing, and knows no ranges', async () => {
    const { get, repository, served } = await stage();
    repository.setFile(FILE, { content: Buffer.from('0123456789') });
    const head = await get(`/${FILE}`, { method: 'HEAD', headers: { range: 'bytes=2-4' } });
    expect([head.status, head.headers['content-length']]).toEqual([200, '10']);
    expect(head.headers['accept-ranges']).toBe('bytes');
    expect(repository.counts).toMatchObject({ opened: 0, closed: 1 });
    expect(served).toEqual([]);
  });
});

describe('a file', () => {
  it('comes whole, unchanged and for ever', async () => {
    const { get, repository, served } = await stage();
    const content = randomBytes(300_000);
    repository.setFile(FILE, { content, pieceBytes: 10_000 });
    const answer = await get(`/${FILE}`, { headers: { 'accept-encoding': 'gzip, zstd' } });
    expect(answer.body.equals(content)).toBe(true);
    expect(answer.headers).toMatchObject({
      'cache-control': 'public, max-age=31536000, immutable',
      'content-type': 'application/octet-stream',
      'content-length': '300000',
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
      etag: '"sha256-fake"',
    });
    expect(answer.headers).not.toHaveProperty('content-encoding');
    expect(served).toEqual([{ origin: 'hit', bytes: 300_000 }]);
    expect(repository.counts).toMatchObject({ opened: 1, ended: 1, closed: 0 });
  });

  it.each([
    ['bytes=2-4', '234', 'bytes 2-4/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-2', '89', 'bytes 8-9/10'],
    ['bytes=8-100', '89', 'bytes 8-9/10'],
  ])('gives the part %s', async (range, text, contentRange) => {
    const { get, repository } = await stage();
    repository.setFile(FILE, { content: Buffer.from('0123456789'), pieceBytes: 2 });
    for (const extra of [{}, { 'if-range': '"sha256-fake"' }]) {
      const part = await get(`/${FILE}`, { headers: { range, ...extra } });
      expect(part.status).toBe(206);
      expect(part.text).toBe(text);
      expect(part.headers['content-range']).toBe(contentRange);
    }
  });

  it.each([
    { range: 'bytes=0-1,4-5' },
    { range: 'bytes=4-2' },
    { range: 'lines=1-2' },
    { range: 'bytes=2-4', 'if-range': '"other"' },
    { range: 'bytes=2-4', 'if-range': 'W/"sha256-fake"' },
  ])('comes whole for %o', async (headers) => {
    const { get, repository } = await stage();
    repository.setFile(FILE, { content: Buffer.from('0123456789') });
    const answer = await get(`/${FILE}`, { headers });
    expect([answer.status, answer.text]).toEqual([200, '0123456789']);
  });

  it('has no part beyond its end, and the refusal is not for ever', async () => {
    const { get, repository } = await stage();
    repository.setFile(FILE, { content: Buffer.from('0123456789') });
    const answer = await get(`/${FILE}`, { headers: { range: 'bytes=10-' } });
    expect(answer.status).toBe(416);
    expect(answer.headers['content-range']).toBe('bytes */10');
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(answer.headers).not.toHaveProperty('etag');
    expect(repository.counts).toMatchObject({ opened: 0, closed: 1 });
  });

  it('that fails at its opening has no header of the file', async () => {
    const { get, repository } = await stage();
    const openError = new InvalidUpstreamAnswerError('The bytes were wrong.');
    repository.setFile(FILE, { content: Buffer.from('x'), openError });
    const { status, headers, text } = await get(`/${FILE}`);
    expect([status, text]).toEqual([502, 'The bytes were wrong.\n']);
    expect(headers['cache-control']).toBe('no-store');
    for (const name of ['etag', 'cache-status', 'content-range']) {
      expect(headers).not.toHaveProperty(name);
    }
  });

  it.each([{ breakAfter: 5_000 }, { totalBytes: 10_500 }, { totalBytes: 9_500 }])(
    'with the fault %o ends in a broken connection, not in a short body',
    async (fault) => {
      const { get, origin, repository, served } = await stage();
      const content = randomBytes(10_000);
      repository.setFile(FILE, { content, pieceBytes: 1_000, ...fault });
      await expect(get(`/${FILE}`)).rejects.toThrow();
      expect(repository.counts).toMatchObject({ opened: 1, ended: 1 });
      expect(served).toEqual([]);
      expect((await ask(origin, '/-/health')).status).toBe(200);
    },
  );

  it('of unknown length is chunked, and a break of it is seen', async () => {
    const { get, repository } = await stage();
    const content = randomBytes(5_000);
    repository.setFile(FILE, { content, sizeBytes: null, pieceBytes: 1_000 });
    const answer = await get(`/${FILE}`, { headers: { range: 'bytes=0-1' } });
    expect(answer.status).toBe(200);
    expect(answer.headers['transfer-encoding']).toBe('chunked');
    expect(answer.body.equals(content)).toBe(true);
    repository.setFile(FILE, { content, sizeBytes: null, pieceBytes: 1_000, breakAfter: 3_000 });
    await expect(get(`/${FILE}`)).rejects.toThrow();
  });

  it('that may change is not called immutable', async () => {
    const { get, repository } = await stage();
    repository.setFile('packages/aa/bb/demo-1.0-variants.json', { content: Buffer.from('{}') });
    const { headers } = await get('/packages/aa/bb/demo-1.0-variants.json');
    expect(headers['cache-control']).toBe('max-age=0, must-revalidate');
  });

  it('is not sent to who has it', async () => {
    const { get, repository } = await stage();
    repository.setFile(FILE, { content: Buffer.from('0123456789') });
    const headers = { 'if-none-match': '"sha256-fake"', range: 'bytes=0-1' };
    const answer = await get(`/${FILE}`, { headers });
    expect([answer.status, answer.body.length]).toEqual([304, 0]);
    expect(answer.headers).toMatchObject({
      etag: '"sha256-fake"',
      'cache-control': 'public, max-age=31536000, immutable',
    });
    expect(repository.counts).toMatchObject({ opened: 0, closed: 1 });
  });
});

describe('a client that leaves', () => {
  it('while nothing comes lets the body go', async () => {
    const { origin, repository } = await stage();
    repository.setFile(FILE, {
      content: randomBytes(10_000),
      pieceBytes: 1_000,
      stallAfter: 2_000,
    });
    const socket = connect(Number(new URL(origin).port), '127.0.0.1');
    socket.write(`GET /${FILE} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await vi.waitFor(() => expect(socket.bytesRead).toBeGreaterThan(2_000));
    expect(repository.counts).toMatchObject({ opened: 1, ended: 0 });
    socket.destroy();
    await vi.waitFor(() => expect(repository.counts.ended).toBe(1));
    expect((await ask(origin, '/-/health')).status).toBe(200);
  });

  it('while it does not read lets the body go', async () => {
    const { origin, repository } = await stage();
    repository.setFile(FILE, { content: randomBytes(64_000_000), pieceBytes: 500_000 });
    const socket = connect(Number(new URL(origin).port), '127.0.0.1');
    socket.write(`GET /${FILE} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await vi.waitFor(() => expect(repository.counts.opened).toBe(1));
    socket.pause();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(repository.counts.ended).toBe(0);
    socket.destroy();
    await vi.waitFor(() => expect(repository.counts.ended).toBe(1));
    expect((await ask(origin, '/-/health')).status).toBe(200);
  });

  it('is let go when it reads nothing for too long; one that waits for us is not', async () => {
    const { origin, repository } = await stage({ stalledClientMs: 300 });
    const slow = 'packages/aa/bb/slow-1.0.tar.gz';
    repository.setFile(FILE, { content: randomBytes(64_000_000), pieceBytes: 500_000 });
    repository.setFile(slow, { content: randomBytes(4_000), pieceBytes: 1_000, stallAfter: 2_000 });
    const port = Number(new URL(origin).port);
    const waiting = connect(port, '127.0.0.1');
    waiting.resume();
    waiting.write(`GET /${slow} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    const stuck = connect(port, '127.0.0.1');
    stuck.pause();
    stuck.on('error', () => {});
    stuck.write(`GET /${FILE} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await vi.waitFor(() => expect(repository.counts).toMatchObject({ opened: 2, ended: 1 }), 5_000);
    expect(waiting.closed).toBe(false);
    stuck.destroy();
    waiting.destroy();
    await vi.waitFor(() => expect(repository.counts.ended).toBe(2));
  });
});

describe('a failure', () => {
  it.each([
    [new NotHeldOfflineError('Not here.', { hint: 'Go online.' }), 404, 'Not here.\nGo online.\n'],
    [new RefusedError('A rule says no.'), 403, 'A rule says no.\n'],
    [new InvalidUpstreamAnswerError('Nonsense.'), 502, 'Nonsense.\n'],
    [new UpstreamUnavailableError('Down.'), 503, 'Down.\n'],
    [new StorageError('/secret/path is full'), 500, expect.not.stringContaining('secret')],
    [new Error('/secret/path <b>'), 500, expect.not.stringContaining('secret')],
  ])('is told in plain text: %s', async (error, status, text) => {
    const { get, repository } = await stage();
    repository.fail('demo', error);
    repository.fail(FILE, error);
    for (const target of ['/simple/demo/', `/${FILE}`]) {
      const answer = await get(target);
      expect([answer.status, answer.text]).toEqual([status, text]);
      expect(answer.headers).toMatchObject({
        'content-type': 'text/plain; charset=utf-8',
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
      });
    }
  });

  it('that will pass says when to come again', async () => {
    const { get, repository } = await stage();
    repository.fail('demo', new UpstreamUnavailableError('Down.', { retryAfterSeconds: 2.5 }));
    expect((await get('/simple/demo/')).headers['retry-after']).toBe('3');
  });

  it('does not cost the connection', async () => {
    const { get, repository } = await stage();
    repository.fail('broken', new Error('x'));
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const statuses = [];
    for (const target of ['/simple/nope/', '/simple/broken/', '/%zz', '/simple/demo/']) {
      statuses.push((await get(target, { agent })).status);
    }
    expect(statuses).toEqual([404, 500, 404, 200]);
    const sockets = Object.values(agent.freeSockets).flatMap((list) => list ?? []);
    expect(sockets).toHaveLength(1);
  });

  it.each([
    '//[/',
    '//[ #/'.replace(' ', '%20'),
    '//a:99999/#x',
    '/simple/<script>alert(1)</script>/',
    '/-/<script>',
    '/simple/demo/?format=<script>',
    '//evil.example/%2e%2e',
    '/?x=#y',
  ])('never repeats markup of %s as a page', async (target) => {
    const { origin } = await stage();
    const raw = await sendRaw(
      origin,
      `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    );
    expect(raw).toMatch(/^HTTP\/1\.1 (200|400|404|406) /);
    if (!raw.startsWith('HTTP/1.1 200') && raw.includes('\r\n\r\nH'))
      expect(raw).toMatch(/text\/plain/);
    expect(raw).not.toContain('<script>alert');
    expect(raw).not.toContain('Cannot GET');
  });
});

describe('a request', () => {
  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'])(
    'of method %s is told what is possible',
    async (method) => {
      const { get } = await stage();
      for (const target of ['/simple/demo/', `/${FILE}`]) {
        const { status, headers } = await get(target, { method });
        expect(status).toBe(405);
        expect(headers.allow).toBe('GET, HEAD');
        expect(headers).not.toHaveProperty('access-control-allow-origin');
      }
    },
  );

  it('with a body that nobody wants is answered before the body is sent', async () => {
    const { origin } = await stage();
    const raw = await sendRaw(
      origin,
      'PUT /simple/demo/ HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 10000000\r\n\r\n',
    );
    expect(raw).toMatch(/^HTTP\/1\.1 405 /);
    expect(raw).toContain('Connection: close');
  });

  it('with a body to GET is answered', async () => {
    const { get } = await stage();
    const headers = { 'content-length': '5' };
    expect((await get('/simple/demo/', { body: 'hello', headers })).status).toBe(200);
  });

  it.each([
    ['two Host headers', 'GET /simple/ HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n'],
    ['no Host header', 'GET /simple/ HTTP/1.1\r\nConnection: close\r\n\r\n'],
    [
      'a whole URL as its target',
      'GET http://localhost/simple/ HTTP/1.1\r\nHost: localhost\r\n\r\n',
    ],
    ['a star as its target', 'OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    [
      'two lengths',
      'GET /simple/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
    ],
    [
      'a length and chunks',
      'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['bare line feeds', 'GET /simple/ HTTP/1.1\nHost: localhost\n\n'],
    ['a space before a colon', 'GET /simple/ HTTP/1.1\r\nHost : localhost\r\n\r\n'],
  ])('with %s is refused', async (_what, bytes) => {
    const { origin } = await stage();
    const end = bytes.includes('close')
      ? ''
      : 'GET /-/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    expect(await sendRaw(origin, bytes + end)).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('that is too long is refused, and the server lives', async () => {
    const { origin, get } = await stage();
    const long = 'x'.repeat(1_000_000);
    const head = ' HTTP/1.1\r\nHost: localhost\r\n';
    expect(await sendRaw(origin, `GET /${long}${head}\r\n`)).toMatch(/^(HTTP\/1\.1 4(14|31) |$)/);
    expect(await sendRaw(origin, `GET /${head}X: ${long}\r\n\r\n`)).toMatch(/^(HTTP\/1\.1 431 |$)/);
    const many = Array.from({ length: 10_000 }, (_, at) => `x${at}: y\r\n`).join('');
    expect(await sendRaw(origin, `GET /${head}${many}\r\n`)).toMatch(/^(HTTP\/1\.1 431 |$)/);
    expect((await get('/-/health')).status).toBe(200);
  });

  it('of HTTP/1.0 gets a whole body with its length, then the end', async () => {
    const { origin, repository } = await stage();
    repository.setFile(FILE, { content: Buffer.from('0123456789') });
    const raw = await sendRaw(origin, `GET /${FILE} HTTP/1.0\r\n\r\n`);
    expect(raw).toMatch(/^HTTP\/1\.1 200 /);
    expect(raw).toContain('Content-Length: 10\r\n');
    expect(raw).not.toMatch(/transfer-encoding/i);
    expect(raw.endsWith('\r\n\r\n0123456789')).toBe(true);
  });

  it('that asks to close is the last', async () => {
    const { get } = await stage();
    const { headers } = await get('/simple/demo/', { headers: { connection: 'close' } });
    expect(headers.connection).toBe('close');
  });
});

describe('the Host', () => {
  const asked = (host: string, more: Record<string, string> = {}): AskOptions => ({
    headers: { host, ...more },
  });

  it('of others is refused before anything else, with the way out', async () => {
    const { get } = await stage();
    for (const target of ['/simple/demo/', '/-/health', '/nowhere']) {
      const { status, text } = await get(target, asked('evil.example'));
      expect(status).toBe(421);
      expect(text).toContain('allowed_hosts');
      expect(text).not.toContain('evil');
    }
    expect((await get('/simple/demo/', asked('localhost:1'))).status).toBe(200);
  });

  it('may be one that is allowed', async () => {
    const { get } = await stage({ allowedHosts: ['pypi.example.org'] });
    expect((await get('/simple/', asked('PyPI.example.org:80'))).status).toBe(200);
  });

  it('of a proxy is checked together with the one that it forwards', async () => {
    const { get } = await stage({ trustProxy: ['loopback'], allowedHosts: ['pypi.example.org'] });
    const forwarded = async (host: string, other: string): Promise<number> =>
      (await get('/simple/', asked(host, { 'x-forwarded-host': other }))).status;
    expect(await forwarded('127.0.0.1:3141', 'pypi.example.org')).toBe(200);
    expect(await forwarded('127.0.0.1:3141', 'evil.example')).toBe(421);
    // A page on a rebound name can add this header, but not choose the Host.
    expect(await forwarded('evil.example', 'localhost')).toBe(421);
    expect(await forwarded('localhost', 'localhost, evil.example')).toBe(421);
  });

  it('that somebody forwards who is no proxy of ours counts for nothing', async () => {
    const { get } = await stage({ allowedHosts: ['pypi.example.org'] });
    const more = { 'x-forwarded-host': 'evil.example' };
    expect((await get('/simple/', asked('localhost', more))).status).toBe(200);
    const other = { 'x-forwarded-host': 'pypi.example.org' };
    expect((await get('/simple/', asked('evil.example', other))).status).toBe(421);
  });
});

describe('listening', () => {
  it('happens on a socket file as well, whatever the Host', async () => {
    const folder = await makeTempFolder();
    onTestFinished(() => folder.remove());
    const unix = join(folder.path, 'mirror.sock');
    const { origin } = await stage({ unix });
    const answer = await ask(origin, '/simple/demo/', {
      socketPath: unix,
      headers: { host: 'anything' },
    });
    expect(answer.status).toBe(200);
  });

  it('takes the place of a socket file that a killed process left, never of another file', async () => {
    const folder = await makeTempFolder();
    onTestFinished(() => folder.remove());
    const precious = join(folder.path, 'precious');
    writeFileSync(precious, 'mine');
    await expect(stage({ unix: precious })).rejects.toThrow(ConfigurationError);
    expect(existsSync(precious)).toBe(true);
    const unix = join(folder.path, 'mirror.sock');
    await stage({ unix });
    await expect(stage({ unix })).rejects.toThrow(/Cannot listen on .*mirror\.sock: EADDRINUSE/);
  });

  it('fails with a word on what to do when the port is taken', async () => {
    const { origin } = await stage();
    const taken = { host: '127.0.0.1', port: Number(new URL(origin).port) };
    const failure = await stage({ listen: [taken] }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConfigurationError);
    expect(failure).toMatchObject({ hint: expect.stringContaining('--listen') as string });
  });

  it('ends as soon as the last answer does, idle connections notwithstanding', async () => {
    const { origin, repository, server, get } = await stage();
    const agent = new Agent({ keepAlive: true });
    onTestFinished(() => agent.destroy());
    repository.setFile(FILE, { content: randomBytes(5_000), pieceBytes: 1_000 });
    await ask(origin, '/simple/demo/', { agent });
    const startedAt = performance.now();
    await server.close(5_000);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    await expect(get('/-/health')).rejects.toThrow();
  });
});

it('has all its routes below the prefix', async () => {
  const { get, repository } = await stage({ basePath: '/mirrors/pypi' });
  repository.setFile(FILE, { content: Buffer.from('0123456789') });
  expect((await get(`/mirrors/pypi/${FILE}`)).text).toBe('0123456789');
  expect((await get('/mirrors/pypi/simple/demo/')).status).toBe(200);
  expect((await get('/mirrors/pypi')).headers.location).toBe('pypi/');
  expect((await get('/simple/demo/')).status).toBe(404);
});
