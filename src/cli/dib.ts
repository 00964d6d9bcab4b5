import { existsSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { asksForOffline, dibEnvironment } from '../build/dib-environment.ts';
import { startBuild } from '../build/run-build.ts';
import { servedBetween } from '../build/served-files.ts';
import type { ServedFiles } from '../build/served-files.ts';
import { createMirror, serveMirror } from '../compose.ts';
import type { Environment, Mirror } from '../compose.ts';
import type { Config, ListenAddress } from '../config/config.ts';
import { loadConfig } from '../config/load-config.ts';
import { ConfigurationError } from '../core/errors.ts';
import { elementsPath } from '../paths.ts';
import type { Statistics } from '../repository/statistics.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { formatBytes } from './format.ts';
import { environmentOf } from './serve.ts';
import { printJson } from './verb.ts';
import type { Io, Verb, VerbContext } from './verb.ts';

/** Where a build finds the mirror, whoever runs it. */
interface MirrorAtWork {
  /** `http://127.0.0.1:3141/simple/`. */
  readonly indexUrl: string;
  /** Whether it was running before. */
  readonly isFound: boolean;
  readonly statistics: () => Promise<Statistics>;
  readonly close: () => Promise<void>;
}

/** Counters that stand still for so long are final: they lag behind the client that has read its answer. */
const SETTLED_MS = 200;

/** Other clients of a server may never pause. */
const LOOKS_AT_COUNTERS = 10;

/** Answers under way get so long when the build is over. */
const STOP_GRACE_MS = 2_000;

/** `wheelcellar dib -- disk-image-create …`: one image build through the mirror. */
export const verb: Verb = {
  name: 'dib',
  summary: 'Run an image build (disk-image-create …) that installs through the mirror',
  configure: (command) => {
    command.argument('<command...>', 'what to run; write it after "--"');
    addUpstreamFlags(command);
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options } = context;
    const isOffline = context.config().offline || asksForOffline(args, io.env);
    const settings = settingsOf(context, isOffline);
    const mirror = await mirrorAtWork(settings, environmentOf(settings, io));
    try {
      tell(
        io,
        `mirror ${mirror.indexUrl} (${mirror.isFound ? 'was running' : 'started for this build'}${isOffline ? ', offline' : ''})`,
      );
      warnAboutOtherUrl(io, mirror.indexUrl);
      const before = await mirror.statistics();
      const status = await build(context, mirror.indexUrl, isOffline);
      const served = servedBetween(before, await settledStatistics(mirror));
      report(io, options['json'] === true, status, mirror, served);
      return status === 0 ? EXIT.ok : EXIT.buildFailed;
    } finally {
      await mirror.close();
    }
  },
};

/** The server's own log would be lost among the build's words: only its warnings are shown. */
function settingsOf({ config, configInput, io }: VerbContext, isOffline: boolean): Config {
  if (!existsSync(elementsPath())) {
    throw new ConfigurationError([`The folder of the elements is missing: ${elementsPath()}.`]);
  }
  const settings = isOffline
    ? loadConfig({ ...configInput, flags: { ...configInput.flags, offline: true } })
    : config();
  const isChosen = (io.env['WHEELCELLAR_LOG_LEVEL'] ?? '') !== '' || settings.log.level !== 'info';
  return isChosen ? settings : { ...settings, log: { ...settings.log, level: 'warn' } };
}

/** A server that runs on the folder and asks what we would ask, or one of our own. */
async function mirrorAtWork(settings: Config, env: Environment): Promise<MirrorAtWork> {
  const mirror = await createMirror(settings, env);
  try {
    const found = await findServer(mirror, settings);
    if (found === undefined) return await startServer(mirror, settings, env);
    await mirror.close(0);
    return found;
  } catch (error) {
    await mirror.close(0);
    throw error;
  }
}

async function findServer(mirror: Mirror, settings: Config): Promise<MirrorAtWork | undefined> {
  for (const { origin, base } of mirror.store.runningServers()) {
    const root = `${loopbackOf(origin)}${base}`;
    const statistics = await askStatistics(root).catch(() => undefined);
    if (statistics === undefined || !isAsWanted(statistics, settings)) continue;
    return {
      indexUrl: `${root}/simple/`,
      isFound: true,
      statistics: () => askStatistics(root),
      close: async () => {},
    };
  }
  return undefined;
}

/** Offline when that is wanted, and the same upstreams in the same order. */
function isAsWanted(statistics: Statistics, settings: Config): boolean {
  if ((statistics.mode === 'offline') !== settings.offline) return false;
  const urls = statistics.upstreams.map(({ url }) => url);
  return urls.join('\n') === settings.upstreams.map(({ url }) => url).join('\n');
}

async function askStatistics(root: string): Promise<Statistics> {
  const answer = await fetch(`${root}/-/stats`, { signal: AbortSignal.timeout(5_000) });
  return (await answer.json()) as Statistics;
}

/** An address that stands for all of them is no address to ask. */
function loopbackOf(origin: string): string {
  return origin.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
}

async function startServer(
  mirror: Mirror,
  settings: Config,
  env: Environment,
): Promise<MirrorAtWork> {
  const server = await listenNear(mirror, settings, env);
  const base = settings.basePath === '/' ? '' : settings.basePath;
  return {
    indexUrl: `${server.origins[0] ?? ''}${base}/simple/`,
    isFound: false,
    statistics: async () => mirror.statistics(),
    close: async () => {
      await Promise.all([server.close(STOP_GRACE_MS), mirror.close(STOP_GRACE_MS)]);
    },
  };
}

/**
 * The same address each time if it is free: pip finds wheels that it has built by the URL of their source.
 * Loopback only, since a build of an image is no reason to serve others.
 */
async function listenNear(
  mirror: Mirror,
  settings: Config,
  env: Environment,
): ReturnType<typeof serveMirror> {
  const on = (port: number): Config => {
    const listen: ListenAddress[] = [{ host: '127.0.0.1', port }];
    return { ...settings, listen, unix: null };
  };
  try {
    return await serveMirror(mirror, on(settings.listen[0]?.port ?? 0), env);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return serveMirror(mirror, on(0), env);
  }
}

async function settledStatistics(mirror: MirrorAtWork): Promise<Statistics> {
  let last = await mirror.statistics();
  for (let look = 0; look < LOOKS_AT_COUNTERS; look++) {
    await wait(SETTLED_MS);
    const now = await mirror.statistics();
    const { bytesServed, bytesFetched } = servedBetween(last, now);
    if (now.fillsUnderWay === 0 && bytesServed === 0 && bytesFetched === 0) return now;
    last = now;
  }
  return last;
}

/** A password of the caller's own URL is not repeated. */
function warnAboutOtherUrl(io: Io, indexUrl: string): void {
  const given = io.env['DIB_PYPI_MIRROR_URL'] ?? '';
  if (given !== '' && given !== indexUrl) tell(io, 'DIB_PYPI_MIRROR_URL of the caller is replaced');
}

async function build(context: VerbContext, indexUrl: string, isOffline: boolean): Promise<number> {
  const { io, args, options } = context;
  const running = startBuild({
    words: args,
    cwd: io.cwd,
    env: dibEnvironment({ variables: io.env, elementsPath: elementsPath(), indexUrl, isOffline }),
    isQuietOnStdout: options['json'] === true,
  });
  // The build ends its mounts first; we end after it. A terminal sends it Ctrl-C by itself.
  const forget = io.onSignal((signal) => {
    if (signal !== 'SIGINT' || !io.isTty) running.signal(signal);
  });
  try {
    return await running.ended;
  } finally {
    forget();
  }
}

function report(
  io: Io,
  isJson: boolean,
  status: number,
  { indexUrl, isFound }: MirrorAtWork,
  served: ServedFiles,
): void {
  if (isJson) printJson(io, { status, indexUrl, wasRunning: isFound, ...served });
  if (status !== 0) tell(io, `the build failed with status ${status}`);
  const { fileHits, fileMisses } = served;
  tell(io, `${fileHits + fileMisses} files served, ${formatBytes(served.bytesServed)}`);
  tell(io, `  from the cache  ${fileHits}`);
  tell(io, `  from upstream   ${fileMisses}, ${formatBytes(served.bytesFetched)}`);
  tell(io, `  saved           ${formatBytes(served.bytesSaved)}`);
  if (isFound) tell(io, '  (other clients of that server included)');
  if (fileHits + fileMisses === 0 && status === 0) {
    tell(io, 'nothing was asked for: is the element pypi among those of the image?');
    tell(io, '  (with pip-cache, an unchanged build asks for no file at all)');
  }
}

function tell(io: Io, line: string): void {
  io.stderr.write(`wheelcellar: ${line}\n`);
}
