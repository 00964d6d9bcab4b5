import { createMirror } from '../compose.ts';
import type { Statistics } from '../repository/statistics.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { formatBytes } from './format.ts';
import { environmentOf } from './serve.ts';
import { printJson, printLine } from './verb.ts';
import type { Io, Verb } from './verb.ts';

/** What a running server says of itself. */
interface RunningServer {
  readonly pid: number;
  readonly origin: string;
  readonly statistics: Statistics | null;
}

/** `wheelcellar stats`: what is held, what it has saved, and how the running servers fare. */
export const verb: Verb = {
  name: 'stats',
  summary: 'Show what is held, what it saved, and the health of upstreams',
  configure: addJsonFlag,
  run: async ({ io, options, config }) => {
    const settings = config();
    const mirror = await createMirror(settings, environmentOf(settings, io));
    try {
      const own = mirror.statistics();
      const servers = await Promise.all(mirror.store.runningServers().map(ask));
      if (options['json'] === true)
        printJson(io, { cacheDir: settings.cache.dir, ...own, servers });
      else printReport(io, settings.cache.dir, own, servers);
    } finally {
      await mirror.close(0);
    }
    return EXIT.ok;
  },
};

async function ask({
  pid,
  origin,
  base,
}: {
  pid: number;
  origin: string;
  base: string;
}): Promise<RunningServer> {
  try {
    const answer = await fetch(`${origin}${base}/-/stats`, { signal: AbortSignal.timeout(2_000) });
    return { pid, origin, statistics: (await answer.json()) as Statistics };
  } catch {
    return { pid, origin, statistics: null };
  }
}

function printReport(
  io: Io,
  cacheDir: string,
  own: Statistics,
  servers: readonly RunningServer[],
): void {
  const line = (name: string, value: string): void => printLine(io, `${name.padEnd(9)} ${value}`);
  line('cache', cacheDir);
  line(
    'held',
    `${own.held.files} files of ${own.held.projects} projects, ${formatBytes(own.held.bytes)}`,
  );
  line('requests', `${own.fileHits} files from the cache, ${own.fileMisses} fetched`);
  line(
    'served',
    `${formatBytes(own.bytesServed)}, of which ${formatBytes(own.bytesSaved)} did not come from upstream`,
  );
  if (own.evictedFiles > 0) line('evicted', `${own.evictedFiles} files`);
  if (servers.length === 0) line('servers', 'none is running on this folder');
  for (const { pid, origin, statistics } of servers) {
    if (statistics === null) {
      line('server', `${origin} (process ${pid}) does not answer`);
      continue;
    }
    line(
      'server',
      `${origin} (process ${pid}): ${statistics.mode} since ${new Date(statistics.modeSince).toISOString()}`,
    );
    for (const upstream of statistics.upstreams) {
      const failures =
        upstream.failures === 0
          ? ''
          : `, ${upstream.failures} failures (last: ${upstream.lastError ?? '?'})`;
      line(
        '',
        `${upstream.name}: ${upstream.state}, ${upstream.pageFetches} pages, ${upstream.fileFetches} files, ${formatBytes(upstream.bytesReceived)}${failures}`,
      );
    }
  }
}
