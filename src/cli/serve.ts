import { hostname } from 'node:os';
import { createMirror, serveMirror } from '../compose.ts';
import type { Environment, Mirror } from '../compose.ts';
import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import { createLogger } from '../core/logger.ts';
import { packageFacts } from '../paths.ts';
import { isLoopback } from '../server/host-guard.ts';
import type { HttpServer } from '../server/http-server.ts';
import { EXIT } from './exit-status.ts';
import { addServeFlags } from './flags.ts';
import { formatCount } from './format.ts';
import { printLine } from './verb.ts';
import type { Io, Verb } from './verb.ts';

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
    const mirror = await createMirror(settings, env);
    try {
      const server = await serveMirror(mirror, settings, env);
      const stopped = stopSignal(io);
      printBanner(io, settings, server, mirror);
      const signal = await stopped;
      env.log.info('stopping', { signal });
      // Both at once: a client that waits for a fill ends with it.
      await Promise.all([server.close(STOP_GRACE_MS), mirror.close(STOP_GRACE_MS)]);
    } catch (error) {
      await mirror.close(0);
      throw error;
    }
    return EXIT.ok;
  },
};

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

/** Resolves with the first signal that asks to stop; the second one ends the process at once. */
function stopSignal(io: Io): Promise<string> {
  return new Promise((resolve) => {
    let count = 0;
    io.onSignal((signal) => {
      if (signal === 'SIGHUP') return;
      if (++count > 1) process.exit(EXIT.failed);
      resolve(signal);
    });
  });
}

function printBanner(io: Io, config: Config, server: HttpServer, mirror: Mirror): void {
  const base = config.basePath === '/' ? '' : config.basePath;
  const index = server.origins.map((origin) => `${origin}${base}/simple/`);
  const [first] = index;
  const held = mirror.store.catalog.heldCounts();
  printLine(io, `Wheelcellar ${packageFacts().version}`);
  for (const url of index) printLine(io, `  index   ${url}`);
  if (config.unix !== null) printLine(io, `  socket  ${config.unix}`);
  printLine(
    io,
    `  cache   ${config.cache.dir}  (${formatCount(held.files, 'file')} of ${formatCount(held.projects, 'project')})`,
  );
  printLine(io, `  mode    ${modeOf(config)}`);
  if (first !== undefined) {
    const host = new URL(first).hostname;
    printLine(io, '');
    printLine(io, `  pip     pip install --index-url ${first} --trusted-host ${host} NAME`);
    printLine(io, `  uv      uv pip install --default-index ${first} NAME`);
    printLine(io, `  images  DIB_PYPI_MIRROR_URL=${first} disk-image-create …`);
  }
  if (isOpenToOthers(config)) {
    printLine(io, '');
    printLine(
      io,
      `  Other machines can reach this mirror (${othersUrl(config, index)}) and read everything`,
    );
    printLine(
      io,
      '  that it serves, private upstreams included. Listen on 127.0.0.1 if that is not meant.',
    );
  }
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
