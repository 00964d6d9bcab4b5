/** How files are served. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { FakeUpstream, Fault } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { sendRaw } from '../support/http-client.ts';
import { hold, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';

const SDIST = writeSdist({ name: 'demo', version: '1.0', paddingBytes: 300_000 });
const WHEEL = writeWheel({ name: 'demo', version: '1.1', paddingBytes: 300_000 });
const SIZE = WHEEL.content.length;

interface Stage {
  readonly upstream: FakeUpstream;
  readonly mirror: TestMirror;
  readonly wheel: string;
  readonly sdist: string;
}

async function demo(behaviour: object = {}): Promise<Stage> {
  const upstream = await stageUpstream({ projects: { demo: [SDIST, WHEEL] }, ...behaviour });
  const mirror = await startMirror({ upstreams: [upstream] });
  const [wheel, sdist] = [WHEEL, SDIST].map(({ filename }) => upstream.filePath(filename));
  return { upstream, mirror, wheel: wheel ?? '', sdist: sdist ?? '' };
}

describe.each(['cold', 'held'])('§6 a %s file', (state) => {
  async function staged(): Promise<Stage> {
    const stage = await demo();
    if (state === 'held') {
      await hold(stage.mirror, stage.wheel);
      await hold(stage.mirror, stage.sdist);
    }
    return stage;
  }

  it('answers HEAD with its true length and that there are ranges, as uv and pip ask first [C]', async () => {
    const { mirror, wheel } = await staged();
    const { status, headers, body } = await mirror.get(wheel, { method: 'HEAD' });
    expect([status, body.length]).toEqual([200, 0]);
    expect(headers).toMatchObject({ 'content-length': String(SIZE), 'accept-ranges': 'bytes' });
  });

  it.each([
    ['bytes=100-199', 100, 200],
    [`bytes=${SIZE - 50}-`, SIZE - 50, SIZE],
    ['bytes=-10000', SIZE - 10_000, SIZE],
    [`bytes=${SIZE - 16_384}-${SIZE - 1}`, SIZE - 16_384, SIZE],
    [`bytes=${SIZE - 5}-${SIZE + 100}`, SIZE - 5, SIZE],
    [`bytes=-${SIZE + 100}`, 0, SIZE],
  ])('%s is answered with 206, first request or not [S][C]', async (range, start, end) => {
    const { mirror, wheel } = await staged();
    const headers = { range, 'cache-control': 'no-cache' };
    const answer = await mirror.get(wheel, { headers });
    expect(answer.status).toBe(206);
    expect(answer.headers['content-range']).toBe(`bytes ${start}-${end - 1}/${SIZE}`);
    expect(answer.body.equals(WHEEL.content.subarray(start, end))).toBe(true);
  });

  it('a range beyond the end gives 416 with the size [S]', async () => {
    const { mirror, wheel } = await staged();
    const { status, headers } = await mirror.get(wheel, { headers: { range: `bytes=${SIZE}-` } });
    expect([status, headers['content-range']]).toEqual([416, `bytes */${SIZE}`]);
  });

  it.each(['lines=1-2', 'bytes=a-b', 'bytes=5-2', 'bytes=', 'bytes=0-1,5-6'])(
    'the range %s is ignored [S]',
    async (range) => {
      const { mirror, wheel } = await staged();
      const { status, body } = await mirror.get(wheel, { headers: { range } });
      expect([status, sha256Of(body)]).toEqual([200, WHEEL.sha256]);
    },
  );

  it('If-Range is compared strongly: pip resumes by it [S][C]', async () => {
    const { mirror, wheel } = await staged();
    const tag = String((await mirror.get(wheel, { method: 'HEAD' })).headers.etag);
    const range = 'bytes=200000-';
    const statusWith = async (ifRange: string): Promise<number> =>
      (await mirror.get(wheel, { headers: { range, 'if-range': ifRange } })).status;
    expect(await statusWith(tag)).toBe(206);
    for (const other of ['"other"', `W/${tag}`, new Date().toUTCString()]) {
      expect(await statusWith(other), other).toBe(200);
    }
  });

  it.each(['wheel', 'sdist'] as const)('a %s is never content-encoded [C]', async (kind) => {
    const { mirror, [kind]: path } = await staged();
    const headers = { 'accept-encoding': 'gzip, deflate, zstd' };
    const answer = await mirror.get(path, { headers });
    expect(answer.headers).not.toHaveProperty('content-encoding');
    expect(answer.headers['content-type']).toBe('application/octet-stream');
    expect(answer.headers['content-length']).toBe(String(answer.body.length));
    expect(answer.headers['x-content-type-options']).toBe('nosniff');
    expect(sha256Of(answer.body)).toBe((kind === 'wheel' ? WHEEL : SDIST).sha256);
  });

  it('its core metadata is text, with its length, and not encoded either [C]', async () => {
    const { mirror, wheel } = await staged();
    const headers = { 'accept-encoding': 'zstd,gzip,deflate' };
    const answer = await mirror.get(`${wheel}.metadata`, { headers });
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(answer.headers['content-length']).toBe(String(Buffer.byteLength(WHEEL.metadata)));
    expect(answer.headers).not.toHaveProperty('content-encoding');
    expect(answer.text).toBe(WHEEL.metadata);
  });

  it('is not sent in chunks to HTTP/1.0 [S]', async () => {
    const { mirror, wheel } = await staged();
    const { port } = new URL(mirror.origin);
    const head = `GET ${wheel} HTTP/1.0\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
    const received = await sendRaw(mirror.origin, head);
    const [heads = ''] = received.split('\r\n\r\n');
    expect(heads.toLowerCase()).not.toContain('transfer-encoding');
    expect(heads.toLowerCase()).toContain(`content-length: ${SIZE}`);
    const body = Buffer.from(received.slice(heads.length + 4), 'latin1');
    expect(sha256Of(body)).toBe(WHEEL.sha256);
  });
});

describe('§6 a small range of a large file', () => {
  it('that is not held is answered beside the fill, without the whole [D]', async () => {
    const content = randomBytes(9 * 1024 * 1024);
    const file = { filename: 'demo-9.0-py3-none-any.whl', content };
    const upstream = await stageUpstream({ projects: { demo: [file] } });
    const mirror = await startMirror({ upstreams: [upstream] });
    const path = upstream.filePath(file.filename);
    const { status, body } = await mirror.get(path, { headers: { range: 'bytes=-10000' } });
    expect([status, body.equals(content.subarray(-10_000))]).toEqual([206, true]);
    expect(upstream.bytesSent(path)).toBeLessThan(1_000_000);
  });
});

describe('§6 what breaks upstream is healed here, since few clients resume [C]', () => {
  it.each<[string, Fault]>([
    ['cut by a reset', { cutAfter: 100_000, times: 1 }],
    ['cut by a close', { cutAfter: 100_000, cutWith: 'close', times: 1 }],
    ['cut without a length', { cutAfter: 100_000, cutWith: 'chunked', times: 1 }],
    ['cut three times', { cutAfter: 100_000, times: 3 }],
    ['503 once', { status: 503, times: 1 }],
    ['a reset before the answer', { resetBeforeHeaders: true, times: 1 }],
    ['damaged once', { flipByteAt: 150_000, times: 1 }],
  ])('a body that is %s', async (_what, fault) => {
    const { upstream, mirror, wheel } = await demo();
    upstream.fault(wheel, fault);
    const answer = await mirror.get(wheel).catch(() => mirror.get(wheel));
    expect(sha256Of(answer.body)).toBe(WHEEL.sha256);
  });

  it('a cut body is resumed, not fetched twice', async () => {
    const { upstream, mirror, wheel } = await demo();
    upstream.fault(wheel, { cutAfter: 100_000, times: 1 });
    expect(sha256Of((await mirror.get(wheel)).body)).toBe(WHEEL.sha256);
    expect(upstream.bytesSent(wheel)).toBeLessThan(SIZE + 100_000);
  });
});

describe('§6 an index page', () => {
  it('says its type and that it is not to be guessed [C]', async () => {
    const { mirror } = await demo();
    for (const target of ['/simple/', '/simple/demo/', '/simple/nope/', '/pypi/demo/json']) {
      const { headers } = await mirror.get(target);
      expect(headers['x-content-type-options'], target).toBe('nosniff');
      expect(headers['content-type'], target).toBeDefined();
    }
  });
});
