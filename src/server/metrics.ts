import type { Statistics } from '../repository/statistics.ts';

/** One figure: its name, what it is, its value for each set of labels. */
interface Figure {
  readonly name: string;
  readonly help: string;
  /** `counter`: only ever rises, and its name ends with `_total`. */
  readonly kind: 'counter' | 'gauge';
  readonly values: readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];
}

/** The figures as Prometheus reads them, and their content type. */
export interface MetricsText {
  readonly body: string;
  readonly contentType: string;
}

/** Writes the statistics in the text format of Prometheus. The library is loaded by the first who asks. */
export async function metricsText(statistics: Statistics): Promise<MetricsText> {
  // In the bundle a library of the older module form has no names of its own when it is imported late.
  const { Counter, Gauge, Registry } = (await import('prom-client')).default;
  const registry = new Registry();
  for (const { name, help, kind, values } of figuresOf(statistics)) {
    const labelNames = Object.keys(values[0]?.[0] ?? {});
    const options = { name: `wheelcellar_${name}`, help, labelNames, registers: [registry] };
    const metric = kind === 'counter' ? new Counter(options) : new Gauge(options);
    for (const [labels, value] of values) metric.inc(labels, value);
  }
  return { body: await registry.metrics(), contentType: registry.contentType };
}

function figuresOf(statistics: Statistics): Figure[] {
  const { held, ahead, upstreams } = statistics;
  const counter = (name: string, help: string, value: number): Figure => ({
    name: `${name}_total`,
    help,
    kind: 'counter',
    values: [[{}, value]],
  });
  const gauge = (name: string, help: string, value: number): Figure => ({
    name,
    help,
    kind: 'gauge',
    values: [[{}, value]],
  });
  const ofUpstreams = (
    kind: Figure['kind'],
    name: string,
    help: string,
    pick: (upstream: Statistics['upstreams'][number]) => number,
  ): Figure => ({
    name,
    help,
    kind,
    values: upstreams.map((upstream) => [{ upstream: upstream.name }, pick(upstream)]),
  });
  return [
    gauge('processes', 'Serving processes.', statistics.processes),
    gauge('held_projects', 'Projects of which a file is held.', held.projects),
    gauge('held_files', 'Files that are held.', held.files),
    gauge('held_bytes', 'Bytes of the files that are held.', held.bytes),
    counter('file_hits', 'Files answered from the cache.', statistics.fileHits),
    counter('file_misses', 'Files that waited for a fetch.', statistics.fileMisses),
    counter('served_bytes', 'Bytes of files sent to clients.', statistics.bytesServed),
    counter('fetched_bytes', 'Bytes of files fetched from upstreams.', statistics.bytesFetched),
    counter('evicted_files', 'Files evicted.', statistics.evictedFiles),
    gauge('fills', 'Fetches of files under way.', statistics.fillsUnderWay),
    counter('ahead_pages', 'Pages fetched before a client asked.', ahead.pages),
    counter('ahead_metadata', 'Core metadata fetched before a client asked.', ahead.metadata),
    counter('ahead_files', 'Files fetched before a client asked.', ahead.files),
    counter('ahead_bytes', 'Bytes fetched before a client asked.', ahead.bytes),
    counter('ahead_used_bytes', 'Bytes of these that clients asked for since.', ahead.usedBytes),
    counter('ahead_hits', 'Guesses at what a client takes that were right.', ahead.hits),
    counter('ahead_misses', 'Guesses that were wrong.', ahead.misses),
    ofUpstreams('gauge', 'upstream_up', '0 while the upstream cannot be reached.', ({ state }) =>
      state === 'up' ? 1 : 0,
    ),
    ofUpstreams(
      'counter',
      'upstream_pages_total',
      'Pages asked of the upstream.',
      ({ pageFetches }) => pageFetches,
    ),
    ofUpstreams(
      'counter',
      'upstream_files_total',
      'Files asked of the upstream.',
      ({ fileFetches }) => fileFetches,
    ),
    ofUpstreams(
      'counter',
      'upstream_received_bytes_total',
      'Bytes that came from the upstream.',
      ({ bytesReceived }) => bytesReceived,
    ),
    ofUpstreams(
      'counter',
      'upstream_failures_total',
      'Failures of the upstream.',
      ({ failures }) => failures,
    ),
  ];
}
