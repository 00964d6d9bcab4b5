/** The HTTP side alone: failures, odd requests, the Host, and listening. */
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  ConfigurationError,
  InvalidUpstreamAnswerError,
  NotHeldOfflineError,
  RefusedError,
  StorageError,
  UpstreamUnavailableError,
} from '../../src/core/errors.ts';
import { ask, sendRaw } from '../support/http-client.ts';
import type { AskOptions } from '../support/http-client.ts';
import { FILE, stage } from '../support/http-stage.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

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
