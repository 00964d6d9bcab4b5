/** The file door: the whole program over a fake upstream. */
import { readdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { JSON_PAGE, hold, stageUpstream, startMirror } from '../support/mirror.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import type { WrittenFile } from '../support/wheel-writer.ts';

const sdist = (version: string, name = 'demo', paddingBytes = 0): WrittenFile =>
  writeSdist({ name, version, paddingBytes });
const DEMO = [sdist('1.0'), writeWheel({ name: 'demo', version: '1.1' }), sdist('2.0')];
const [FIRST] = DEMO as [WrittenFile];

async function demoUpstream(files: readonly WrittenFile[] = DEMO): Promise<FakeUpstream> {
  return await stageUpstream({ projects: { demo: files } });
}

describe('a file that is not held', () => {
  it('is fetched once for any number of clients, then held', async () => {
    const upstream = await demoUpstream([sdist('1.0', 'demo', 2_000_000)]);
    const path = upstream.filePath('demo-1.0.tar.gz');
    const mirror = await startMirror({ upstreams: [upstream] });
    const answers = await Promise.all(Array.from({ length: 16 }, () => mirror.get(path)));
    expect(new Set(answers.map(({ body }) => sha256Of(body))).size).toBe(1);
    expect(upstream.count(path)).toBe(1);
    await hold(mirror, path);
    expect((await mirror.get(path)).headers['cache-status']).toBe('wheelcellar; hit');
    expect(upstream.count(path)).toBe(1);
  });

  it('has the same headers before and after it is held, for HEAD too', async () => {
    const upstream = await demoUpstream();
    const path = upstream.filePath(FIRST.filename);
    const { get } = await startMirror({ upstreams: [upstream] });
    const cold = await get(path, { method: 'HEAD' });
    const first = await get(path);
    const warm = await get(path, { method: 'HEAD' });
    expect(upstream.count(path)).toBe(1);
    for (const name of [
      'etag',
      'content-length',
      'content-type',
      'accept-ranges',
      'cache-control',
    ]) {
      expect(first.headers[name]).toBe(cold.headers[name]);
      expect(warm.headers[name]).toBe(cold.headers[name]);
    }
    expect(first.headers.etag).toBe(`"sha256-${FIRST.sha256}"`);
  });

  it('is the same under + and %2B, in every spelling of its path', async () => {
    const file = writeWheel({ name: 'demo', version: '1.0+cpu' });
    const upstream = await demoUpstream([file]);
    const { get, page } = await startMirror({ upstreams: [upstream] });
    const url = (await page('demo')).urls[file.filename] ?? '';
    expect(url).toContain('%2B');
    for (const target of [url, url.replace('%2B', '+'), url.replace('demo', '%64emo'), `/${url}`]) {
      expect(sha256Of((await get(target)).body)).toBe(file.sha256);
    }
    expect(upstream.count(/\.whl$/)).toBe(1);
  });

  it('is linked from every index root', async () => {
    const upstream = await demoUpstream();
    const mirror = await startMirror({ upstreams: [upstream] });
    for (const root of [
      '/simple/',
      '/',
      '/root/pypi/+simple/',
      '/root/pypi/simple/',
      '/index/',
      '/simple//',
      '//',
    ]) {
      const target = `${root}demo/`;
      const answer = await mirror.get(target, { headers: { accept: JSON_PAGE } });
      const { files } = JSON.parse(answer.text) as { files: { url: string }[] };
      const { pathname } = new URL(files[0]?.url ?? '', `${mirror.origin}${target}`);
      expect([root, (await mirror.get(pathname)).status]).toEqual([root, 200]);
    }
    expect(upstream.count(/tar\.gz$/)).toBe(1);
  });

  it('gives a small part of its end beside a fill that takes long', async () => {
    const big = sdist('1.0', 'demo', 9_000_000);
    const upstream = await demoUpstream([big]);
    const path = upstream.filePath(big.filename);
    upstream.fault(path, { bytesPerSecond: 3_000_000, times: 1 });
    const { get, page } = await startMirror({ upstreams: [upstream] });
    await page('demo');
    const whole = get(path);
    await eventually(() => expect(upstream.bytesSent(path)).toBeGreaterThan(0));
    const tail = await get(path, { headers: { range: 'bytes=-10000' } });
    expect(tail.status).toBe(206);
    expect(tail.body.equals(big.content.subarray(-10_000))).toBe(true);
    expect(tail.elapsedMs).toBeLessThan(1_500);
    const begin = await get(path, { headers: { range: 'bytes=0-99' } });
    expect(begin.body.equals(big.content.subarray(0, 100))).toBe(true);
    expect(begin.elapsedMs).toBeLessThan(1_500);
    expect(sha256Of((await whole).body)).toBe(big.sha256);
  });

  it('gives parts while it is being filled, and refuses parts beyond its end', async () => {
    const file = sdist('1.0', 'demo', 500_000);
    const size = file.content.length;
    const upstream = await demoUpstream([file]);
    const path = upstream.filePath(file.filename);
    upstream.fault(path, { bytesPerSecond: 1_000_000, times: 1 });
    const { get } = await startMirror({ upstreams: [upstream] });
    const part = async (
      range: string,
    ): Promise<{ status: number; range: unknown; body: Buffer }> => {
      const { status, headers, body } = await get(path, { headers: { range } });
      return { status, range: headers['content-range'], body };
    };
    const [a, b, c, d] = await Promise.all([
      part('bytes=100-299'),
      part(`bytes=${size - 50}-`),
      part('bytes=-50'),
      part(`bytes=${size}-`),
    ]);
    expect([a.status, a.range, a.body.equals(file.content.subarray(100, 300))]).toEqual([
      206,
      `bytes 100-299/${size}`,
      true,
    ]);
    for (const tail of [b, c]) {
      expect([tail.status, tail.body.equals(file.content.subarray(-50))]).toEqual([206, true]);
    }
    expect([d.status, d.range]).toEqual([416, `bytes */${size}`]);
    const whole = await get(path);
    expect(sha256Of(whole.body)).toBe(file.sha256);
    expect(upstream.count(path)).toBe(1);
  });

  it('is filled to its end when the client leaves', async () => {
    const file = sdist('1.0', 'demo', 2_000_000);
    const upstream = await demoUpstream([file]);
    const path = upstream.filePath(file.filename);
    upstream.fault(path, { bytesPerSecond: 3_000_000 });
    const { origin, mirror, get } = await startMirror({ upstreams: [upstream] });
    await new Promise<void>((resolve) => {
      const asking = request(`${origin}${path}`, (response) => {
        response.once('data', () => {
          asking.destroy();
          resolve();
        });
      });
      asking.on('error', () => {});
      asking.end();
    });
    await vi.waitFor(() => expect(mirror.store.catalog.heldCounts().files).toBe(1), 5_000);
    expect(sha256Of((await get(path)).body)).toBe(file.sha256);
    expect(upstream.count(path)).toBe(1);
  });

  it('with wrong bytes is never a good answer, and nothing of it stays', async () => {
    const small = { ...sdist('1.0'), listedSha256: 'ab'.repeat(32) };
    const large = { ...sdist('2.0', 'demo', 500_000), listedSha256: 'cd'.repeat(32) };
    const upstream = await stageUpstream({ projects: { demo: [small, large] } });
    const { get, cacheDir, mirror } = await startMirror({ upstreams: [upstream] });
    const refused = await get(upstream.filePath(small.filename));
    expect([refused.status, refused.headers['cache-control']]).toEqual([502, 'no-store']);
    await expect(get(upstream.filePath(large.filename))).rejects.toThrow();
    expect(mirror.store.catalog.heldCounts().files).toBe(0);
    const partial = join(cacheDir, 'state-v1', 'partial');
    await eventually(() =>
      expect(readdirSync(partial).filter((name) => name.endsWith('.part'))).toEqual([]),
    );
  });

  it.each([
    '/packages/../../../etc/passwd',
    '/packages/aa/%2e%2e/%2e%2e/etc/passwd',
    '/packages/aa/..%2f..%2f..%2fetc%2fpasswd',
    '/packages/aa/%252e%252e/passwd',
    '/packages//etc/passwd',
    '//etc/passwd',
    '/packages/-/pypi/../../../../state-v1/catalog.sqlite',
    '/packages/-/nobody/demo-1.0.tar.gz',
    '/packages/-/local/demo-1.0.tar.gz',
    '/packages/aa/bb/cc/demo-1.0.tar.gz',
    '/packages/aa/bb/cc/index.html',
    '/packages/aa/bb/%00',
    '/packages/aa/bb/%ff%fe-1.0.tar.gz',
  ])('is not to be had as %s', async (target) => {
    const upstream = await demoUpstream();
    const { get } = await startMirror({ upstreams: [upstream] });
    const { status, text } = await get(target);
    expect(status).toBe(404);
    expect(text).not.toContain('root:');
    expect(upstream.count(/etc|passwd|catalog|index\.html/)).toBe(0);
  });
});
