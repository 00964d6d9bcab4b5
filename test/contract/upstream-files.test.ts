import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import {
  InvalidUpstreamAnswerError,
  NotFoundError,
  UpstreamUnavailableError,
} from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { createTransport, createUpstream } from '../../src/upstream/upstream.ts';
import type {
  FileAnswer,
  Transport,
  Upstream,
  UpstreamOptions,
} from '../../src/upstream/upstream.ts';
import { sha256Of, startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream, Fault } from '../support/fake-upstream.ts';

const content = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
const FILENAME = 'demo-1.0.tar.gz';

let fake: FakeUpstream;
let transport: Transport;
let upstream: Upstream;
let url: string;

function open(options: Partial<UpstreamOptions> = {}): Upstream {
  return createUpstream({ name: 'fake', url: fake.indexUrl, ...options }, transport, {
    clock: systemClock,
    log: silentLogger,
  });
}

beforeEach(async () => {
  fake = await startFakeUpstream({
    projects: { demo: [{ filename: FILENAME, content, metadata: 'Name: demo\n' }] },
  });
  transport = createTransport({ headersTimeoutMs: 200, idleTimeoutMs: 200 });
  upstream = open();
  url = fake.fileUrl(FILENAME);
});
afterEach(async () => {
  upstream.close();
  await transport.close();
  await fake.close();
});

async function read(answer: FileAnswer): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of answer.body) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** What came before the body broke, and what broke it. */
async function readUntilBroken(answer: FileAnswer): Promise<{ bytes: number; error: unknown }> {
  let bytes = 0;
  try {
    for await (const piece of answer.body) bytes += piece.length;
  } catch (error) {
    return { bytes, error };
  }
  return { bytes, error: undefined };
}

describe('openFile', () => {
  it('gives the whole file with its length and strong validator', async () => {
    const answer = await upstream.openFile(url);
    const etag = `"${sha256Of(content).slice(0, 32)}"`;
    expect(answer).toMatchObject({ kind: 'whole', offset: 0, totalBytes: content.length, etag });
    expect((await read(answer)).equals(content)).toBe(true);
    expect(fake.requests[0]?.headers['accept-encoding']).toBe('identity');
    expect(fake.requests[0]?.headers.range).toBeUndefined();
    expect(upstream.stats()).toMatchObject({ fileFetches: 1, bytesReceived: content.length });
  });

  it.each([
    [{ firstByte: 100_000 }, 100_000, 300_000],
    [{ firstByte: 5, lastByte: 9 }, 5, 10],
    [{ lastByte: 9 }, 0, 10],
    [{ firstByte: 299_990, lastByte: 999_999 }, 299_990, 300_000],
    [{ suffixBytes: 10 }, 299_990, 300_000],
    [{ suffixBytes: 999_999 }, 0, 300_000],
  ])('gives the part %o', async (options, offset, end) => {
    const answer = await upstream.openFile(url, options);
    expect(answer).toMatchObject({ kind: 'part', offset, totalBytes: content.length });
    expect((await read(answer)).equals(content.subarray(offset, end))).toBe(true);
  });

  it('says when the part lies beyond the end', async () => {
    const answer = await upstream.openFile(url, { firstByte: content.length });
    expect(answer).toMatchObject({ kind: 'beyond-end', totalBytes: content.length });
    expect(await read(answer)).toHaveLength(0);
  });

  it('resumes with If-Range, and gets the whole file when it has changed', async () => {
    const { etag } = await upstream.openFile(url, { firstByte: 1 });
    const same = await upstream.openFile(url, { firstByte: 1000, ifRange: etag! });
    expect(same.kind).toBe('part');
    same.cancel();
    const changed = await upstream.openFile(url, { firstByte: 1000, ifRange: '"old"' });
    expect(changed).toMatchObject({ kind: 'whole', offset: 0 });
    changed.cancel();
  });

  it('has the whole from an upstream that knows no ranges', async () => {
    fake.fault('*', { ignoreRange: true });
    const answer = await upstream.openFile(url, { firstByte: 1000 });
    expect(answer).toMatchObject({ kind: 'whole', offset: 0 });
    expect((await read(answer)).length).toBe(content.length);
  });

  it('keeps no weak validator', async () => {
    fake.fault('*', { headers: { etag: 'W/"weak"' } });
    const answer = await upstream.openFile(url);
    expect(answer.etag).toBeNull();
    answer.cancel();
  });

  it.each([
    ['lies about where its part begins', { contentRangeShift: 1 }],
    ['does not say which part it sends', { headers: { 'content-range': null } }],
    ['announces another length than that of its part', { contentLengthShift: -1 }],
    ['names an impossible part', { headers: { 'content-range': 'bytes 5-9/7' } }],
    ['refuses', { status: 403 }],
    ['answers "not modified"', { notModified: true }],
    [
      'answers with a part of several parts',
      { status: 206, headers: { 'content-type': 'multipart/byteranges' } },
    ],
  ] as const)('refuses an upstream that %s', async (_what, fault: Fault) => {
    fake.fault('*', fault);
    const failing = upstream.openFile(url, { firstByte: 5, lastByte: 9 });
    await expect(failing).rejects.toBeInstanceOf(InvalidUpstreamAnswerError);
    expect(fake.requests).toHaveLength(1);
  });

  it.each([404, 410, 451])('knows %i for "not found"', async (status) => {
    fake.fault('*', { status });
    await expect(upstream.openFile(url)).rejects.toBeInstanceOf(NotFoundError);
    expect(upstream.stats().failures).toBe(0);
  });

  it.each([
    ['answers 503', { status: 503, headers: { 'retry-after': '7' } }],
    ['never answers', { hang: true }],
    ['resets', { resetBeforeHeaders: true }],
  ] as const)('fails for now, without trying again, when it %s', async (_what, fault) => {
    fake.fault('*', fault);
    await expect(upstream.openFile(url)).rejects.toBeInstanceOf(UpstreamUnavailableError);
    expect(fake.requests).toHaveLength(1);
    expect(upstream.stats().failures).toBe(1);
  });

  it.each([
    ['reset', { cutAfter: 200_000 }],
    ['closed before its end', { cutAfter: 200_000, cutWith: 'close' }],
    [
      'closed before its end, announced as the last',
      { cutAfter: 200_000, cutWith: 'close', headers: { connection: 'close' } },
    ],
    ['stalled', { stallAfter: 200_000 }],
  ] as const)('throws on a body that is %s', async (_what, fault) => {
    fake.fault('*', fault);
    const { bytes, error } = await readUntilBroken(await upstream.openFile(url));
    expect(error).toBeInstanceOf(UpstreamUnavailableError);
    expect(bytes).toBeLessThanOrEqual(200_000);
    expect(upstream.stats().failures).toBe(1);
  });

  it('cannot tell a proper end that comes too early when no length was announced', async () => {
    fake.fault('*', { cutAfter: 1000, cutWith: 'chunked' });
    const answer = await upstream.openFile(url);
    expect(answer.totalBytes).toBeNull();
    expect(await read(answer)).toHaveLength(1000);
  });

  it('never takes more than was announced', async () => {
    fake.fault('*', { contentLengthShift: -10 });
    const answer = await upstream.openFile(url);
    const { bytes } = await readUntilBroken(answer);
    expect(bytes).toBeLessThanOrEqual(content.length - 10);
  });

  it('never decodes a file, whatever coding it claims', async () => {
    fake.fault('*', { headers: { 'content-encoding': 'gzip' } });
    expect((await read(await upstream.openFile(url))).equals(content)).toBe(true);
  });

  it('stops the transfer when it is given up', async () => {
    fake.fault('*', { bytesPerSecond: 100_000 });
    const answer = await upstream.openFile(url);
    for await (const _piece of answer.body) break;
    answer.cancel();
    answer.cancel();
    const other = await upstream.openFile(url, { lastByte: 0 });
    other.cancel();
    expect(fake.bytesSent('*')).toBeLessThan(100_000);
  });

  it('ends with the reason of whoever aborts it', async () => {
    fake.fault('*', { bytesPerSecond: 1000 });
    const leaving = new AbortController();
    const answer = await upstream.openFile(url, { signal: leaving.signal });
    const reason = new Error('stopping');
    leaving.abort(reason);
    await expect(read(answer)).rejects.toBe(reason);
    expect(upstream.stats().failures).toBe(0);
  });
});

describe('where files may come from', () => {
  it('follows a redirect within its hosts and refuses one out of them', async () => {
    const stop = fake.fault(fake.filePath(FILENAME), { redirectTo: '/elsewhere/file' });
    fake.setRaw('/elsewhere/file', { body: 'bytes' });
    expect((await read(await upstream.openFile(url))).toString()).toBe('bytes');
    stop();
    fake.fault('*', { redirectTo: 'http://localhost:1/file' });
    await expect(upstream.openFile(url)).rejects.toThrow('may lead to');
  });

  it.each([
    'http://127.0.0.1:1/x',
    'http://2130706433/x',
    'http://0x7f.1/x',
    'http://[::ffff:127.0.0.1]/x',
    'http://[::1]/x',
    'http://169.254.169.254/latest',
    'http://localhost/x',
    'http://10.0.0.1/x',
    'file:///etc/passwd',
    'data:text/plain,x',
    'ftp://127.0.0.1/x',
    'not a url',
  ])('never connects to %s', async (bad) => {
    expect(upstream.mayFetch(bad)).toBe(false);
    await expect(upstream.openFile(bad)).rejects.toBeInstanceOf(InvalidUpstreamAnswerError);
    expect(transport.connectionsOpened).toBe(0);
  });

  it('asks another server of its own only when it is listed', async () => {
    const files = await startFakeUpstream({
      projects: { demo: [{ filename: FILENAME, content }] },
    });
    const there = files.fileUrl(FILENAME);
    expect(upstream.mayFetch(there)).toBe(false);
    const listed = open({ fileHosts: [`127.0.0.1:${files.port}`] });
    expect((await read(await listed.openFile(there))).equals(content)).toBe(true);
    await files.close();
  });

  it('sends credentials to its own origin only, and prints them nowhere', async () => {
    const files = await startFakeUpstream({
      projects: { demo: [{ filename: FILENAME, content }] },
    });
    fake.behaviour.credentials = { username: 'ana', password: 'ge heim' };
    const withLogin = open({
      url: fake.indexUrl.replace('//', '//ana:ge%20heim@'),
      fileHosts: [`127.0.0.1:${files.port}`],
    });
    expect(withLogin.url).toBe(fake.indexUrl);
    (await withLogin.openFile(url)).cancel();
    fake.fault('*', { redirectTo: files.fileUrl(FILENAME) });
    (await withLogin.openFile(url)).cancel();
    expect(files.requests[0]?.headers.authorization).toBeUndefined();

    fake.clearFaults();
    const refused = open({ username: 'ana', password: 'wrong-secret' }).openFile(url);
    await expect(refused).rejects.toThrow('answered 401');
    await expect(refused).rejects.not.toThrow('wrong-secret');
    await files.close();
  });
});

describe('headFile and fetchSmall', () => {
  it('tell the length and whether parts can be had', async () => {
    expect(await upstream.headFile(url)).toMatchObject({
      totalBytes: content.length,
      acceptsRanges: true,
    });
    fake.behaviour.ranges = false;
    expect(await upstream.headFile(url)).toMatchObject({ acceptsRanges: false });
    fake.fault('*', { status: 405 });
    expect(await upstream.headFile(url)).toMatchObject({ totalBytes: null, acceptsRanges: false });
    fake.clearFaults();
    await expect(upstream.headFile(`${url}.nothing`)).rejects.toBeInstanceOf(NotFoundError);
  });

  it('fetch a document, know that one is missing, and stop at the limit', async () => {
    const json = `${fake.origin}/pypi/demo/json`;
    const found = await upstream.fetchSmall(json, { maxBytes: 10_000, accept: 'application/json' });
    expect(JSON.parse(Buffer.from(found.body).toString())).toMatchObject({
      info: { name: 'demo' },
    });
    expect(found).toMatchObject({ status: 200, contentType: 'application/json' });
    const missing = await upstream.fetchSmall(`${fake.origin}/pypi/no/json`, { maxBytes: 10 });
    expect(missing.status).toBe(404);
    const tooLong = upstream.fetchSmall(json, { maxBytes: 10 });
    await expect(tooLong).rejects.toBeInstanceOf(InvalidUpstreamAnswerError);
  });
});
