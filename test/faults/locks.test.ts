/**
 * Locks save traffic and guard nothing: whatever becomes of them, bytes are right, nobody waits ten seconds,
 * and a file is fetched twice at the most.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { newDataFileName, newNonce } from '../../src/store/fill/fill-state.ts';
import { thisProcess } from '../../src/store/fill/process-identity.ts';
import { fillKey, layoutOf } from '../../src/store/layout.ts';
import type { Layout } from '../../src/store/layout.ts';
import { leaveNote } from '../support/fill-note.ts';
import { download } from '../support/download.ts';
import type { Download } from '../support/download.ts';
import type { FakeFile } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import { attach, keyOf, noise, outcomeOf, setFillStage, settled } from '../support/fill-stage.ts';
import type { FillStage } from '../support/fill-stage.ts';
import { litterAfterSweep } from '../support/litter.ts';
import { stageFolder, stageUpstream } from '../support/mirror.ts';
import { startServer } from '../support/server-process.ts';
import type { ServerProcess } from '../support/server-process.ts';

const CONTENT = noise(2_000_000, 17);
const ROUNDS = 50;
const RACERS = 4;
const YEAR_MS = 365 * 24 * 3_600_000;

/** So many servers, real processes, on one folder. */
async function serveFrom(
  cacheDir: string,
  indexUrl: string,
  count: number,
): Promise<ServerProcess[]> {
  const env = { WHEELCELLAR_LOG_LEVEL: 'warn' };
  const servers = await Promise.all(
    Array.from({ length: count }, () =>
      startServer({ cacheDir, args: ['--index-url', indexUrl], env }),
    ),
  );
  onTestFinished(async () => void (await Promise.all(servers.map((server) => server.stop()))));
  return servers;
}

/** A lock whose holder is nobody, last heard of `agoMs` ago. */
function plantLock(layout: Layout, key: string, agoMs: number): void {
  const lock = join(layout.locksDir, `${key}.lock`);
  mkdirSync(lock);
  const at = new Date(Date.now() - agoMs);
  utimesSync(lock, at, at);
}

/** What a process leaves that is killed in the middle of a fill. */
function plantPartial(layout: Layout, path: string, bytes: Buffer, totalBytes: number): void {
  const key = fillKey('pypi', path);
  const dataFile = newDataFileName(key, 1);
  writeFileSync(join(layout.partialDir, dataFile), bytes, { mode: 0o600 });
  const { pid } = spawnSync('true');
  leaveNote(layout, key, {
    phase: 'filling',
    epoch: 1,
    nonce: newNonce(),
    owner: { ...thisProcess(), pid },
    file: { upstream: 'pypi', path },
    dataFile,
    totalBytes,
    etag: null,
    error: null,
  });
}

function waitOf({ firstByteMs, longestGapMs, totalMs }: Download): number {
  return Math.max(Number.isNaN(firstByteMs) ? totalMs : firstByteMs, longestGapMs);
}

it('four processes race for a stale lock fifty times, and none is harmed', async () => {
  const files: FakeFile[] = Array.from({ length: ROUNDS }, (_, at) => {
    return { filename: `demo-${at}.0.tar.gz`, content: noise(150_000, at + 1) };
  });
  const upstream = await stageUpstream({ projects: { demo: files } });
  const cacheDir = await stageFolder();
  const layout = layoutOf(cacheDir);
  const servers = await serveFrom(cacheDir, upstream.indexUrl, RACERS);
  upstream.fault(/\.gz$/, { delayMs: 20 });
  let twice = 0;
  for (const [round, { filename, content }] of files.entries()) {
    const path = upstream.filePath(filename);
    plantLock(layout, fillKey('pypi', path.slice(1)), 60_000);
    // Every other time with the bytes of a dead owner to be claimed, of which some are wrong.
    const half = Buffer.from(content.subarray(0, 70_000));
    if (round % 4 === 3) half[100] = (half[100] ?? 0) ^ 0xff;
    if (round % 2 === 1) plantPartial(layout, path.slice(1), half, content.length);
    const got = await Promise.all(servers.map(({ baseUrl }) => download(baseUrl + path)));
    for (const answer of got) {
      // Whoever was sent the wrong bytes of the dead owner sees its connection break, and nothing else.
      if (round % 4 === 3 && !answer.isComplete) continue;
      expect([round, answer.status, answer.isComplete]).toEqual([round, 200, true]);
      expect(answer.sha256).toBe(sha256Of(content));
      expect(waitOf(answer)).toBeLessThan(10_000);
    }
    const gets = upstream.count(path, 'GET');
    // Wrong bytes are gone on with first, in vain.
    expect(gets, `round ${round}`).toBeLessThanOrEqual(round % 4 === 3 ? 4 : 2);
    if (gets > 1 && round % 4 !== 3) twice++;
  }
  // A stale lock is no rarity after a kill: it must not double the traffic as a rule.
  expect(twice).toBeLessThan(ROUNDS / 4);
  await Promise.all(servers.map((server) => server.stop()));
  expect(await litterAfterSweep(cacheDir)).toEqual([]);
}, 180_000);

it('a holder that is stopped holds up no other process, and does no harm when it wakes', async () => {
  const file: FakeFile = { filename: 'demo-1.0.tar.gz', content: noise(6_000_000, 4) };
  const upstream = await stageUpstream({ projects: { demo: [file] } });
  const path = upstream.filePath(file.filename);
  const cacheDir = await stageFolder();
  const [first, ...others] = await serveFrom(cacheDir, upstream.indexUrl, 3);
  upstream.fault(path, { bytesPerSecond: 2_000_000 });
  const own = download(first!.baseUrl + path);
  await expect.poll(() => upstream.bytesSent(path), { timeout: 10_000 }).toBeGreaterThan(500_000);
  first!.kill('SIGSTOP');
  const followers = await Promise.all(others.map(({ baseUrl }) => download(baseUrl + path)));
  first!.kill('SIGCONT');
  for (const answer of [...followers, await own]) {
    if (answer.isComplete) expect(answer.sha256).toBe(sha256Of(file.content));
  }
  for (const answer of followers) {
    expect(answer.isComplete).toBe(true);
    expect(waitOf(answer)).toBeLessThan(10_000);
  }
  expect(upstream.count(path, 'GET')).toBeLessThanOrEqual(2);
}, 60_000);

it.each([
  ['that is fresh', 0],
  ['from a minute ago', 60_000],
  ['from the future', -10 * YEAR_MS],
])('a lock of nobody %s holds a request up for seconds at the most', async (_which, agoMs) => {
  const stage = await setFillStage(CONTENT);
  const store = await stage.openStore();
  const request = stage.request();
  plantLock(stage.layout, keyOf(request), agoMs);
  const startedAt = performance.now();
  expect((await outcomeOf(attach(store, request), CONTENT)).end).toBe('whole');
  expect(performance.now() - startedAt).toBeLessThan(7_000);
  expect(stage.gets()).toBe(1);
});

/** What people and their tools do to the lock of a fill that is under way. */
const HARM: readonly (readonly [how: string, harm: (stage: FillStage, lock: string) => void])[] = [
  ['is removed', (_stage, lock) => rmSync(lock, { recursive: true, force: true })],
  ['is touched', (_stage, lock) => utimesSync(lock, new Date(), new Date())],
  [
    'is set into the future',
    (_stage, lock) =>
      utimesSync(lock, new Date(Date.now() + YEAR_MS), new Date(Date.now() + YEAR_MS)),
  ],
  [
    'goes with its folder',
    (stage) => rmSync(stage.layout.locksDir, { recursive: true, force: true }),
  ],
];

it.each(HARM)('a fill whose lock %s once goes on with what it has', async (_how, harm) => {
  const { stage, reader, lock } = await fillUnderWay();
  harm(stage, lock);
  expect((await reader).end).toBe('whole');
  // The second one, if any, asks for the rest.
  const asked = stage.upstream.requests.filter(({ path }) => path.endsWith('.whl'));
  expect(asked.length).toBeLessThanOrEqual(2);
  if (asked.length > 1) expect(asked[1]?.headers.range).toMatch(/^bytes=[1-9]/);
});

it('a fill whose lock is touched all the time comes to its end', async () => {
  const { stage, reader, lock } = await fillUnderWay();
  const touching = setInterval(() => {
    try {
      utimesSync(lock, new Date(), new Date());
    } catch {
      // Nobody holds it at the moment.
    }
  }, 150);
  onTestFinished(() => clearInterval(touching));
  expect((await reader).end).toBe('whole');
  expect(stage.gets()).toBeLessThanOrEqual(4);
  const sent = stage.upstream.bytesSent(/\.whl$/);
  expect(sent).toBeLessThanOrEqual(2 * CONTENT.length);
});

it('another process that takes a removed lock copies, and both readers get the file', async () => {
  const { stage, reader, lock } = await fillUnderWay();
  const other = await stage.openStore();
  rmSync(lock, { recursive: true });
  const second = outcomeOf(attach(other, stage.request()), CONTENT);
  expect([(await reader).end, (await second).end]).toEqual(['whole', 'whole']);
  expect(stage.gets()).toBeLessThanOrEqual(2);
});

/** A fill that takes five seconds, a second after its begin. */
async function fillUnderWay(): Promise<{
  stage: FillStage;
  reader: ReturnType<typeof outcomeOf>;
  lock: string;
}> {
  const stage = await setFillStage(CONTENT);
  const store = await stage.openStore();
  const request = stage.request();
  stage.upstream.fault(/\.whl$/, { bytesPerSecond: 400_000 });
  const reader = outcomeOf(attach(store, request), CONTENT);
  onTestFinished(() => settled(store, request));
  const lock = join(stage.layout.locksDir, `${keyOf(request)}.lock`);
  await expect.poll(() => readdirSync(stage.layout.locksDir)).not.toEqual([]);
  await pause(1_000);
  return { stage, reader, lock };
}
