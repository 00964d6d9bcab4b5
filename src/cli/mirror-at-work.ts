import { createMirror, serveMirror, stopServing } from '../compose.ts';
import type { Environment, Mirror } from '../compose.ts';
import type { Config, ListenAddress } from '../config/config.ts';
import { ConfigurationError } from '../core/errors.ts';
import type { Statistics } from '../repository/statistics.ts';

/** Where a build finds the mirror, whoever runs it. */
export interface MirrorAtWork {
  /** `http://127.0.0.1:3141/simple/`. */
  readonly indexUrl: string;
  /** Whether it was running before. */
  readonly isFound: boolean;
  readonly statistics: () => Promise<Statistics>;
  readonly close: () => Promise<void>;
}

/** Answers under way get so long when the build is over. */
const STOP_GRACE_MS = 2_000;

/** An index of our own for programs that we start. */
export interface OwnIndex {
  /** `http://127.0.0.1:40123/simple/`; nobody is told of it. */
  readonly indexUrl: string;
  readonly close: () => Promise<void>;
}

/**
 * Serves a mirror of this process on a free port of 127.0.0.1, for resolvers and installers that we start
 * ourselves. The mirror stays open when it is closed.
 *
 * @throws ConfigurationError
 */
export async function serveOurselves(
  mirror: Mirror,
  settings: Config,
  env: Environment,
): Promise<OwnIndex> {
  const listen: ListenAddress[] = [{ host: '127.0.0.1', port: 0 }];
  const own = { ...settings, listen, unix: null, basePath: '/' };
  const server = await serveMirror(mirror, own, env, { isPrivate: true });
  return {
    indexUrl: `${server.origins[0] ?? ''}/simple/`,
    close: () => server.close(0),
  };
}

/** A server that runs on the folder and asks what we would ask, or one of our own. */
export async function mirrorAtWork(settings: Config, env: Environment): Promise<MirrorAtWork> {
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
      await stopServing(server, mirror, STOP_GRACE_MS);
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
