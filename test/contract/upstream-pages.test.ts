import { brotliCompressSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import {
  InvalidUpstreamAnswerError,
  NotHeldOfflineError,
  UpstreamUnavailableError,
  UpstreamUnreachableError,
} from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { parseProjectName } from '../../src/packaging/names.ts';
import type { ProjectName } from '../../src/packaging/names.ts';
import { createTransport, createUpstream } from '../../src/upstream/upstream.ts';
import type { Transport, Upstream, UpstreamOptions } from '../../src/upstream/upstream.ts';
import { sha256Of, startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';

const name = (raw: string): ProjectName => parseProjectName(raw)!;
const demo = name('demo');
const content = Buffer.from('not really an archive');
const PAGE = '/simple/demo/';

let fake: FakeUpstream;
let transport: Transport;
let upstreams: Upstream[] = [];

beforeEach(async () => {
  fake = await startFakeUpstream({
    projects: {
      demo: [{ filename: 'demo-1.0.tar.gz', content }],
      other: [{ filename: 'other-1.0.tar.gz', content }],
    },
  });
  transport = createTransport({ connectTimeoutMs: 500, headersTimeoutMs: 200, idleTimeoutMs: 200 });
});
afterEach(async () => {
  for (const upstream of upstreams) upstream.close();
  upstreams = [];
  await transport.close();
  await fake.close();
});

function open(options: Partial<UpstreamOptions> = {}): Upstream {
  const upstream = createUpstream(
    { name: 'fake', url: fake.indexUrl, headersTimeoutMs: 200, retryWithinMs: 3_000, ...options },
    transport,
    { clock: systemClock, log: silentLogger },
  );
  upstreams.push(upstream);
  return upstream;
}

describe('fetchPage', () => {
  it.each(['json', 'html'] as const)('reads a page in %s, gzipped or not', async (mode) => {
    fake.behaviour.mode = mode;
    const upstream = open();
    for (const gzip of [true, false]) {
      fake.behaviour.gzip = gzip;
      const answer = await upstream.fetchPage(demo, null);
      if (answer.kind !== 'page') throw new Error(answer.kind);
      expect(answer.detail.files[0]).toMatchObject({
        filename: 'demo-1.0.tar.gz',
        url: fake.fileUrl('demo-1.0.tar.gz'),
        hashes: { sha256: sha256Of(content) },
      });
      expect(answer).toMatchObject({ maxAgeMs: 600_000, lastSerial: 1, looksLikeIndex: true });
      expect(answer.url).toBe(`${fake.indexUrl}demo/`);
      expect(answer.bodyDigest).toMatch(/^[0-9a-f]{64}$/);
    }
    expect(fake.requests[0]?.headers.accept).toBe(
      'application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01',
    );
  });

  it('revalidates with ETag, and with Last-Modified where that is all there is', async () => {
    const upstream = open();
    const first = await upstream.fetchPage(demo, null);
    if (first.kind !== 'page') throw new Error(first.kind);
    expect(await upstream.fetchPage(demo, first)).toMatchObject({
      kind: 'not-modified',
      maxAgeMs: 600_000,
      etag: first.etag,
    });
    fake.behaviour.pageEtags = false;
    fake.behaviour.pageLastModified = true;
    const second = await upstream.fetchPage(demo, null);
    if (second.kind !== 'page') throw new Error(second.kind);
    expect(second.etag).toBeNull();
    expect((await upstream.fetchPage(demo, second)).kind).toBe('not-modified');
    expect(upstream.stats()).toMatchObject({ pageFetches: 4, pagesNotModified: 2, failures: 0 });
  });

  it.each([404, 410, 451])('takes %i for a definite "not here"', async (status) => {
    fake.fault(PAGE, { status });
    expect(await open().fetchPage(demo, null)).toEqual({ kind: 'absent' });
    expect(fake.count(PAGE)).toBe(1);
  });

  it('says no maximum age when there is none or sharing is forbidden', async () => {
    const upstream = open();
    fake.behaviour.maxAgeSeconds = null;
    expect(await upstream.fetchPage(demo, null)).toMatchObject({ maxAgeMs: null });
    fake.behaviour.pageCacheControl = 'private, max-age=60';
    expect(await upstream.fetchPage(demo, null)).toMatchObject({ maxAgeMs: null });
  });

  it('tries again after 500, a reset, silence and a cut, and then succeeds', async () => {
    const upstream = open({ retries: 4, retryWithinMs: 10_000 });
    fake.fault(PAGE, { status: 500, times: 1 });
    fake.fault(PAGE, { resetBeforeHeaders: true, skip: 1, times: 1 });
    fake.fault(PAGE, { hang: true, skip: 2, times: 1 });
    fake.fault(PAGE, { cutAfter: 30, skip: 3, times: 1 });
    expect((await upstream.fetchPage(demo, null)).kind).toBe('page');
    expect(fake.count(PAGE)).toBe(5);
    expect(upstream.reachability.state).toBe('up');
  });

  it('gives up with "unavailable" when it goes on failing', async () => {
    fake.fault(PAGE, { status: 502 });
    const upstream = open({ retries: 2 });
    const failing = upstream.fetchPage(demo, null);
    await expect(failing).rejects.toBeInstanceOf(UpstreamUnavailableError);
    await expect(failing).rejects.not.toBeInstanceOf(UpstreamUnreachableError);
    expect(fake.count(PAGE)).toBe(3);
    expect(upstream.stats()).toMatchObject({ failures: 1 });
    expect(upstream.stats().lastError).toContain('answered 502');
  });

  it('does not let a trickling page outlast the time for a page', async () => {
    fake.fault(PAGE, { bytesPerSecond: 50 });
    const slow = open({ pageWithinMs: 400 }).fetchPage(demo, null);
    await expect(slow).rejects.toBeInstanceOf(UpstreamUnavailableError);
  });

  it('waits as Retry-After says, and holds other pages back after a 429', async () => {
    const upstream = open();
    fake.fault(PAGE, { status: 429, headers: { 'retry-after': '1' }, times: 1 });
    const before = Date.now();
    expect((await upstream.fetchPage(demo, null)).kind).toBe('page');
    expect(Date.now() - before).toBeGreaterThan(950);

    fake.fault(PAGE, { status: 429, headers: { 'retry-after': '999999' } });
    await expect(upstream.fetchPage(demo, null)).rejects.toMatchObject({ retryAfterSeconds: 60 });
    await expect(upstream.fetchPage(name('other'), null)).rejects.toThrow('wants a pause');
    expect(fake.count('/simple/other/')).toBe(0);
  });

  it('takes a Retry-After in the past for "now"', async () => {
    const date = 'Thu, 01 Jan 1970 00:00:00 GMT';
    fake.fault(PAGE, { status: 503, headers: { 'retry-after': date } });
    const failing = open({ retries: 0 }).fetchPage(demo, null);
    await expect(failing).rejects.toMatchObject({ retryAfterSeconds: 0 });
  });

  it.each([
    ['401', { status: 401 }],
    ['403', { status: 403 }],
    ['407', { status: 407 }],
    ['a type that is no index', { headers: { 'content-type': 'application/octet-stream' } }],
    ['an unknown content coding', { headers: { 'content-encoding': 'zstd' } }],
    ['a double content coding', { headers: { 'content-encoding': 'gzip, gzip' } }],
    ['a content coding that is a lie', { headers: { 'content-encoding': 'br' } }],
    ['broken JSON', { body: '{"files": [', headers: { 'content-encoding': null } }],
    ['a redirect to nowhere', { redirectTo: 'http://[' }],
    ['a redirect to another scheme', { redirectTo: 'ftp://127.0.0.1/simple/demo/' }],
    ['a redirect to another project', { redirectTo: '/simple/other/' }],
    ['a redirect to itself', { redirectTo: PAGE }],
    ['a redirect to another host', { redirectTo: 'http://169.254.169.254/simple/demo/' }],
    ['no HTTP', { rawBytes: 'SSH-2.0-OpenSSH_9.2\r\n' }],
    ['headers without end', { headers: { 'x-filler': 'x'.repeat(200_000) } }],
  ] as const)('refuses %s without asking again', async (_what, fault) => {
    fake.fault(PAGE, fault);
    const failing = open().fetchPage(demo, null);
    await expect(failing).rejects.toBeInstanceOf(InvalidUpstreamAnswerError);
    expect(fake.count(PAGE)).toBeLessThanOrEqual(6);
    expect(fake.count('/simple/other/')).toBeLessThanOrEqual(1);
  });

  it('follows redirects that stay with the project', async () => {
    const upstream = open();
    fake.fault(PAGE, { redirectTo: '/mirror/demo/index.html', status: 301 });
    fake.setRaw('/mirror/demo/index.html', {
      headers: { 'content-type': 'text/html' },
      body: '<a href="demo-2.0.tar.gz">demo-2.0.tar.gz</a>',
    });
    const answer = await upstream.fetchPage(demo, null);
    if (answer.kind !== 'page') throw new Error(answer.kind);
    expect(answer.url).toBe(`${fake.origin}/mirror/demo/index.html`);
    expect(answer.detail.files[0]?.url).toBe(`${fake.origin}/mirror/demo/demo-2.0.tar.gz`);
  });

  it('refuses a page that names another project', async () => {
    fake.behaviour.gzip = false;
    const type = 'application/vnd.pypi.simple.v1+json';
    const body = JSON.stringify({ meta: { 'api-version': '1.0' }, name: 'other', files: [] });
    fake.setRaw(PAGE, { headers: { 'content-type': type }, body });
    await expect(open().fetchPage(demo, null)).rejects.toBeInstanceOf(InvalidUpstreamAnswerError);
  });

  it('asks once more, past all caches, after a 304 that nobody asked for', async () => {
    fake.fault(PAGE, { notModified: true, times: 1 });
    expect((await open().fetchPage(demo, null)).kind).toBe('page');
    expect(fake.requests[1]?.headers['cache-control']).toBe('no-cache');
    fake.fault(PAGE, { notModified: true });
    await expect(open().fetchPage(demo, null)).rejects.toThrow('without a condition');
  });

  it('stops at a page that is too long, and at one that expands too much', async () => {
    const headers = { 'content-type': 'text/html', 'content-encoding': 'gzip' };
    fake.setRaw(PAGE, { headers, body: gzipSync(Buffer.alloc(8_000_000, ' ')) });
    await expect(open().fetchPage(demo, null)).rejects.toThrow('100 times');
    await expect(open({ maxPageBytes: 500_000 }).fetchPage(demo, null)).rejects.toThrow('limit');
  });

  it('reads a page in brotli, the other coding it asks for', async () => {
    const headers = { 'content-type': 'text/html', 'content-encoding': 'br' };
    const body = brotliCompressSync(Buffer.from('<a href="demo-2.0.tar.gz">demo-2.0.tar.gz</a>'));
    fake.setRaw(PAGE, { headers, body });
    const answer = await open().fetchPage(demo, null);
    expect(answer).toMatchObject({ detail: { files: [{ filename: 'demo-2.0.tar.gz' }] } });
    expect(fake.requests[0]?.headers['accept-encoding']).toBe('gzip, br');
  });

  it('tries a compressed page again that ends too early', async () => {
    const whole = gzipSync(Buffer.from('<a href="demo-2.0.tar.gz">demo-2.0.tar.gz</a>'));
    const headers = { 'content-type': 'text/html', 'content-encoding': 'gzip' };
    fake.setRaw(PAGE, { headers, body: whole });
    fake.fault(PAGE, { cutAfter: whole.length - 10, cutWith: 'chunked', times: 1 });
    expect((await open().fetchPage(demo, null)).kind).toBe('page');
    expect(fake.count(PAGE)).toBe(2);
  });

  it('asks only for the projects it serves', async () => {
    const upstream = open({ projects: ['torch*', 'other'] });
    expect(upstream.serves(name('torchvision'))).toBe(true);
    expect(await upstream.fetchPage(demo, null)).toEqual({ kind: 'absent' });
    expect(fake.requests).toHaveLength(0);
  });

  it('never contacts the official index when that is forbidden, whatever leads there', async () => {
    const official = open({ url: 'https://pypi.org/simple/', officialIndex: 'forbidden' });
    expect(official.isOfficial).toBe(true);
    expect(official.serves(demo)).toBe(true);
    await expect(official.fetchPage(demo, null)).rejects.toBeInstanceOf(NotHeldOfflineError);

    const fileHosts = ['files.pythonhosted.org', 'pypi.org'];
    const other = open({ officialIndex: 'forbidden', fileHosts });
    expect(other.mayFetch('https://files.pythonhosted.org/packages/a.whl')).toBe(false);
    const leading = other.openFile('https://files.pythonhosted.org/packages/a.whl');
    await expect(leading).rejects.toBeInstanceOf(NotHeldOfflineError);
    fake.fault(PAGE, { redirectTo: 'https://pypi.org/simple/demo/' });
    const opened = transport.connectionsOpened;
    await expect(other.fetchPage(demo, null)).rejects.toBeInstanceOf(NotHeldOfflineError);
    expect(transport.connectionsOpened - opened).toBe(1);
  });

  it('ends when its caller leaves', async () => {
    fake.fault(PAGE, { hang: true });
    const leaving = new AbortController();
    const reason = new Error('gone');
    setTimeout(() => leaving.abort(reason), 30);
    const failing = open().fetchPage(demo, null, { signal: leaving.signal });
    await expect(failing).rejects.toBe(reason);
  });
});

describe('a find-links upstream', () => {
  const open1 = (): Upstream => open({ url: fake.linksUrl, layout: 'find-links' });

  it('fetches its page once for all projects', async () => {
    const upstream = open1();
    const [first, second, none] = await Promise.all([
      upstream.fetchPage(demo, null),
      upstream.fetchPage(name('other'), null),
      upstream.fetchPage(name('missing'), null),
    ]);
    if (first.kind !== 'page' || second.kind !== 'page') throw new Error('no page');
    expect(first.detail.files.map((file) => file.filename)).toEqual(['demo-1.0.tar.gz']);
    expect(second.detail.files.map((file) => file.filename)).toEqual(['other-1.0.tar.gz']);
    expect(none).toEqual({ kind: 'absent' });
    expect((await upstream.fetchPage(demo, first)).kind).toBe('not-modified');
    expect(fake.count('/links/')).toBe(1);
  });

  it('revalidates its page when asked to look again', async () => {
    const upstream = open1();
    await upstream.fetchPage(demo, null);
    const again = await upstream.fetchPage(demo, null, { noCache: true });
    expect(again.kind).toBe('page');
    expect(fake.requests.map((seen) => seen.status)).toEqual([200, 304]);
  });
});
