/**
 * Mixed load at an even rate for a long time: pages, 304s, files warm and cold, ranges, slow clients and such
 * that leave, projects that change, refreshes and evictions by verbs. Every complete body is digested; the
 * memory of the server is looked at every ten seconds and must not grow.
 *
 *     npm run test:soak -- --minutes 60 --rate 100
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { startServer } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { ChangingIndex } from './changing-index.ts';
import { drizzle } from './bad-weather.ts';
import { MemoryWatch } from './memory-watch.ts';
import { MixedLoad } from './mixed-load.ts';
import { runVerbs } from './verbs.ts';

const PROJECTS = 40;
const FILES_EACH = 8;
const CHANGE_EVERY_MS = 2_000;
const VERBS_EVERY_MS = 10_000;
/** Growth that is no leak: caches fill up, and the collector takes its time. */
const ALLOWED_GROWTH = 1.25;

/** A third of all files fits: the others are cold each time they are asked for. */
const SETTINGS = {
  WHEELCELLAR_CACHE_MAX_SIZE: '60MB',
  WHEELCELLAR_CACHE_GRACE: '5s',
  WHEELCELLAR_CACHE_RESERVE: '1MB',
  WHEELCELLAR_CACHE_MEMORY: '16MB',
  WHEELCELLAR_INDEX_NEGATIVE_TTL: '5s',
  WHEELCELLAR_LOG_LEVEL: 'error',
  WHEELCELLAR_HTTP_IDLE_TIMEOUT: '2s',
  WHEELCELLAR_HTTP_HEADERS_TIMEOUT: '4s',
};

/** The index changes, and forgets what it was asked: this process shall not grow either. */
async function keepChanging(
  index: ChangingIndex,
  upstream: FakeUpstream,
  isOver: () => boolean,
): Promise<void> {
  while (!isOver()) {
    index.change();
    upstream.forget();
    await pause(CHANGE_EVERY_MS);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '60' },
      rate: { type: 'string', default: '100' },
    },
  });
  const minutes = Number(values.minutes);
  const folder = await makeTempFolder('wheelcellar-soak-');
  const upstream = await startFakeUpstream({ maxAgeSeconds: 5 });
  const index = new ChangingIndex(upstream, PROJECTS, FILES_EACH);
  drizzle(upstream);
  const cacheDir = join(folder.path, 'cache');
  const { indexUrl } = upstream;
  const server = await startServer({
    cacheDir,
    args: ['--index-url', indexUrl],
    env: SETTINGS,
    ahead: true,
  });
  try {
    const end = performance.now() + minutes * 60_000;
    let hasEnded = false;
    void server.ended.then(() => (hasEnded = true));
    const isOver = (): boolean => hasEnded || performance.now() >= end;
    const memory = new MemoryWatch(server.pid, Math.min(10_000, minutes * 1_000));
    const load = new MixedLoad({
      origin: () => server.baseUrl,
      targets: index.targets,
      requestsPerSecond: Number(values.rate),
    });
    const told = setInterval(() => {
      const { good, corrupt, stuck } = load.counts;
      process.stderr.write(`${JSON.stringify({ good, corrupt, stuck, ...memory.latest })}\n`);
    }, 60_000);
    const { projects } = index;
    const verbSettings = {
      cacheDir,
      workDir: folder.path,
      indexUrl,
      projects,
      env: SETTINGS,
      everyMs: VERBS_EVERY_MS,
      killed: 0,
    };
    const [, , { verbs }] = await Promise.all([
      load.run(isOver),
      keepChanging(index, upstream, isOver),
      runVerbs(verbSettings, isOver),
    ]);
    clearInterval(told);
    const rss = memory.stop();
    const { counts, requests, skipped } = load;
    process.stdout.write(
      `${JSON.stringify({ minutes, hasEnded, requests, skipped, counts, rss, verbs }, null, 2)}\n`,
    );
    const isSteady = rss.lastQuarterMb <= rss.firstQuarterMb * ALLOWED_GROWTH;
    const isRight = counts.corrupt + counts.stuck === 0 && counts.good > 0;
    process.exitCode = isSteady && isRight && !hasEnded ? 0 : 1;
  } finally {
    await server.stop();
    await upstream.close();
    await folder.remove();
  }
}

await main();
