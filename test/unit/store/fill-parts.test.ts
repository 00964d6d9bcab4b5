import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../../src/core/clock.ts';
import * as errors from '../../../src/core/errors.ts';
import { hasReadableEnd } from '../../../src/store/fill/archive-end.ts';
import { DataFile, sameBytes } from '../../../src/store/fill/data-file.ts';
import { describeError, errorFrom } from '../../../src/store/fill/fill-error.ts';
import { breakFillLock, tryFillLock } from '../../../src/store/fill/fill-lock.ts';
import type { FillLockOptions } from '../../../src/store/fill/fill-lock.ts';
import {
  claimSuccession,
  newDataFileName,
  readFillState,
  removeFillState,
} from '../../../src/store/fill/fill-state.ts';
import type { FillState } from '../../../src/store/fill/fill-state.ts';
import { isProvablyDead, thisProcess } from '../../../src/store/fill/process-identity.ts';
import { FillProgress } from '../../../src/store/fill/progress.ts';
import { Verifier } from '../../../src/store/fill/verifier.ts';
import { layoutOf, prepareLayout } from '../../../src/store/layout.ts';
import type { Layout } from '../../../src/store/layout.ts';
import { sweep } from '../../../src/store/sweep.ts';
import { ANY_KEY, fillState, leaveNote } from '../../support/fill-note.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';
import { writeWheel } from '../../support/wheel-writer.ts';

async function setLayout(): Promise<Layout> {
  const folder = await makeTempFolder();
  onTestFinished(() => folder.remove());
  const layout = layoutOf(join(folder.path, 'cache'));
  prepareLayout(layout);
  return layout;
}

const KEY = ANY_KEY;

describe('data file', () => {
  it('tells growth, the verdict and the end from the inode alone', async () => {
    const { partialDir } = await setLayout();
    const path = join(partialDir, 'x.part');
    writeFileSync(path, 'abc', { mode: 0o600 });
    const file = DataFile.open(path)!;
    expect([file.state, file.sizeBytes]).toEqual(['growing', 3]);
    const other = DataFile.open(path)!;
    unlinkSync(path);
    other.look();
    expect(other.state).toBe('dead');
    writeFileSync(path, 'abcd', { mode: 0o600 });
    chmodSync(path, 0o444);
    const verified = DataFile.open(path)!;
    unlinkSync(path);
    verified.look();
    expect(verified.state).toBe('verified');
    expect((await verified.read(1, 10)).toString()).toBe('bcd');
    expect(await sameBytes(file, verified, 0, 3)).toBe(true);
    expect(await sameBytes(file, verified, 0, 4)).toBe(false);
    for (const opened of [file, other, verified]) opened.release();
  });

  it('is closed by the last holder, once', async () => {
    const { partialDir } = await setLayout();
    const path = join(partialDir, 'x.part');
    writeFileSync(path, 'abc');
    const before = readdirSync('/proc/self/fd').length;
    const file = DataFile.open(path)!.hold();
    file.release();
    expect((await file.read(0, 1)).toString()).toBe('a');
    file.release();
    const next = DataFile.open(path)!;
    file.release();
    expect((await next.read(0, 1)).toString()).toBe('a');
    next.release();
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });
});

describe('progress', () => {
  it('wakes everybody once, and whoever waits when the signal aborts', async () => {
    const progress = new FillProgress();
    const gone = new AbortController();
    const woken = [progress.changed(), progress.changed(gone.signal)];
    gone.abort();
    await woken[1];
    progress.wake();
    await woken[0];
  });

  it('keeps its file for readers that have joined when the fill is over', async () => {
    const { partialDir } = await setLayout();
    writeFileSync(join(partialDir, 'x.part'), 'abc');
    const progress = new FillProgress();
    progress.show(DataFile.open(join(partialDir, 'x.part'))!);
    progress.join();
    progress.leave();
    expect(progress.file?.sizeBytes).toBe(3);
    progress.leave();
    expect(progress.file).toBeNull();
  });
});

describe('note', () => {
  it('is read as it was written, and removed by its own nonce only', async () => {
    const layout = await setLayout();
    leaveNote(layout, KEY, fillState());
    expect(readFillState(layout, KEY)).toMatchObject({ nonce: 'n', totalBytes: 3 });
    removeFillState(layout, KEY, 'another');
    expect(readFillState(layout, KEY)).toBeDefined();
    removeFillState(layout, KEY, 'n');
    expect(readdirSync(layout.partialDir)).toEqual([]);
  });

  it.each([
    '',
    '{',
    '[]',
    '{"nonce":"n"}',
    JSON.stringify({ ...fillState(), dataFile: `${KEY}./../../x` }),
  ])('counts for nothing when it is not one of ours: %s', async (text) => {
    const layout = await setLayout();
    writeFileSync(join(layout.partialDir, `${KEY}.json`), text);
    expect(readFillState(layout, KEY)).toBeUndefined();
  });

  it('gives the succession to one only', async () => {
    const layout = await setLayout();
    const dead = fillState();
    expect([1, 2, 3].map(() => claimSuccession(layout, KEY, dead))).toEqual([true, false, false]);
  });
});

it('carries the class of an error to other processes', () => {
  const thrown = [
    new errors.IntegrityError('x'),
    new errors.NotFoundError('x'),
    new errors.NotHeldOfflineError('x'),
    new errors.UpstreamUnreachableError('x'),
    new errors.UpstreamUnavailableError('x'),
    new errors.StorageError('x'),
    new errors.InvalidUpstreamAnswerError('x'),
  ];
  for (const error of thrown) {
    const carried = errorFrom(describeError(error));
    expect([carried.constructor, carried.message]).toEqual([error.constructor, 'x']);
  }
  expect(errorFrom(null)).toBeInstanceOf(errors.UpstreamUnavailableError);
});

const lockOptions = (): FillLockOptions => ({
  onCompromised: () => {},
  claims: new Set(),
  now: () => Date.now(),
});

describe('lock', () => {
  it('is had by one at a time, and again after it was given back or broken', async () => {
    const layout = await setLayout();
    // A lock that was broken is reported lost; that is not the matter here.
    const never = lockOptions();
    const first = await tryFillLock(layout, KEY, never);
    expect(await tryFillLock(layout, KEY, never)).toBeUndefined();
    await first?.release();
    const second = await tryFillLock(layout, KEY, never);
    expect(second).toBeDefined();
    breakFillLock(layout, KEY);
    const third = await tryFillLock(layout, KEY, never);
    expect(third).toBeDefined();
    await second?.release();
    await third?.release();
  });

  it('stops nobody where none can be made', async () => {
    const layout = { ...(await setLayout()), locksDir: '/nonexistent/locks' };
    expect(await tryFillLock(layout, KEY, lockOptions())).toBeDefined();
  });
});

describe('process identity', () => {
  it('knows the living, the dead and the undead', async () => {
    const self = thisProcess();
    expect(isProvablyDead(self)).toBe(false);
    const { pid } = spawnSync(process.execPath, ['-e', '0']);
    expect(isProvablyDead({ ...self, pid })).toBe(true);
    expect(isProvablyDead({ ...self, startTime: '1' })).toBe(true);
    expect(isProvablyDead({ ...self, pid, boot: 'another' })).toBe(false);
    expect(isProvablyDead({ ...self, pid, pidNamespace: 'pid:[1]' })).toBe(false);
  });

  it('takes a zombie for dead', async () => {
    // The shell's child ends, and the program that took the shell's place never asks for it.
    const parent = spawn('sh', ['-c', 'sh -c : & echo $!; exec sleep 30'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    onTestFinished(() => void parent.kill('SIGKILL'));
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    await expect.poll(() => isProvablyDead({ ...thisProcess(), pid, startTime: null })).toBe(true);
  });
});

describe('verifier', () => {
  it('holds the bytes against sha256, or the strongest digest there is', () => {
    const sha256 = '2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824';
    const cases: [Record<string, string>, boolean, boolean][] = [
      [{ sha256 }, true, true],
      [{ sha256, md5: 'wrong' }, true, true],
      [{ md5: '5d41402abc4b2a76b9719d911017c592' }, true, true],
      [{ md5: '5d41402abc4b2a76b9719d911017c592', sha512: 'wrong' }, true, false],
      [{ unheard: 'of' }, false, true],
    ];
    for (const [hashes, hasDigest, holds] of cases) {
      const verifier = new Verifier(hashes);
      verifier.update(Buffer.from('hello'));
      expect(verifier.hasDigest).toBe(hasDigest);
      expect(verifier.matchesSoFar()).toBe(hasDigest && holds);
      expect(verifier.mismatch() === null).toBe(holds);
      expect(verifier.sha256).toBe(sha256.toLowerCase());
    }
  });
});

it('judges the end of archives, and nothing else', async () => {
  const { partialDir } = await setLayout();
  const wheel = writeWheel({ name: 'demo', version: '1.0' }).content;
  const path = join(partialDir, 'x');
  const judged = async (name: string, bytes: Buffer): Promise<boolean> => {
    writeFileSync(path, bytes);
    return await hasReadableEnd(path, name);
  };
  expect(await judged('x.whl', wheel)).toBe(true);
  expect(await judged('x.whl', wheel.subarray(0, -1))).toBe(false);
  expect(await judged('x.whl', Buffer.alloc(0))).toBe(false);
  expect(await judged('x.tar.gz', Buffer.from('no gzip'))).toBe(false);
  expect(await judged('x.metadata', Buffer.from('anything'))).toBe(true);
});

describe('sweep', () => {
  const nothingHeld = { findFile: () => undefined };
  const deadPid = spawnSync(process.execPath, ['-e', '0']).pid;
  const dead = { ...thisProcess(), pid: deadPid };

  /** Leaves a note and its data, an hour old, and says what a sweep keeps. */
  async function kept(
    note: FillState,
    held = nothingHeld as Parameters<typeof sweep>[1],
  ): Promise<string[]> {
    const layout = await setLayout();
    leaveNote(layout, KEY, note);
    for (const name of [note.dataFile, newDataFileName(KEY, 9), '.x.tmp', `${KEY}.1.n.take`]) {
      writeFileSync(join(layout.partialDir, name), 'abc');
    }
    mkdirSync(join(layout.locksDir, `${KEY}.lock`));
    const clock = { ...systemClock, now: () => systemClock.now() + 3_600_000 };
    await sweep(layout, held, clock);
    return [...readdirSync(layout.partialDir), ...readdirSync(layout.locksDir)].toSorted();
  }

  it('keeps what a living owner names, and its lock', async () => {
    const note = fillState();
    expect(await kept(note)).toEqual([note.dataFile, `${KEY}.json`, `${KEY}.lock`].toSorted());
  });

  it('keeps what can be resumed', async () => {
    const note = fillState({ owner: dead });
    expect(await kept(note)).toEqual([note.dataFile, `${KEY}.json`].toSorted());
    const left = fillState({ phase: 'left' });
    expect(await kept(left)).toEqual([left.dataFile, `${KEY}.json`].toSorted());
  });

  it('removes what is left of a file that is stored, and of a failure', async () => {
    const held = { findFile: () => ({}) as never };
    expect(await kept(fillState({ owner: dead }), held)).toEqual([]);
    expect(await kept(fillState({ phase: 'failed', dataFile: `${KEY}.1.gone.part` }))).toEqual([]);
  });

  it('spares what is young, and locks with a time in the future go too', async () => {
    const layout = await setLayout();
    writeFileSync(join(layout.partialDir, newDataFileName(KEY, 1)), 'abc');
    const lock = join(layout.locksDir, `${KEY}.lock`);
    mkdirSync(lock);
    expect(await sweep(layout, nothingHeld, systemClock)).toEqual({ removed: 0, resumable: 0 });
    const future = new Date(systemClock.now() + 86_400_000);
    utimesSync(lock, future, future);
    expect((await sweep(layout, nothingHeld, systemClock)).removed).toBe(1);
  });
});
