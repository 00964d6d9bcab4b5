import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { layoutOf } from '../../src/store/layout.ts';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { addTargets, letItRain } from './bad-weather.ts';
import type { TargetFile } from './bad-weather.ts';
import { inspectFolder } from './folder-inspection.ts';
import type { FolderInspection } from './folder-inspection.ts';
import { medianOf } from './memory-watch.ts';
import { walkMirror } from './mirror-reader.ts';
import type { WalkCounts } from './mirror-reader.ts';
import { startNaiveMirror } from './naive-mirror.ts';
import { Servers, runClient } from './tormentors.ts';
import { Verdict } from './verdict.ts';
import type { Counts } from './verdict.ts';
import { runVerbs } from './verbs.ts';
import type { VerbCounts } from './verbs.ts';

const CLIENTS = 12;
const CONTROL_MS = 6_000;
const PROJECTS = 20;
const FILES_EACH = 8;
/** A server that was killed answers again after this … */
const RESTART_WITHIN_MS = 2_000;
/** … or, on a machine that has much else to do, after so many times what an empty program takes. */
const RESTART_WITHIN_BAREST = 25;
/** The upstream's requests are of no interest, and an hour of them is much memory. */
const FORGET_EVERY_MS = 10_000;

/** Small enough for constant eviction, deletion and return. */
const SETTINGS = {
  WHEELCELLAR_CACHE_MAX_SIZE: '25MB',
  WHEELCELLAR_CACHE_GRACE: '3s',
  WHEELCELLAR_CACHE_RESERVE: '1MB',
  WHEELCELLAR_LOG_LEVEL: 'info',
  // A stall of the upstream must not look like a request that is stuck here.
  WHEELCELLAR_HTTP_IDLE_TIMEOUT: '2s',
  WHEELCELLAR_HTTP_HEADERS_TIMEOUT: '4s',
};

/** What one torture came to. */
export interface TortureReport {
  readonly control: { readonly good: number; readonly corrupt: number };
  readonly seconds: number;
  readonly kills: number;
  readonly stops: number;
  readonly restarts: {
    readonly count: number;
    readonly medianMs: number;
    readonly slowestMs: number;
    readonly over2s: number;
    /** What an empty program took at the same times. */
    readonly barestMs: number;
  };
  /** Ends of servers that nobody asked for. */
  readonly crashes: readonly string[];
  readonly clients: Counts;
  readonly walk: WalkCounts;
  readonly verbs: Readonly<Record<string, VerbCounts>>;
  readonly added: number;
  readonly disk: FolderInspection;
}

/** The torture's length; it is over when either is reached. */
export interface TortureOptions {
  readonly kills: number;
  readonly seconds: number;
  /** At a time, on one folder. */
  readonly servers: number;
}

/** Runs control and torture in a folder of their own. */
export async function runTorture(options: TortureOptions): Promise<TortureReport> {
  const folder = await makeTempFolder('wheelcellar-torture-');
  const upstream = await startFakeUpstream();
  const targets = addTargets(upstream, PROJECTS, FILES_EACH);
  letItRain(upstream);
  const forgetting = setInterval(() => upstream.forget(), FORGET_EVERY_MS);
  try {
    const control = await controlFails(upstream, targets, join(folder.path, 'naive'));
    const ours = await tortureUs(upstream, targets, folder.path, options);
    return { control: { good: control.good, corrupt: control.corrupt }, ...ours };
  } finally {
    clearInterval(forgetting);
    await upstream.close();
    await folder.remove();
  }
}

/** Everything that is not as it must be, in words; nothing when the torture was withstood. */
export function findingsOf(report: TortureReport): string[] {
  const { clients, walk, disk, restarts, verbs } = report;
  const crashes = [...report.crashes, ...Object.values(verbs).flatMap((verb) => verb.crashes)];
  const mustBeNone: readonly (readonly [what: string, count: number])[] = [
    ['complete wrong bodies', clients.corrupt],
    ['requests without a byte for 10 s', clients.stuck],
    ['dead links in the static mirror', walk.dead],
    ['wrong files in the static mirror', walk.wrong],
    ['wrong files on the disk', disk.corruptOnDisk.length],
    ['acknowledged files lost', disk.lost.length],
    ['pieces of litter after a sweep', disk.litter.left],
    ['crashes', crashes.length],
  ];
  const found = mustBeNone
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`);
  if (!disk.sumsHold) found.push('the catalog has wrong sums of what is held');
  if (disk.quickCheck !== 'ok') found.push(`the catalog is damaged: ${disk.quickCheck}`);
  const { medianMs, barestMs } = restarts;
  if (medianMs > Math.max(RESTART_WITHIN_MS, RESTART_WITHIN_BAREST * (barestMs || 0)))
    found.push(`restarts take ${medianMs} ms, an empty program ${barestMs} ms`);
  if (clients.good === 0 || walk.links === 0) found.push('nothing was looked at');
  if (report.control.corrupt === 0) found.push('the naive mirror did well: the torture is blind');
  return found;
}

/** Runs the clients against one thing or the other. */
async function unleash(
  origin: () => string,
  targets: readonly TargetFile[],
  isOver: () => boolean,
  explain?: (url: string) => string[],
): Promise<Counts> {
  const verdict = new Verdict(explain);
  await Promise.all(
    Array.from({ length: CLIENTS }, () => runClient(origin, targets, verdict, isOver)),
  );
  return verdict.counts;
}

async function tortureUs(
  upstream: FakeUpstream,
  targets: readonly TargetFile[],
  folder: string,
  { kills, seconds, servers: count }: TortureOptions,
): Promise<Omit<TortureReport, 'control'>> {
  const cacheDir = join(folder, 'cache');
  const workDir = join(folder, 'work');
  mkdirSync(workDir);
  const startedAt = performance.now();
  const end = startedAt + seconds * 1_000;
  const { indexUrl } = upstream;
  const args = ['--index-url', indexUrl];
  const servers = new Servers({ cacheDir, args, env: SETTINGS });
  const isOver = (): boolean => performance.now() >= end || servers.kills >= kills;
  await servers.start(count);
  const walk: WalkCounts = { pages: 0, links: 0, dead: 0, late: 0, wrong: 0, deadLinks: [] };
  const projects = [...new Set(targets.map(({ project }) => project))];
  const verbSettings = {
    cacheDir,
    workDir,
    indexUrl,
    projects,
    env: SETTINGS,
    everyMs: 300,
    killed: 0.3,
  };
  const working = Promise.all([
    unleash(
      () => servers.origin(),
      targets,
      isOver,
      (url) => servers.linesAbout(url),
    ),
    runVerbs(verbSettings, isOver),
    walkMirror(layoutOf(cacheDir).mirrorDir, walk, isOver),
  ]);
  // A fifth are stops; what is tormented already is left in peace.
  await torment(servers, (seconds * 1_000 * 0.8) / kills, isOver);
  const [clients, { verbs, added, offered }] = await working;
  await servers.stop();
  const right = new Map([
    ...targets.map(({ filename, sha256 }) => [filename, sha256] as const),
    ...offered,
  ]);
  return {
    seconds: Math.round((performance.now() - startedAt) / 1_000),
    kills: servers.kills,
    stops: servers.stops,
    restarts: {
      count: servers.restartsMs.length,
      medianMs: Math.round(medianOf(servers.restartsMs)),
      slowestMs: Math.round(Math.max(...servers.restartsMs)),
      barestMs: Math.round(medianOf(servers.barestMs)),
      over2s: servers.restartsMs.filter((restartMs) => restartMs > RESTART_WITHIN_MS).length,
    },
    crashes: servers.crashes,
    clients,
    walk,
    verbs,
    added: added.size,
    disk: await inspectFolder(cacheDir, right, [...added.keys()]),
  };
}

async function torment(servers: Servers, pauseMs: number, isOver: () => boolean): Promise<void> {
  const underWay = new Set<Promise<unknown>>();
  while (!isOver()) {
    const tormented = servers.torment();
    underWay.add(tormented);
    void tormented.finally(() => underWay.delete(tormented));
    await pause(pauseMs * (0.5 + Math.random()));
  }
  await Promise.all(underWay);
}

async function controlFails(
  upstream: FakeUpstream,
  targets: readonly TargetFile[],
  folder: string,
): Promise<Counts> {
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
