import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { IndexLayout, PageReader } from './answers.ts';
import type { ReachabilityTimings } from './reachability.ts';

/** How to ask one index. */
export interface UpstreamOptions {
  /** Short name for people, paths and logs. */
  readonly name: string;
  /** The index URL, or the page of a find-links upstream. May hold a user and password. */
  readonly url: string;
  /** Default `simple`. */
  readonly layout?: IndexLayout;
  /** Globs of the only projects this upstream is asked for; absent: all. */
  readonly projects?: readonly string[];
  /** Hosts beside its own that its pages may lead to: `host`, `host:port`, `*.domain` or `*`. */
  readonly fileHosts?: readonly string[];
  readonly username?: string;
  readonly password?: string;
  /** Read once, at the first request; absent or `null`: none. */
  readonly netrcPath?: string | null;
  /** `forbidden`: the official index and its file host are never contacted. Default `allowed`. */
  readonly officialIndex?: 'allowed' | 'forbidden';
  /** Attempts after the first, for pages; default 3. */
  readonly retries?: number;
  /** Decoded; default 64 MB. */
  readonly maxPageBytes?: number;
  /** Default 5. */
  readonly maxRedirects?: number;
  /** Entries of a page, those that are left out included; default 500,000. */
  readonly maxPageFiles?: number;
  /** Times its length on the wire that a compressed answer may expand to; default 100. */
  readonly maxExpansion?: number;
  /** No attempt at a page begins later than this; default 15 s. */
  readonly retryWithinMs?: number;
  /** A page is given up after this; default 60 s. */
  readonly pageWithinMs?: number;
  /** For the headers of a page, when it is to be another than the transport's. */
  readonly headersTimeoutMs?: number;
  readonly reachability?: Partial<ReachabilityTimings>;
  /** How pages are understood; by default as the Simple API's readers do. */
  readonly readPage?: PageReader;
}

/** What an upstream needs of its surroundings. */
export interface UpstreamEnvironment {
  readonly clock: Clock;
  readonly log: Logger;
}
