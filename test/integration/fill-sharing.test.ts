import { readdirSync, statSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { awaitFill } from '../../src/store/fill/await-fill.ts';
import type { Store } from '../../src/store/store.ts';
import { attach, noise, outcomeOf, setFillStage, settled } from '../support/fill-stage.ts';
import type { FillStage } from '../support/fill-stage.ts';

const SLOWLY = { bytesPerSecond: 4_000_000 };

async function setTwoStores(content?: Buffer): Promise<{ stage: FillStage; stores: Store[] }> {
  const stage = await setFillStage(content);
  return { stage, stores: [await stage.openStore(), await stage.openStore()] };
}

it('fetches once for 50 readers of two stores, and leaves nothing but the file', async () => {
  const { stage, stores } = await setTwoStores();
  stage.upstream.fault(/packages/, SLOWLY);
  const { content } = stage.file;
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, (_, at) =>
      outcomeOf(attach(stores[at % 2]!, stage.request()), content),
    ),
  );
  expect(new Set(outcomes.map(({ end }) => end))).toEqual(new Set(['whole']));
  expect(new Set(outcomes.map(({ totalBytes }) => totalBytes))).toEqual(new Set([content.length]));
  expect(stage.gets()).toBe(1);
  await settled(stores[0]!, stage.request());
  await settled(stores[1]!, stage.request());
  const published = statSync(stage.layout.fileAt(stage.request().path));
  expect(published.size).toBe(content.length);
  expect(published.mode & 0o777).toBe(0o444);
  await expect.poll(() => stage.litter()).toEqual([]);
});

it('goes on when its only reader leaves', async () => {
  const { stage, stores } = await setTwoStores();
  stage.upstream.fault(/packages/, SLOWLY);
  const gone = new AbortController();
  const opened = await attach(stores[0]!, stage.request(), undefined, { signal: gone.signal });
  await opened.body.next();
  gone.abort();
  await settled(stores[0]!, stage.request());
  expect(stores[1]!.catalog.findFile('pypi', stage.request().path)?.sizeBytes).toBe(1_000_000);
  expect(stage.gets()).toBe(1);
});

it('is waited for without being read: by its owner, by another process, and beside a reader', async () => {
  const { stage, stores } = await setTwoStores();
  stage.upstream.fault(/packages/, SLOWLY);
  const pieces = stores.map((): number[] => []);
  const signal = new AbortController().signal;
  const waiting = stores.map((store, at) =>
    awaitFill(store.fills.fetch(stage.request()), {
      signal,
      onBytes: (bytes) => pieces[at]?.push(bytes),
    }),
  );
  const read = outcomeOf(attach(stores[0]!, stage.request()), stage.file.content);
  for (const held of await Promise.all(waiting)) expect(held.sizeBytes).toBe(1_000_000);
  for (const each of pieces) {
    expect(each.length).toBeGreaterThan(1);
    expect(Math.min(...each)).toBeGreaterThan(0);
    expect(each.reduce((sum, bytes) => sum + bytes, 0)).toBe(1_000_000);
  }
  expect((await read).end).toBe('whole');
  expect(stage.gets()).toBe(1);
});

it('goes on when whoever waits for it gives up, and tells what ended it', async () => {
  const { stage, stores } = await setTwoStores();
  stage.upstream.fault(/packages/, SLOWLY);
  const gone = new AbortController();
  const waiting = awaitFill(stores[0]!.fills.fetch(stage.request()), { signal: gone.signal });
  gone.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  await settled(stores[0]!, stage.request());
  expect(stage.gets()).toBe(1);

  const wrong = stage.request({ path: 'packages/-/pypi/other.whl', hashes: { sha256: '0' } });
  const { signal } = new AbortController();
  const failing = awaitFill(stores[0]!.fills.fetch(wrong), { signal });
  await expect(failing).rejects.toThrow('sha256');
});

it('is not slowed down by a reader that does not read', async () => {
  const { stage, stores } = await setTwoStores();
  const idle = await attach(stores[0]!, stage.request());
  await settled(stores[0]!, stage.request());
  // The file has got another name and another owner of its bytes meanwhile.
  expect(await outcomeOf(Promise.resolve(idle), stage.file.content)).toMatchObject({
    end: 'whole',
  });
});

it.each([
  { where: 'start', start: 0, end: 1_000 },
  { where: 'middle', start: 400_000, end: 600_001 },
  { where: 'tail', start: 999_000, end: 1_000_000 },
])('gives a range from the $where while the fill runs, in both stores', async ({ start, end }) => {
  const { stage, stores } = await setTwoStores();
  stage.upstream.fault(/packages/, SLOWLY);
  const expected = stage.file.content.subarray(start, end);
  const outcomes = await Promise.all(
    [0, 1, 0, 1].map((at) =>
      outcomeOf(attach(stores[at]!, stage.request(), { start, end }), expected),
    ),
  );
  expect(outcomes.map((outcome) => outcome.end)).toEqual(['whole', 'whole', 'whole', 'whole']);
  expect(stage.gets()).toBe(1);
});

it('lets the start of a range leave long before the file is whole', async () => {
  const { stage, stores } = await setTwoStores();
  stage.upstream.fault(/packages/, { stallAfter: 300_000 });
  const range = { start: 100_000, end: 200_000 };
  const expected = stage.file.content.subarray(100_000, 200_000);
  for (const store of stores) {
    expect(await outcomeOf(attach(store, stage.request(), range), expected)).toMatchObject({
      end: 'whole',
    });
  }
});

it('holds everything back from a reader that could not see a cut', async () => {
  const { stage, stores } = await setTwoStores();
  stage.upstream.fault(/packages/, { flipByteAt: 999_999 });
  const request = stage.request();
  const blind = await outcomeOf(
    attach(stores[0]!, request, undefined, { holdAll: true }),
    stage.file.content,
  );
  expect(blind).toMatchObject({ end: 'IntegrityError', bytes: 0 });
});

it('keeps no descriptor and no listener after many fills', async () => {
  const stage = await setFillStage(noise(2_000));
  const store = await stage.openStore();
  const fill = async (at: number): Promise<void> => {
    const request = stage.request({ path: `packages/-/pypi/${at}/demo-1.0-py3-none-any.whl` });
    const gone = new AbortController();
    const opened = await attach(store, request, undefined, { signal: gone.signal });
    // A third leaves without reading, a third in the middle, a third reads to the end.
    if (at % 3 === 0) gone.abort();
    else if (at % 3 === 1) await opened.body.next().then(() => opened.body.return());
    else await outcomeOf(Promise.resolve(opened), stage.file.content);
    await settled(store, request);
  };
  const ten = (first: number): Promise<unknown> =>
    Promise.all(Array.from({ length: 10 }, (_, more) => fill(first + more)));
  for (let at = 0; at < 50; at += 10) await ten(at);
  await pause(50);
  const before = readdirSync('/proc/self/fd').length;
  for (let at = 50; at < 350; at += 10) await ten(at);
  await expect
    .poll(() => readdirSync('/proc/self/fd').length, { timeout: 5_000 })
    .toBeLessThanOrEqual(before + 8);
  expect(store.fills.size).toBe(0);
});
