import { createMirror } from '../compose.ts';
import type { Environment } from '../compose.ts';
import type { Config } from '../config/config.ts';
import { aheadCounts } from '../repository/ahead/ledger.ts';
import type { AheadCounts } from '../repository/ahead/ledger.ts';
import type { Statistics, UpstreamHealth } from '../repository/statistics.ts';
import { isCacheThere } from './cache-folder.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { formatBytes, formatCount } from './format.ts';
import { environmentOf } from './serve.ts';
import { printJson, printLine } from './verb.ts';
import type { Io, Verb } from './verb.ts';

/** What a running server says of itself. */
interface RunningServer {
  readonly pid: number;
  readonly origin: string;
  readonly statistics: Statistics | null;
}

/** What holds for the cache folder, whichever process looks. */
type FolderStatistics = Pick<
  Statistics,
  | 'held'
  | 'fileHits'
  | 'fileMisses'
  | 'bytesServed'
  | 'bytesFetched'
  | 'bytesSaved'
  | 'evictedFiles'
  | 'ahead'
>;

/** `wheelcellar stats`: what is held, what it has saved, and how the running servers fare. */
export const verb: Verb = {
  name: 'stats',
  summary: 'Show what is held, what it saved, and the health of upstreams',
  configure: addJsonFlag,
  run: async ({ io, options, config }) => {
    const settings = config();
    const cacheDir = settings.cache.dir;
    // Looking must not make the folder.
    const isThere = isCacheThere(settings);
    const { folder, servers } = isThere
      ? await look(settings, environmentOf(settings, io))
      : { folder: NOTHING, servers: [] };
    if (options['json'] === true) printJson(io, { cacheDir, ...folder, servers });
    else printReport(io, isThere ? cacheDir : `${cacheDir} (not there yet)`, folder, servers);
    return EXIT.ok;
  },
};

const NOTHING: FolderStatistics = {
  held: { projects: 0, files: 0, bytes: 0 },
  fileHits: 0,
  fileMisses: 0,
  bytesServed: 0,
  bytesFetched: 0,
  bytesSaved: 0,
  evictedFiles: 0,
  ahead: aheadCounts({}),
};

async function look(
  settings: Config,
  env: Environment,
): Promise<{ folder: FolderStatistics; servers: readonly RunningServer[] }> {
  const mirror = await createMirror(settings, env);
  try {
    const all = mirror.statistics();
    const { held, fileHits, fileMisses, bytesServed, bytesFetched, bytesSaved } = all;
    const { evictedFiles, ahead } = all;
    const servers = await Promise.all(atOneAddressEach(mirror.store.runningServers()).map(ask));
    return {
      folder: {
        held,
        fileHits,
        fileMisses,
        bytesServed,
        bytesFetched,
        bytesSaved,
        evictedFiles,
        ahead,
      },
      servers,
    };
  } finally {
    await mirror.close(0);
  }
}

/** Workers share an address and answer for each other. */
function atOneAddressEach<Server extends { origin: string; base: string }>(
  servers: readonly Server[],
): Server[] {
  return [...new Map(servers.map((server) => [server.origin + server.base, server])).values()];
}

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
  own: FolderStatistics,
  servers: readonly RunningServer[],
): void {
  const { files, projects, bytes } = own.held;
  const line = (name: string, value: string): void => printLine(io, `${name.padEnd(9)} ${value}`);
  line('cache', cacheDir);
  line(
    'held',
    `${formatCount(files, 'file')} of ${formatCount(projects, 'project')}, ${formatBytes(bytes)}`,
  );
  line(
    'requests',
    `${formatCount(own.fileHits, 'file')} from the cache, ${own.fileMisses} waited for a fetch`,
  );
  line(
    'served',
    `${formatBytes(own.bytesServed)}, of which ${formatBytes(own.bytesSaved)} did not come from upstream`,
  );
  if (own.ahead.bytes > 0) line('ahead', aheadOf(own.ahead));
  if (own.evictedFiles > 0) line('evicted', formatCount(own.evictedFiles, 'file'));
  if (servers.length === 0) line('servers', 'none is running on this folder');
  for (const { pid, origin, statistics } of servers) {
    const server = `${origin} (process ${pid})`;
    if (statistics === null) line('server', `${server} does not answer`);
    else line('server', `${server}: ${statistics.mode} since ${timeOf(statistics.modeSince)}`);
    for (const upstream of statistics?.upstreams ?? []) line('', healthOf(upstream));
  }
}

/** What was fetched before it was asked for, and what of it nobody has asked for since. */
function aheadOf({ pages, metadata, files, bytes, usedBytes }: AheadCounts): string {
  const fetched = `${formatCount(pages, 'page')}, ${metadata} core metadata, ${formatCount(files, 'file')}`;
  const wasted = bytes - usedBytes;
  const percent = ((wasted / bytes) * 100).toFixed(1);
  return `${fetched} before they were asked for; not asked for since: ${formatBytes(wasted)} (${percent} %)`;
}

function healthOf(upstream: UpstreamHealth): string {
  const { name, state, pageFetches, fileFetches, bytesReceived, failures, lastError } = upstream;
  const fetched = `${formatCount(pageFetches, 'page')}, ${formatCount(fileFetches, 'file')}`;
  const failed =
    failures === 0 ? '' : `, ${formatCount(failures, 'failure')} (last: ${lastError ?? '?'})`;
  return `${name}: ${state}, ${fetched}, ${formatBytes(bytesReceived)}${failed}`;
}

function timeOf(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
