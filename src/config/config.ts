/**
 * The settings of one run, checked and complete. Made by `loadConfig` (`load-config.ts`); every layer
 * below the composition root takes plain options of its own instead of this whole.
 */

/** One TCP address to listen on. */
export interface ListenAddress {
  /** Name or address; IPv6 without brackets. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** How an upstream is read: one page per project (PEP 503, PEP 691), or one flat page for all of them. */
export type UpstreamLayout = 'simple' | 'find-links';

/** One index that is asked, in the order of the list. */
export interface UpstreamConfig {
  /** Lower-case letters, digits and `-`; unique. */
  readonly name: string;
  /**
   * Absolute http or https URL without credentials, query or fragment. Ends with `/`, except for a
   * find-links page that is itself a file (`….html`).
   */
  readonly url: string;
  /** `host` or `host:port` beside the index's own, lower-case; `null` means the index's own host only. */
  readonly fileHosts: readonly string[] | null;
  readonly layout: UpstreamLayout;
  /** Globs (`*`, `?`) over normalized project names; `null` means all projects. */
  readonly projects: readonly string[] | null;
  /** Secret when there is no password: some indexes take a token as the user name. */
  readonly username: string | null;
  /** Secret: never printed. */
  readonly password: string | null;
}

/** Where bytes are kept and how many. */
export interface CacheConfig {
  /** Absolute path. */
  readonly dir: string;
  readonly maxSizeBytes: number;
  /** Files unused for longer are dropped; `null` means never. */
  readonly maxAgeMs: number | null;
  /** Free space left to others on the disk. */
  readonly reserveBytes: number;
  /** Memory for rendered pages. */
  readonly memoryBytes: number;
  /** How long a file outlives the page that listed it. */
  readonly graceMs: number;
  /** How fast held files are read again to find damage; `null` means never. */
  readonly scrubBytesPerSecond: number | null;
}

/** Freshness of index pages and which files they list. */
export interface IndexConfig {
  /** Freshness of a page whose upstream names none. */
  readonly ttlMs: number;
  /** How long an unknown project is remembered. */
  readonly negativeTtlMs: number;
  /** Whether yanked files are left out: never, for clients that ignore the mark (setuptools), always. */
  readonly hideYanked: 'never' | 'setuptools' | 'always';
  /** Files without any listed digest: held to what they were at first use, or refused. */
  readonly withoutDigest: 'first-use' | 'refuse';
}

/** How upstreams are asked. */
export interface HttpConfig {
  readonly connectTimeoutMs: number;
  readonly headersTimeoutMs: number;
  /** Longest silence within a body. */
  readonly idleTimeoutMs: number;
  readonly retries: number;
  readonly connectionsPerHost: number;
  /** Absolute path of a PEM file with more certificate authorities. */
  readonly caFile: string | null;
}

/** Whether and how upstreams are asked ahead of clients. */
export interface AheadConfig {
  readonly isEnabled: boolean;
  /** What may be fetched and not be asked for, beyond half of what a client has asked for. */
  readonly creditBytes: number;
  readonly largestFileBytes: number;
}

/** Bounds on what an upstream may answer, and a client ask. */
export interface LimitsConfig {
  /** Decoded size of an index page. */
  readonly pageBytes: number;
  /** Size of a core metadata file. */
  readonly metadataBytes: number;
  readonly redirects: number;
  /** Entries of an index page. */
  readonly pageFiles: number;
  /** Times its length on the wire that a compressed answer may expand to. */
  readonly expansion: number;
  /** Head of an upstream's answer. */
  readonly answerHeaderBytes: number;
  /** Head of a client's request. */
  readonly requestHeaderBytes: number;
  /** Connections of one client address at a time. */
  readonly clientConnections: number;
  /** Ranges of one request that are looked at. */
  readonly ranges: number;
  /** Names no index has that are remembered at a time. */
  readonly unknownNames: number;
}

/** What is logged, and how. */
export interface LogConfig {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** `auto`: text on a terminal, JSON otherwise. */
  readonly format: 'auto' | 'text' | 'json';
}

/** All settings of one run. */
export interface Config {
  readonly listen: readonly ListenAddress[];
  /** Absolute path of a Unix socket to listen on as well. */
  readonly unix: string | null;
  /** Processes that serve. */
  readonly workers: number;
  readonly cache: CacheConfig;
  /** Host names accepted beside the listeners' own; lower-case, without port. */
  readonly allowedHosts: readonly string[];
  /** `/`, or a prefix such as `/pypi` (no `/` at its end). */
  readonly basePath: string;
  /** Path, with `/` at both ends, under which a front finds `mirror/`; `null` sends files from here. */
  readonly accelRedirect: string | null;
  /** Peers whose X-Forwarded-* headers are believed: `loopback`, addresses, CIDR. */
  readonly trustProxy: readonly string[];
  /** No upstream is asked at all. */
  readonly offline: boolean;
  /** What is held is served without asking whether it is fresh. */
  readonly preferOffline: boolean;
  /** `forbidden`: the official index and its file hosts are never contacted. */
  readonly officialIndex: 'allowed' | 'forbidden';
  /** Which page is shown while an upstream cannot be reached: the files held, or the whole stale page. */
  readonly whenUnreachable: 'cached-only' | 'stale';
  readonly index: IndexConfig;
  /** In the order they are asked; the first that has a project wins. */
  readonly upstreams: readonly UpstreamConfig[];
  readonly http: HttpConfig;
  readonly ahead: AheadConfig;
  readonly limits: LimitsConfig;
  readonly log: LogConfig;
}

/** Settings from the command line, as typed: they are checked together with all others. */
export interface PartialFlags {
  /** `host:port`, each. */
  readonly listen?: readonly string[];
  readonly unix?: string;
  readonly cacheDir?: string;
  /** Takes the place of the first upstream's URL. */
  readonly indexUrl?: string;
  /** `NAME=URL`, each; asked after the others. */
  readonly extraIndexes?: readonly string[];
  readonly offline?: boolean;
  readonly preferOffline?: boolean;
  /** `false`: no upstream is asked ahead of clients. */
  readonly ahead?: boolean;
  /** A duration, such as `10m`. */
  readonly indexTtl?: string;
  /** A size, such as `20GB`. */
  readonly maxSize?: string;
  /** A duration, such as `90d`. */
  readonly maxAge?: string;
  /** A number; text when it is none. */
  readonly workers?: number | string;
  readonly basePath?: string;
  readonly trustProxy?: readonly string[];
  readonly logFormat?: string;
  readonly logLevel?: string;
}

/** Everything the settings are made from; nothing is read from the process itself. */
export interface ConfigInput {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags?: PartialFlags;
  /** A configuration file named by the user; it must exist. */
  readonly configFile?: string;
  /** What `~` stands for. */
  readonly homeDir: string;
  /** What relative paths of flags and environment start from; the file's own start from its folder. */
  readonly cwd?: string;
  /** Reads a text file; throws an error with code `ENOENT` when there is none. */
  readonly readFile?: (path: string) => string;
}
