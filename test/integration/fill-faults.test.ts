import { existsSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Fault } from '../support/fake-upstream.ts';
import { attach, noise, outcomeOf, setFillStage, settled } from '../support/fill-stage.ts';
import { writeWheel } from '../support/wheel-writer.ts';

const CONTENT = noise(1_000_000, 7);

describe('a fault that passes is healed, and no client sees it', () => {
  it.each<[name: string, fault: Fault, gets: number]>([
    ['a reset in mid-file', { cutAfter: 400_000, times: 1 }, 2],
    ['an orderly close too early', { cutAfter: 400_000, cutWith: 'close', times: 1 }, 2],
    ['a clean end too early, no length', { cutAfter: 400_000, cutWith: 'chunked', times: 1 }, 2],
    ['no length announced', { chunked: true }, 1],
    ['two 500s', { status: 500, times: 2 }, 3],
    ['a connection that breaks before the headers', { resetBeforeHeaders: true, times: 1 }, 2],
    ['no answer', { hang: true, times: 1 }, 2],
    ['a stall in mid-file', { stallAfter: 500_000, times: 1 }, 2],
    ['one flipped bit', { flipByteAt: 123_456, times: 1 }, 2],
    ['a flipped bit in the tail', { flipByteAt: 999_999, times: 1 }, 2],
  ])('%s', async (_name, fault, gets) => {
    const stage = await setFillStage(CONTENT);
    stage.upstream.fault(/packages/, fault);
    const stores = [await stage.openStore(), await stage.openStore()];
    const outcomes = await Promise.all(
      stores.map((store) => outcomeOf(attach(store, stage.request()), CONTENT)),
    );
    // A reader that was sent wrong bytes must see a broken connection; whoever comes next is well.
    for (const { end } of outcomes) expect(['whole', 'IntegrityError']).toContain(end);
    if (fault.flipByteAt === undefined || fault.flipByteAt > 900_000) {
      expect(outcomes.map(({ end }) => end)).toEqual(['whole', 'whole']);
    }
    expect(await outcomeOf(attach(stores[0]!, stage.request()), CONTENT)).toMatchObject({
      end: 'whole',
    });
    expect(stage.gets()).toBe(gets);
  });
});

describe('a fault that stays is told, and nothing is kept', () => {
  it.each<[name: string, fault: Fault, end: string, mostGets: number]>([
    ['a bit flipped every time', { flipByteAt: 999_999 }, 'IntegrityError', 3],
    ['a body of another length', { body: noise(900_000) }, 'IntegrityError', 3],
    ['a longer body', { body: noise(1_100_000) }, 'IntegrityError', 3],
    [
      'a longer body without length',
      { body: noise(1_100_000), chunked: true },
      'IntegrityError',
      3,
    ],
    ['500 for ever', { status: 500 }, 'UpstreamUnavailableError', 4],
    ['404', { status: 404 }, 'NotFoundError', 1],
  ])('%s', async (_name, fault, end, mostGets) => {
    const stage = await setFillStage(CONTENT);
    stage.upstream.fault(/packages/, fault);
    const stores = [await stage.openStore(), await stage.openStore()];
    const outcomes = await Promise.all(
      stores.map((store) => outcomeOf(attach(store, stage.request()), CONTENT)),
    );
    expect(outcomes.map((outcome) => outcome.end)).toEqual([end, end]);
    expect(stage.gets()).toBeLessThanOrEqual(mostGets);
    expect(existsSync(stage.layout.fileAt(stage.request().path))).toBe(false);
    // What is left is at most a note that says why; the next request begins afresh.
    stage.upstream.clearFaults();
    expect(await outcomeOf(attach(stores[1]!, stage.request()), CONTENT)).toMatchObject({
      end: 'whole',
    });
  });

  it('says so before the head when the file is small', async () => {
    const stage = await setFillStage(CONTENT.subarray(0, 60_000));
    stage.upstream.fault(/packages/, { flipByteAt: 5 });
    const store = await stage.openStore();
    await expect(attach(store, stage.request())).rejects.toThrow(/sha256 is/);
  });
});

it('compares, and goes on, when a Range is answered with everything', async () => {
  const stage = await setFillStage(CONTENT);
  stage.upstream.behaviour.ranges = false;
  stage.upstream.fault(/packages/, { cutAfter: 400_000, times: 1 });
  const store = await stage.openStore();
  expect(await outcomeOf(attach(store, stage.request()), CONTENT)).toMatchObject({ end: 'whole' });
  expect(stage.gets()).toBe(2);
});

it('breaks off, rather than join two files, when the file changes in mid-fetch', async () => {
  const stage = await setFillStage(CONTENT);
  const path = stage.upstream.filePath(stage.file.filename);
  stage.upstream.fault(path, { cutAfter: 400_000, times: 1 });
  stage.upstream.fault(path, { body: noise(1_000_000, 8), headers: { etag: '"other"' }, skip: 1 });
  const store = await stage.openStore();
  const outcome = await outcomeOf(attach(store, stage.request({ hashes: {} })), CONTENT);
  expect(outcome.end).not.toBe('wrong');
  expect(store.catalog.findFile('pypi', stage.request().path)).toBeUndefined();
});

it('gives up on an upstream that halves what is left each time', async () => {
  const stage = await setFillStage(CONTENT);
  const store = await stage.openStore();
  const halving = stage.request();
  const outcome = await outcomeOf(
    attach(store, {
      ...halving,
      source: {
        open: async (asked) => {
          const answer = await halving.source.open(asked);
          const half = Math.ceil((CONTENT.length - asked.offset) / 2);
          return { ...answer, body: firstBytes(answer.body, half) };
        },
      },
    }),
    CONTENT,
  );
  expect(['UpstreamUnavailableError', 'whole']).toContain(outcome.end);
  expect(stage.gets()).toBeLessThan(40);
});

async function* firstBytes(
  body: AsyncIterable<Uint8Array>,
  most: number,
): AsyncGenerator<Uint8Array> {
  let left = most;
  for await (const chunk of body) {
    yield chunk.subarray(0, left);
    left -= chunk.length;
    if (left <= 0) return;
  }
}

describe('a file without a listed digest', () => {
  const wheel = writeWheel({ name: 'demo', version: '1.0', paddingBytes: 300_000 });

  it('is stored when it ends as a wheel must', async () => {
    const stage = await setFillStage(wheel.content, wheel.filename);
    stage.upstream.fault(/packages/, { chunked: true });
    const store = await stage.openStore();
    const request = stage.request({ hashes: {}, sizeBytes: null });
    expect(await outcomeOf(attach(store, request), wheel.content)).toMatchObject({ end: 'whole' });
    await settled(store, request);
    expect(store.catalog.findFile('pypi', request.path)?.sha256).toBe(wheel.sha256);
  });

  it('is refused when a clean end comes too early', async () => {
    const stage = await setFillStage(wheel.content, wheel.filename);
    stage.upstream.fault(/packages/, { cutAfter: 200_000, cutWith: 'chunked' });
    const store = await stage.openStore();
    const request = stage.request({ hashes: {}, sizeBytes: null });
    expect(await outcomeOf(attach(store, request), wheel.content)).toMatchObject({
      end: 'IntegrityError',
    });
  });

  it('is refused when a gzip does not unpack', async () => {
    const sdist = gzipSync(noise(300_000));
    const stage = await setFillStage(sdist, 'demo-1.0.tar.gz');
    stage.upstream.fault(/packages/, { flipByteAt: 150_000 });
    const store = await stage.openStore();
    const outcome = await outcomeOf(attach(store, stage.request({ hashes: {} })), sdist);
    expect(outcome.end).toBe('IntegrityError');
  });

  it('is not resumed blindly where there is no ETag either', async () => {
    const stage = await setFillStage(wheel.content, wheel.filename);
    stage.upstream.behaviour.fileEtags = false;
    stage.upstream.fault(/packages/, { cutAfter: 200_000, times: 1 });
    const store = await stage.openStore();
    const request = stage.request({ hashes: {} });
    expect(await outcomeOf(attach(store, request), wheel.content)).toMatchObject({ end: 'whole' });
    expect(stage.upstream.requests.every(({ headers }) => headers.range === undefined)).toBe(true);
  });
});

it('accepts whichever listed digest there is', async () => {
  const stage = await setFillStage(CONTENT.subarray(0, 1_000));
  const store = await stage.openStore();
  const right = stage.request({ hashes: { md5: 'cafe' } });
  await expect(attach(store, right)).rejects.toThrow(/md5 is/);
});
