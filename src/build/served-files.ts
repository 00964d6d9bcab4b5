/** What a mirror did for a build: the difference between its counters after and before. */

/** The counters of a cache folder, as its statistics have them. */
export interface ServingCounters {
  /** Files served from the cache. */
  readonly fileHits: number;
  /** Files that upstream had to be asked for. */
  readonly fileMisses: number;
  readonly bytesServed: number;
  readonly bytesFetched: number;
}

/** What was served to a build. */
export interface ServedFiles extends ServingCounters {
  /** Bytes that were served and did not come from upstream for it. */
  readonly bytesSaved: number;
}

/** What was served between two looks at the counters. */
export function servedBetween(before: ServingCounters, after: ServingCounters): ServedFiles {
  const bytesServed = after.bytesServed - before.bytesServed;
  const bytesFetched = after.bytesFetched - before.bytesFetched;
  return {
    fileHits: after.fileHits - before.fileHits,
    fileMisses: after.fileMisses - before.fileMisses,
    bytesServed,
    bytesFetched,
    // A file fetched ahead of its use may have been counted before.
    bytesSaved: Math.max(0, bytesServed - bytesFetched),
  };
}
