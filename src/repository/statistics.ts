import type { Clock } from '../core/clock.ts';
import { aheadCounts } from './ahead/ledger.ts';
import type { AheadCounts } from './ahead/ledger.ts';
import type { Store } from '../store/store.ts';
import type { Transport, Upstream } from '../upstream/upstream.ts';

/** One upstream, as `stats` shows it. */
export interface UpstreamHealth {
  readonly name: string;
  readonly url: string;
  readonly state: 'up' | 'cut-off';
  /** Epoch milliseconds. */
  readonly since: number;
  readonly pageFetches: number;
  readonly fileFetches: number;
  readonly bytesReceived: number;
  readonly failures: number;
  readonly lastError: string | null;
}

/** The numbers of a server (one process, or its workers together) and of the cache folder it works on. */
export interface Statistics {
  /** `offline`: by choice; `cut-off`: no upstream can be reached; `online` otherwise. */
  readonly mode: 'online' | 'offline' | 'cut-off';
  /** Since when, epoch milliseconds. */
  readonly modeSince: number;
  readonly startedAt: number;
  /** Serving processes that these numbers are of. */
  readonly processes: number;
  readonly held: { readonly projects: number; readonly files: number; readonly bytes: number };
  /** Of all processes since the catalog was made. */
  readonly fileHits: number;
  readonly fileMisses: number;
  readonly bytesServed: number;
  readonly bytesFetched: number;
  /** What the upstreams did not have to send. */
  readonly bytesSaved: number;
  readonly evictedFiles: number;
  /** What upstreams were asked for ahead of clients. */
  readonly ahead: AheadCounts;
  readonly fillsUnderWay: number;
  readonly connectionsOpened: number;
  readonly upstreams: readonly UpstreamHealth[];
}

/** Where the figures come from. */
export interface StatisticsSources {
  readonly store: Store;
  readonly upstreams: readonly Upstream[];
  readonly transport: Pick<Transport, 'connectionsOpened'>;
  readonly offline: boolean;
  readonly startedAt: number;
  readonly clock: Clock;
}

/** Gathers the numbers; costs a few SQL sums. */
export function collectStats(sources: StatisticsSources): Statistics {
  const { store, upstreams } = sources;
  const counters = store.catalog.counters();
  const count = (name: string): number => counters[name] ?? 0;
  const cutOff = upstreams.filter((upstream) => upstream.reachability.state === 'cut-off');
  const isCutOff = upstreams.length > 0 && cutOff.length === upstreams.length;
  return {
    mode: sources.offline ? 'offline' : isCutOff ? 'cut-off' : 'online',
    modeSince: sources.offline
      ? sources.startedAt
      : Math.max(sources.startedAt, ...upstreams.map((upstream) => upstream.reachability.since)),
    startedAt: sources.startedAt,
    processes: 1,
    held: store.catalog.heldCounts(),
    fileHits: count('file_hits'),
    fileMisses: count('file_misses'),
    bytesServed: count('bytes_served'),
    bytesFetched: count('bytes_fetched'),
    bytesSaved: Math.max(0, count('bytes_served') - count('bytes_fetched')),
    evictedFiles: count('evicted_files'),
    ahead: aheadCounts(counters),
    fillsUnderWay: store.fills.size,
    connectionsOpened: sources.transport.connectionsOpened,
    upstreams: upstreams.map((upstream) => {
      const { pageFetches, fileFetches, bytesReceived, failures, lastError } = upstream.stats();
      return {
        name: upstream.name,
        url: upstream.url,
        state: upstream.reachability.state,
        since: upstream.reachability.since,
        pageFetches,
        fileFetches,
        bytesReceived,
        failures,
        lastError,
      };
    }),
  };
}

/**
 * What several processes on one cache folder count together. What is counted in the catalog is the same
 * in all of them.
 *
 * @param all of at least one process
 */
export function sumStatistics(all: readonly Statistics[]): Statistics {
  const [first] = all;
  if (first === undefined) throw new RangeError('There are no statistics to add up.');
  const total = (pick: (each: Statistics) => number): number => sumOf(all, pick);
  const worst = all.find((each) => each.mode === 'cut-off') ?? first;
  return {
    ...first,
    mode: worst.mode,
    modeSince: worst.modeSince,
    startedAt: Math.min(...all.map((each) => each.startedAt)),
    processes: total((each) => each.processes),
    fillsUnderWay: total((each) => each.fillsUnderWay),
    connectionsOpened: total((each) => each.connectionsOpened),
    upstreams: first.upstreams.map((upstream, at) =>
      sumHealth(
        upstream,
        all.flatMap((each) => each.upstreams[at] ?? []),
      ),
    ),
  };
}

function sumHealth(first: UpstreamHealth, all: readonly UpstreamHealth[]): UpstreamHealth {
  const total = (pick: (each: UpstreamHealth) => number): number => sumOf(all, pick);
  const worst = all.find((each) => each.state === 'cut-off') ?? first;
  return {
    ...first,
    state: worst.state,
    since: worst.since,
    pageFetches: total((each) => each.pageFetches),
    fileFetches: total((each) => each.fileFetches),
    bytesReceived: total((each) => each.bytesReceived),
    failures: total((each) => each.failures),
    lastError: all.find((each) => each.lastError !== null)?.lastError ?? null,
  };
}

function sumOf<Each>(all: readonly Each[], pick: (each: Each) => number): number {
  return all.reduce((sum, each) => sum + pick(each), 0);
}
