import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  utimesSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FillRequest } from '../../src/store/fill/byte-source.ts';
import { breakFillLock, tryFillLock } from '../../src/store/fill/fill-lock.ts';
import type { TryFillLock } from '../../src/store/fill/fill-lock.ts';
import {
  newDataFileName,
  newNonce,
  readFillState,
  stateFile,
} from '../../src/store/fill/fill-state.ts';
import type { FillPhase } from '../../src/store/fill/fill-state.ts';
import { thisProcess } from '../../src/store/fill/process-identity.ts';
import { leaveNote } from '../support/fill-note.ts';
import { attach, keyOf, noise, outcomeOf, setFillStage, settled } from '../support/fill-stage.ts';
import type { FillStage } from '../support/fill-stage.ts';

const CONTENT = noise(1_000_000, 11);

/** A lock that never says no: what is right must be so without locks. */
const alwaysGranted: TryFillLock = async () => ({ release: async () => {} });

/** A pid that was somebody's a moment ago. */
function deadPid(): number {
  return spawnSync(process.execPath, ['-e', '0']).pid;
}

interface Planted {
  readonly bytes: Buffer;
  readonly owner?: 'dead' | 'living' | 'elsewhere';
  readonly phase?: FillPhase;
  readonly isReadOnly?: boolean;
}

/** Leaves a partial and its note as another process would have. */
function plant(stage: FillStage, request: FillRequest, planted: Planted): string {
  const key = keyOf(request);
  const dataFile = newDataFileName(key, 3);
  const path = join(stage.layout.partialDir, dataFile);
  writeFileSync(path, planted.bytes, { mode: 0o600 });
  if (planted.isReadOnly === true) chmodSync(path, 0o444);
  const owner = thisProcess();
  leaveNote(stage.layout, key, {
    phase: planted.phase ?? 'filling',
    epoch: 3,
    nonce: newNonce(),
    owner: {
      ...owner,
      ...(planted.owner === 'living' ? {} : { pid: deadPid() }),
      ...(planted.owner === 'elsewhere' ? { boot: 'another machine' } : {}),
    },
    file: { upstream: request.upstream, path: request.path },
    dataFile,
    totalBytes: request.sizeBytes,
    etag: null,
    error: null,
  });
  return path;
}

const flipped = (at: number, length = CONTENT.length): Buffer => {
  const copy = Buffer.from(CONTENT.subarray(0, length));
  copy[at] = copy[at]! ^ 0xff;
  return copy;
};

describe('what another owner has left', () => {
  it.each<[name: string, planted: Planted, gets: number, fromByte: number]>([
    ['by a dead owner', { bytes: CONTENT.subarray(0, 600_000) }, 1, 600_000],
    [
      'by one that stopped in order',
      { bytes: CONTENT.subarray(0, 600_000), phase: 'left', owner: 'living' },
      1,
      600_000,
    ],
    ['by a living owner', { bytes: CONTENT.subarray(0, 600_000), owner: 'living' }, 1, 600_000],
    [
      'by an owner on another machine',
      { bytes: CONTENT.subarray(0, 600_000), owner: 'elsewhere' },
      1,
      600_000,
    ],
    ['whole, but not verified yet', { bytes: CONTENT }, 0, 0],
    ['whole and verified', { bytes: CONTENT, isReadOnly: true }, 0, 0],
    ['after a failure', { bytes: CONTENT.subarray(0, 600_000), phase: 'failed' }, 1, 0],
  ])('%s is gone on with', async (_name, planted, gets, fromByte) => {
    const stage = await setFillStage(CONTENT);
    const store = await stage.openStore();
    const request = stage.request();
    plant(stage, request, planted);
    expect(await outcomeOf(attach(store, request), CONTENT)).toMatchObject({ end: 'whole' });
    await settled(store, request);
    expect(stage.gets()).toBe(gets);
    if (gets > 0 && fromByte > 0) {
      expect(stage.upstream.requests.at(-1)?.headers.range).toBe(`bytes=${fromByte}-`);
    }
  });

  it.each<[name: string, planted: Planted]>([
    ['with wrong bytes', { bytes: flipped(5, 600_000) }],
    ['longer than the file', { bytes: noise(1_200_000, 3) }],
    ['whole, verified, and wrong all the same', { bytes: flipped(5), isReadOnly: true }],
    ['with wrong bytes, by a living owner', { bytes: flipped(5, 600_000), owner: 'living' }],
  ])('%s does no harm, and one flip more can be healed', async (_name, planted) => {
    const stage = await setFillStage(CONTENT);
    const stores = [await stage.openStore(), await stage.openStore()];
    const request = stage.request();
    plant(stage, request, planted);
    stage.upstream.fault(/packages/, { flipByteAt: 999_990, times: 1, skip: 1 });
    const outcomes = await Promise.all(
      stores.map((store) => outcomeOf(attach(store, request), CONTENT)),
    );
    for (const { end } of outcomes) expect(end).not.toBe('wrong');
    await Promise.all(stores.map((store) => settled(store, request)));
    expect(await outcomeOf(attach(stores[0]!, request), CONTENT)).toMatchObject({ end: 'whole' });
  });

  it('of a living owner is copied, never written to', async () => {
    const stage = await setFillStage(CONTENT);
    const store = await stage.openStore();
    const request = stage.request();
    const theirs = plant(stage, request, { bytes: CONTENT.subarray(0, 600_000), owner: 'living' });
    await outcomeOf(attach(store, request), CONTENT);
    expect(readFileSync(theirs).equals(CONTENT.subarray(0, 600_000))).toBe(true);
  });

  it('goes to one successor when it is silent, however slow that one is to say so', async () => {
    const stage = await setFillStage(CONTENT);
    const request = stage.request();
    const [key, { layout }] = [keyOf(request), stage];
    await stage.openStore();
    const part = plant(stage, request, { bytes: CONTENT.subarray(0, 600_000), owner: 'living' });
    const silentSince = new Date(Date.now() - 5_000);
    for (const path of [part, stateFile(layout, key)]) utimesSync(path, silentSince, silentSince);
    // Both have taken the lock, one after the other, while the owner is stopped.
    const granted = [];
    for (let successor = 0; successor < 2; successor++) {
      const options = { onCompromised: () => {}, claims: new Set<string>() };
      const lock = await tryFillLock(layout, key, { ...options, now: Date.now });
      breakFillLock(layout, key);
      granted.push(lock);
    }
    expect(granted.map((lock) => lock !== undefined)).toEqual([true, false]);
    for (const lock of granted) await lock?.release();
  });

  it('gives no complete wrong body to two adopters at once without locks, in 20 runs', async () => {
    const ends: string[] = [];
    const stage = await setFillStage(CONTENT);
    const options = { tryLock: alwaysGranted };
    const stores = [await stage.openStore(options), await stage.openStore(options)];
    for (let run = 0; run < 20; run++) {
      const request = stage.request({ path: `packages/-/pypi/${run}/${stage.file.filename}` });
      plant(stage, request, { bytes: CONTENT.subarray(0, 300_000) });
      const heal = stage.upstream.fault(/packages/, { flipByteAt: 700_000, times: 1 });
      const readers = stores.flatMap((store) => [
        outcomeOf(attach(store, request), CONTENT),
        outcomeOf(
          attach(store, request, { start: 600_000, end: 1_000_000 }),
          CONTENT.subarray(600_000),
        ),
      ]);
      ends.push(...(await Promise.all(readers)).map(({ end }) => end));
      await Promise.all(stores.map((store) => settled(store, request)));
      heal();
      expect(readFileSync(stage.layout.fileAt(request.path)).equals(CONTENT)).toBe(true);
    }
    expect(ends.filter((end) => end === 'wrong')).toEqual([]);
    expect(ends.filter((end) => end === 'whole').length).toBeGreaterThan(20);
  }, 120_000);
});

it('moves readers to another file only when it holds what they were sent', async () => {
  const stage = await setFillStage(CONTENT);
  const request = stage.request();
  const lost: (() => void)[] = [];
  const tryLock: TryFillLock = async (_layout, _key, { onCompromised }) => {
    lost.push(onCompromised);
    return { release: async () => {} };
  };
  const store = await stage.openStore({ tryLock });
  stage.upstream.fault(/packages/, { flipByteAt: 10, stallAfter: 400_000, times: 1 });
  const early = await attach(store, request);
  const first = await early.body.next();
  expect(first.done).toBe(false);
  const late = outcomeOf(
    attach(store, request, { start: 500_000, end: 600_000 }),
    CONTENT.subarray(500_000, 600_000),
  );
  lost[0]!();
  expect(await late).toMatchObject({ end: 'whole' });
  await expect(drain(early.body)).rejects.toThrow(/sent wrong in part/);
});

async function drain(body: AsyncIterable<unknown>): Promise<void> {
  for await (const _chunk of body) void _chunk;
}

it('leaves a fill resumable when it stops, and goes on by Range at the next start', async () => {
  const stage = await setFillStage(CONTENT);
  stage.upstream.fault(/packages/, { stallAfter: 400_000, times: 1 });
  const first = await stage.openStore();
  const reader = outcomeOf(attach(first, stage.request()), CONTENT);
  const key = keyOf(stage.request());
  await expect
    .poll(() => partialSize(stage, key), { timeout: 5_000 })
    .toBeGreaterThanOrEqual(400_000);
  await first.close(0);
  expect((await reader).end).toBe('BusyError');
  expect(readFillState(stage.layout, key)?.phase).toBe('left');

  const second = await stage.openStore();
  await second.sweep();
  expect(await outcomeOf(attach(second, stage.request()), CONTENT)).toMatchObject({ end: 'whole' });
  const resumed = stage.upstream.requests.at(-1)?.headers;
  expect(resumed?.range).toBe('bytes=400000-');
  expect(resumed?.['if-range']).toMatch(/^"/);
});

function partialSize(stage: FillStage, key: string): number {
  const name = readdirSync(stage.layout.partialDir).find(
    (entry) => entry.startsWith(key) && entry.endsWith('.part'),
  );
  return name === undefined ? 0 : statSync(join(stage.layout.partialDir, name)).size;
}

describe('what stands at the path already', () => {
  it('is taken without a fetch when it is the listed file', async () => {
    const stage = await setFillStage(CONTENT);
    const store = await stage.openStore();
    const target = stage.layout.fileAt(stage.request().path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, CONTENT);
    expect(await outcomeOf(attach(store, stage.request()), CONTENT)).toMatchObject({
      end: 'whole',
    });
    expect(stage.gets()).toBe(0);
    expect(statSync(target).mode & 0o777).toBe(0o444);
  });

  it('is set aside, not deleted, when it is another file', async () => {
    const stage = await setFillStage(CONTENT);
    const store = await stage.openStore();
    const target = stage.layout.fileAt(stage.request().path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, 'mine');
    await outcomeOf(attach(store, stage.request()), CONTENT);
    await settled(store, stage.request());
    expect(readFileSync(target).equals(CONTENT)).toBe(true);
    const [aside] = readdirSync(stage.layout.withheldDir);
    const kept = join(stage.layout.withheldDir, aside!, stage.file.filename);
    expect(readFileSync(kept, 'utf8')).toBe('mine');
  });

  it('is fetched anew when the row is there and the bytes are gone', async () => {
    const stage = await setFillStage(CONTENT);
    const store = await stage.openStore();
    await outcomeOf(attach(store, stage.request()), CONTENT);
    await settled(store, stage.request());
    unlinkSync(stage.layout.fileAt(stage.request().path));
    expect(await outcomeOf(attach(store, stage.request()), CONTENT)).toMatchObject({
      end: 'whole',
    });
    expect(stage.gets()).toBe(2);
  });

  it('comes back from among the departed without a fetch', async () => {
    const stage = await setFillStage(CONTENT);
    const stores = [await stage.openStore(), await stage.openStore()];
    const { catalog } = stores[0]!;
    await outcomeOf(attach(stores[0]!, stage.request()), CONTENT);
    await settled(stores[0]!, stage.request());
    await catalog.removeFiles([stage.request()], 60_000);
    expect(await outcomeOf(attach(stores[1]!, stage.request()), CONTENT)).toMatchObject({
      end: 'whole',
    });
    expect(stage.gets()).toBe(1);
    expect(catalog.findFile('pypi', stage.request().path)).toBeDefined();
  });
});

describe('a disk that takes nothing', () => {
  it.each(['reserve', 'folder'] as const)('is passed by (%s)', async (why) => {
    const stage = await setFillStage(CONTENT);
    const store = await stage.openStore(why === 'reserve' ? { reserveBytes: 2 ** 60 } : {});
    if (why === 'folder') {
      // A plain file in the way: no permission that a superuser could ignore.
      rmSync(stage.layout.partialDir, { recursive: true });
      writeFileSync(stage.layout.partialDir, '');
    }
    stage.upstream.fault(/packages/, { cutAfter: 300_000, times: 2 });
    const outcomes = await Promise.all([
      outcomeOf(attach(store, stage.request()), CONTENT),
      outcomeOf(
        attach(store, stage.request(), { start: 10, end: 70_000 }),
        CONTENT.subarray(10, 70_000),
      ),
    ]);
    expect(outcomes.map(({ end }) => end)).toEqual(['whole', 'whole']);
    expect(existsSync(stage.layout.fileAt(stage.request().path))).toBe(false);
  });

  it('is passed by with the same care: wrong bytes never arrive whole', async () => {
    const stage = await setFillStage(CONTENT);
    const store = await stage.openStore({ reserveBytes: 2 ** 60 });
    stage.upstream.fault(/packages/, { flipByteAt: 3 });
    const outcome = await outcomeOf(attach(store, stage.request()), CONTENT);
    expect(outcome).toMatchObject({ end: 'IntegrityError' });
    expect(outcome.bytes).toBeLessThan(CONTENT.length);
  });
});
