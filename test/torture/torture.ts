/**
 * Two servers on one folder and the verbs beside them, an upstream in bad weather, kills and stops at random; clients digest every
 * body, a reader walks the static mirror. Not one complete wrong body, wrong file, dead link or stuck
 * request may come of it; and a naive mirror in the same weather must fail, or the torture is blind.
 *
 *     npm run test:torture -- --kills 100 --seconds 60
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/core/clock.ts';
import { Catalog } from '../../src/store/catalog.ts';
import { layoutOf } from '../../src/store/layout.ts';
import { sweep } from '../../src/store/sweep.ts';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { addTargets, letItRain } from './bad-weather.ts';
import type { TargetFile } from './bad-weather.ts';
import { startNaiveMirror } from './naive-mirror.ts';
import { Servers, noCounts, runClient, walkMirror } from './tormentors.ts';
import type { ClientCounts, WalkCounts } from './tormentors.ts';
import { runVerbs } from './verbs.ts';
import type { VerbCounts } from './verbs.ts';

const CLIENTS = 12;
const CONTROL_MS = 6_000;
const PROJECTS = 20;
const FILES_EACH = 8;

/** Small enough for constant eviction, deletion and return. */
const SETTINGS = {
  WHEELCELLAR_CACHE_MAX_SIZE: '25MB',
  WHEELCELLAR_CACHE_GRACE: '3s',
  WHEELCELLAR_CACHE_RESERVE: '1MB',
  WHEELCELLAR_LOG_LEVEL: 'warn',
  // A stall of the upstream must not look like a request that is stuck here.
  WHEELCELLAR_HTTP_IDLE_TIMEOUT: '2s',
  WHEELCELLAR_HTTP_HEADERS_TIMEOUT: '4s',
};

/** Runs the clients against one thing or the other. */
async function unleash(
  origin: () => string,
  targets: readonly TargetFile[],
  isOver: () => boolean,
): Promise<ClientCounts> {
  const counts = noCounts();
  await Promise.all(
    Array.from({ length: CLIENTS }, () => runClient(origin, targets, counts, isOver)),
  );
  return counts;
}

async function tortureUs(
  upstream: FakeUpstream,
  targets: readonly TargetFile[],
  cacheDir: string,
  kills: number,
  seconds: number,
): Promise<Record<string, unknown>> {
  const end = performance.now() + seconds * 1_000;
  const isOver = (): boolean => performance.now() >= end;
  const args = ['--index-url', upstream.indexUrl];
  const servers = new Servers({ cacheDir, args, env: SETTINGS });
  await servers.start(2);
  const walk: WalkCounts = { pages: 0, links: 0, dead: 0, late: 0, wrong: 0, deadLinks: [] };
  const walking = walkMirror(layoutOf(cacheDir).mirrorDir, walk, isOver);
  const asking = unleash(() => servers.origin(), targets, isOver);
  const projects = [...new Set(targets.map(({ project }) => project))];
  const { indexUrl } = upstream;
  const working = runVerbs({ cacheDir, indexUrl, projects, env: SETTINGS }, isOver);
  const pauseMs = (seconds * 1_000) / kills;
  while (!isOver()) {
    const next = performance.now() + pauseMs * (0.5 + Math.random());
    await servers.torment();
    await pause(Math.max(0, Math.min(next, end) - performance.now()));
  }
  const clients = await asking;
  await walking;
  const verbs = await working;
  await servers.stop();
  const { slowestStartMs, stops, crashes } = servers;
  return { kills: servers.kills, stops, slowestStartMs, crashes, clients, walk, verbs };
}

/** Looks at the folder when all is over. */
async function inspect(cacheDir: string, targets: readonly TargetFile[]): Promise<object> {
  const layout = layoutOf(cacheDir);
  const right = new Map(targets.map(({ filename, sha256 }) => [filename, sha256]));
  let corruptOnDisk = 0;
  let filesOnDisk = 0;
  const packages = join(layout.mirrorDir, 'packages');
  for (const entry of readdirSync(packages, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    filesOnDisk++;
    const digest = createHash('sha256').update(readFileSync(join(entry.parentPath, entry.name)));
    if (digest.digest('hex') !== right.get(entry.name)) corruptOnDisk++;
  }
  const later = { ...systemClock, now: () => systemClock.now() + 120_000 };
  const catalog = await Catalog.open(layout, later);
  const before = readdirSync(layout.partialDir).length + readdirSync(layout.locksDir).length;
  const { removed, resumable } = await sweep(layout, catalog, later);
  const left = readdirSync(layout.partialDir).length + readdirSync(layout.locksDir).length;
  const quickCheck = catalog.quickCheck();
  const held = catalog.heldCounts();
  const evicted = catalog.counters()['evicted_files'] ?? 0;
  await catalog.close();
  const litter = { before, removed, resumable, left: left - 2 * resumable };
  return { filesOnDisk, corruptOnDisk, quickCheck, held, evicted, litter };
}

async function controlFails(
  upstream: FakeUpstream,
  targets: readonly TargetFile[],
  folder: string,
): Promise<ClientCounts> {
  mkdirSync(folder);
  const naive = await startNaiveMirror(upstream.origin, folder);
  const end = performance.now() + CONTROL_MS;
  const counts = await unleash(
    () => naive.origin,
    targets,
    () => performance.now() >= end,
  );
  naive.close();
  return counts;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      kills: { type: 'string', default: '100' },
      seconds: { type: 'string', default: '60' },
    },
  });
  const folder = await makeTempFolder('wheelcellar-torture-');
  const upstream = await startFakeUpstream();
  const targets = addTargets(upstream, PROJECTS, FILES_EACH);
  letItRain(upstream);
  try {
    const control = await controlFails(upstream, targets, join(folder.path, 'naive'));
    const cacheDir = join(folder.path, 'cache');
    const kills = Number(values.kills);
    const ours = await tortureUs(upstream, targets, cacheDir, kills, Number(values.seconds));
    const disk = await inspect(cacheDir, targets);
    const report = { control: { good: control.good, corrupt: control.corrupt }, ...ours, disk };
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    const { clients, walk, verbs } = ours as {
      clients: ClientCounts;
      walk: WalkCounts;
      verbs: Record<string, VerbCounts>;
    };
    const crashes = Object.values(verbs).flatMap((verb) => verb.crashes).length;
    const faults = crashes + clients.corrupt + clients.stuck + walk.dead + walk.wrong;
    const { corruptOnDisk, litter, quickCheck } = disk as {
      corruptOnDisk: number;
      litter: { left: number };
      quickCheck: string;
    };
    const isSound = quickCheck === 'ok' && corruptOnDisk + litter.left === 0;
    const isWell = isSound && faults === 0 && clients.good > 0;
    process.exitCode = isWell && control.corrupt > 0 ? 0 : 1;
  } finally {
    await upstream.close();
    await folder.remove();
  }
}

await main();
