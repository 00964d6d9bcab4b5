/** The HTTP side alone: pages, files and clients that leave. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it, vi } from 'vitest';
import { InvalidUpstreamAnswerError } from '../../src/core/errors.ts';
import { eventually } from '../support/eventually.ts';
import { ask } from '../support/http-client.ts';
import type { Answer } from '../support/http-client.ts';
import { FILE, stage } from '../support/http-stage.ts';

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
    '/-/metrics',
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
    await eventually(() => expect(socket.bytesRead).toBeGreaterThan(2_000));
    expect(repository.counts).toMatchObject({ opened: 1, ended: 0 });
    socket.destroy();
    await eventually(() => expect(repository.counts.ended).toBe(1));
    expect((await ask(origin, '/-/health')).status).toBe(200);
  });

  it('while it does not read lets the body go', async () => {
    const { origin, repository } = await stage();
    repository.setFile(FILE, { content: randomBytes(64_000_000), pieceBytes: 500_000 });
    const socket = connect(Number(new URL(origin).port), '127.0.0.1');
    socket.write(`GET /${FILE} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await eventually(() => expect(repository.counts.opened).toBe(1));
    socket.pause();
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(repository.counts.ended).toBe(0);
    socket.destroy();
    await eventually(() => expect(repository.counts.ended).toBe(1));
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
    await eventually(() => expect(repository.counts.ended).toBe(2));
  });
});
