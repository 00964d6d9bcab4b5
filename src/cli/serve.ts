import { hostname } from 'node:os';
import { createMirror, serveMirror, stopServing } from '../compose.ts';
import type { Environment, Mirror } from '../compose.ts';
import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import { createLogger } from '../core/logger.ts';
import { packageFacts } from '../paths.ts';
import type { Asked, AskedListener, Client } from '../repository/ahead/ahead.ts';
import { sumStatistics } from '../repository/statistics.ts';
import type { Statistics } from '../repository/statistics.ts';
import { isLoopback } from '../server/host-guard.ts';
import type { HttpServer } from '../server/http-server.ts';
import { EXIT } from './exit-status.ts';
import { addServeFlags } from './flags.ts';
import { formatCount } from './format.ts';
import type { Io, Verb } from './verb.ts';
import { placeInCharge } from './worker-parcels.ts';
import { isPrimary, runWorkers, workerSeat } from './workers.ts';
import type { WorkerSeat } from './workers.ts';

/** On a stop, answers under way and fills get so long; what is left of a fill is resumed later. */
const STOP_GRACE_MS = 2_000;

/** `wheelcellar serve`: the mirror, until it is told to stop. */
export const verb: Verb = {
  name: 'serve',
  summary: 'Serve the mirror',
  configure: addServeFlags,
  run: async ({ io, config }) => {
    const settings = config();
    const env = environmentOf(settings, io);
    if (isPrimary(settings.workers)) return await runWorkers(settings.workers, io, env.log);
    await serveUntilStopped(settings, env, io, workerSeat(io));
    return EXIT.ok;
  },
};

async function serveUntilStopped(
  settings: Config,
  env: Environment,
  io: Io,
  seat: WorkerSeat | null,
): Promise<void> {
  const mirror = await createMirror(settingsAt(settings, seat), env);
  try {
    const server = await serveMirror(
      mirror,
      settings,
      env,
      seat === null
        ? {}
        : {
            statistics: () => figuresOfAll(seat, mirror),
            onAsked: shareAsked(seat, settings.workers, mirror),
          },
    );
    seat?.offerFigures(() => mirror.statistics());
    const stopped = stopReason(io, seat);
    const banner = bannerOf(settings, server, mirror);
    if (seat === null) io.stdout.write(banner);
    else seat.ready(banner);
    const reason = await stopped;
    if (seat === null) env.log.info('stopping', { signal: reason });
    await stopServing(server, mirror, STOP_GRACE_MS);
  } catch (error) {
    await mirror.close(0);
    throw error;
  } finally {
    seat?.leave();
  }
}

/** One worker reads the held files again for all of them. */
function settingsAt(settings: Config, seat: WorkerSeat | null): Config {
  if (seat === null || seat.place === 0) return settings;
  return { ...settings, cache: { ...settings.cache, scrubBytesPerSecond: null } };
}

/** A client's connections end at several workers; one of them follows what it is about. */
function shareAsked(seat: WorkerSeat, workers: number, { ahead }: Mirror): AskedListener {
  seat.onParcel((content) => {
    const { client, asked } = content as AskedParcel;
    ahead?.noticed(client, asked);
  });
  return (client, asked) => {
    const place = placeInCharge(`${client.address} ${client.userAgent}`, workers);
    if (place === seat.place) ahead?.noticed(client, asked);
    else seat.send(place, { client, asked } satisfies AskedParcel);
  };
}

interface AskedParcel {
  readonly client: Client;
  readonly asked: Asked;
}

async function figuresOfAll(seat: WorkerSeat, mirror: Mirror): Promise<Statistics> {
  const all = (await seat.allFigures()) as readonly Statistics[];
  return all.length === 0 ? mirror.statistics() : sumStatistics(all);
}

/** What verbs that work on the mirror put around it. */
export function environmentOf(config: Config, io: Io): Environment {
  const format = config.log.format === 'auto' ? (io.isTty ? 'text' : 'json') : config.log.format;
  const colour = io.isTty && (io.env['NO_COLOR'] ?? '') === '';
  return {
    clock: systemClock,
    log: createLogger({ level: config.log.level, format, colour, destination: io.stderr }),
    variables: io.env,
    homeDir: io.homeDir,
    version: packageFacts().version,
  };
}

/**
 * Resolves with the first signal that asks to stop; the second one ends the process at once. A worker
 * leaves Ctrl-C, which a terminal sends to all, to its primary.
 */
function stopReason(io: Io, seat: WorkerSeat | null): Promise<string> {
  return new Promise((resolve) => {
    let count = 0;
    seat?.onStop(resolve);
    io.onSignal((signal) => {
      if (signal === 'SIGHUP' || (seat !== null && signal === 'SIGINT')) return;
      if (++count > 1) process.exit(EXIT.failed);
      resolve(signal);
    });
  });
}

function bannerOf(config: Config, server: HttpServer, mirror: Mirror): string {
  const base = config.basePath === '/' ? '' : config.basePath;
  const index = server.origins.map((origin) => `${origin}${base}/simple/`);
  const [first] = index;
  const held = mirror.store.catalog.heldCounts();
  const lines = [`Wheelcellar ${packageFacts().version}`];
  for (const url of index) lines.push(`  index   ${url}`);
  if (config.unix !== null) lines.push(`  socket  ${config.unix}`);
  const counts = `${formatCount(held.files, 'file')} of ${formatCount(held.projects, 'project')}`;
  lines.push(`  cache   ${config.cache.dir}  (${counts})`, `  mode    ${modeOf(config)}`);
  if (config.workers > 1) lines.push(`  workers ${config.workers}`);
  if (first !== undefined) {
    const host = new URL(first).hostname;
    lines.push(
      '',
      `  pip     pip install --index-url ${first} --trusted-host ${host} NAME`,
      `  uv      uv pip install --default-index ${first} NAME`,
      `  images  DIB_PYPI_MIRROR_URL=${first} disk-image-create …`,
    );
  }
  if (isOpenToOthers(config)) {
    lines.push(
      '',
      `  Other machines can reach this mirror (${othersUrl(config, index)}) and read everything`,
      '  that it serves, private upstreams included. Listen on 127.0.0.1 if that is not meant.',
    );
  }
  return `${lines.join('\n')}\n`;
}

function modeOf(config: Config): string {
  if (config.offline) return 'offline: no upstream is asked, the index lists what is held';
  const names = config.upstreams.map((upstream) => `${upstream.name} (${upstream.url})`);
  const what = config.preferOffline ? 'online, but what is held is not asked for again' : 'online';
  const forbidden =
    config.officialIndex === 'forbidden'
      ? '; the official index is not asked (DIB_NO_PYPI_PIP)'
      : '';
  return `${what}: ${names.join(', then ')}${forbidden}`;
}

/** What others may call the index: this machine's name in place of the address. */
function othersUrl(config: Config, index: readonly string[]): string {
  const at = config.listen.findIndex(({ host }) => !isLoopback(host));
  const url = new URL(index[at] ?? 'http://localhost');
  if (/^(0\.0\.0\.0|::)$/.test(config.listen[at]?.host ?? '')) url.hostname = hostname();
  return url.href;
}

function isOpenToOthers(config: Config): boolean {
  return config.listen.some(({ host }) => !isLoopback(host));
}
