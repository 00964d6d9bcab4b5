/**
 * One index as the rest of the program sees it: pages, files and small documents, each with the
 * proof that it is what was asked for, or an error whose class says what to make of it.
 */
import {
  ConfigurationError,
  InvalidUpstreamAnswerError,
  messageOf,
  NotFoundError,
  NotHeldOfflineError,
  UpstreamUnreachableError,
  WheelcellarError,
} from '../core/errors.ts';
import { redact } from '../core/redact.ts';
import type { ProjectName } from '../packaging/names.ts';
import { readPageInSlices } from '../simple/read-page.ts';
import type {
  FileAnswer,
  FileFacts,
  IndexLayout,
  OpenFileOptions,
  PageAnswer,
  PageValidators,
  SmallAnswer,
  UpstreamStats,
} from './answers.ts';
import { bareUrl, createAsk } from './asking.ts';
import { createCredentials } from './credentials.ts';
import type { Login } from './credentials.ts';
import { FileClient } from './file-client.ts';
import type { FetchSmallOptions } from './file-client.ts';
import { createFileHosts, isOfficialHost, isOfficialIndex, plainHost } from './hosts.ts';
import type { FileHosts } from './hosts.ts';
import { LinksPage } from './links-page.ts';
import { PageClient } from './page-client.ts';
import { projectFilter } from './project-globs.ts';
import { ConnectBreaker, DEFAULT_REACHABILITY_TIMINGS } from './reachability.ts';
import type { Reachability, ReachabilityTimings } from './reachability.ts';
import { RoundTrips } from './round-trips.ts';
import type { UpstreamEnvironment, UpstreamOptions } from './upstream-options.ts';
import type { Transport } from './transport.ts';

export type * from './answers.ts';
export type { FetchSmallOptions } from './file-client.ts';
export type { Reachability } from './reachability.ts';
export { createTransport } from './lazy-transport.ts';
export type { Transport, TransportOptions } from './transport.ts';
export type { UpstreamEnvironment, UpstreamOptions } from './upstream-options.ts';

/** What is known of a page that is asked for. */
export interface FetchPageOptions {
  readonly signal?: AbortSignal;
  /** Ask caches on the way to look again (`Cache-Control: no-cache`). */
  readonly noCache?: boolean;
}

/**
 * One index. Every call that asks it may throw UpstreamUnreachableError (no connection),
 * UpstreamUnavailableError (it fails for now), InvalidUpstreamAnswerError (its answer cannot be used)
 * or NotHeldOfflineError (it must not be asked).
 */
export interface Upstream {
  readonly name: string;
  /** Fit for people: without credentials. */
  readonly url: string;
  readonly layout: IndexLayout;
  /** Whether it is the official index. */
  readonly isOfficial: boolean;
  /** Whether this upstream may be asked for the project. */
  serves(project: ProjectName): boolean;
  readonly reachability: Reachability;
  /** See {@link RoundTrips}: milliseconds, `null` before the first answer. */
  readonly roundTripMs: number | null;
  /** Whether a link to `url` may be followed: scheme, host, port, and the rule on the official index. */
  mayFetch(url: string): boolean;
  /** The project's page. Tries again what may pass. `validators` make the request conditional. */
  fetchPage(
    project: ProjectName,
    validators: PageValidators | null,
    options?: FetchPageOptions,
  ): Promise<PageAnswer>;
  /**
   * Opens a file. Tries nothing again.
   *
   * @throws NotFoundError on 404, 410 and 451
   */
  openFile(url: string, options?: OpenFileOptions): Promise<FileAnswer>;
  /**
   * What is known of a file without its bytes.
   *
   * @throws NotFoundError on 404, 410 and 451
   */
  headFile(url: string, signal?: AbortSignal): Promise<FileFacts>;
  /** A small document in memory, such as legacy JSON, provenance or core metadata. */
  fetchSmall(url: string, options: FetchSmallOptions): Promise<SmallAnswer>;
  /** Opens so many connections to each of its hosts, for requests that are about to come. Returns at once. */
  warm(connections: number): void;
  stats(): UpstreamStats;
  /** Stops what goes on by itself. */
  close(): void;
}

/** Hosts of files to which connections are opened before they are needed. */
const MOST_FILE_ORIGINS = 4;

type Counters = { -readonly [Key in keyof UpstreamStats]: UpstreamStats[Key] };

function indexUrlOf(options: UpstreamOptions): { readonly url: URL; readonly login: Login | null } {
  const parsed = URL.canParse(options.url) ? new URL(options.url) : undefined;
  if (parsed === undefined || !['http:', 'https:'].includes(parsed.protocol)) {
    throw new ConfigurationError([`The URL of upstream ${options.name} is no http or https URL.`]);
  }
  const username = options.username ?? decodeURIComponent(parsed.username);
  const password = options.password ?? decodeURIComponent(parsed.password);
  const login = username === '' && password === '' ? null : { username, password };
  const url = bareUrl(parsed);
  if (options.layout !== 'find-links' && !url.pathname.endsWith('/')) url.pathname += '/';
  return { url, login };
}

class HttpUpstream implements Upstream {
  readonly name: string;
  readonly url: string;
  readonly layout: IndexLayout;
  readonly isOfficial: boolean;
  readonly serves: (project: ProjectName) => boolean;
  readonly reachability: Reachability;
  readonly #indexUrl: URL;
  readonly #isOfficialForbidden: boolean;
  readonly #fileHosts: FileHosts;
  /** Where its files are: allowed by name, or asked for before. */
  readonly #fileOrigins: Set<string>;
  readonly #indexBreaker: ConnectBreaker;
  readonly #breakers = new Map<string, ConnectBreaker>();
  readonly #pages: PageClient;
  readonly #links: LinksPage;
  readonly #files: FileClient;
  readonly #transport: Transport;
  readonly #env: UpstreamEnvironment;
  readonly #timings: ReachabilityTimings;
  readonly #roundTrips = new RoundTrips();
  readonly #counters: Counters = {
    pageFetches: 0,
    pagesNotModified: 0,
    fileFetches: 0,
    smallFetches: 0,
    bytesReceived: 0,
    failures: 0,
    lastError: null,
    lastErrorAt: null,
  };

  constructor(options: UpstreamOptions, transport: Transport, env: UpstreamEnvironment) {
    const { url, login } = indexUrlOf(options);
    this.#indexUrl = url;
    this.#transport = transport;
    this.#env = env;
    this.#timings = { ...DEFAULT_REACHABILITY_TIMINGS, ...options.reachability };
    this.name = options.name;
    this.url = redact(url);
    this.layout = options.layout ?? 'simple';
    this.isOfficial = isOfficialIndex(plainHost(url));
    this.serves = projectFilter(options.projects);
    this.#isOfficialForbidden = options.officialIndex === 'forbidden';
    this.#fileHosts = createFileHosts({ indexUrl: url, fileHosts: options.fileHosts ?? [] });
    this.#fileOrigins = new Set(
      (options.fileHosts ?? [])
        .filter((host) => !host.includes('*'))
        .map((host) => `${url.protocol}//${host}`),
    );
    this.#indexBreaker = this.#breakerFor(url);
    this.reachability = this.#indexBreaker;
    this.#indexBreaker.onSwitch((state) => this.#logSwitch(state));

    const ask = createAsk({
      transport,
      credentials: createCredentials({
        indexUrl: url,
        login,
        netrcPath: options.netrcPath ?? null,
      }),
      maxRedirects: options.maxRedirects ?? 5,
      check: (target) => this.#check(target),
      guard: (target, work) => this.#guard(target, work),
      onAnswered: (ms) => this.#roundTrips.note(ms),
    });
    const onReceived = (bytes: number): void => {
      this.#counters.bytesReceived += bytes;
    };
    const maxExpansion = options.maxExpansion ?? 100;
    this.#pages = new PageClient({
      ask,
      clock: env.clock,
      readPage: options.readPage ?? readPageInSlices,
      layout: this.layout,
      maxPageBytes: options.maxPageBytes ?? 64 * 1024 * 1024,
      maxPageFiles: options.maxPageFiles ?? 500_000,
      maxExpansion,
      retries: options.retries ?? 3,
      retryWithinMs: options.retryWithinMs ?? 15_000,
      pageWithinMs: options.pageWithinMs ?? 60_000,
      headersTimeoutMs: options.headersTimeoutMs ?? transport.headersTimeoutMs,
      onReceived,
    });
    this.#links = new LinksPage({ url, pages: this.#pages, clock: env.clock });
    const onFailure = (error: unknown): void => this.#note(error);
    this.#files = new FileClient({ ask, clock: env.clock, maxExpansion, onReceived, onFailure });
  }

  get roundTripMs(): number | null {
    return this.#roundTrips.typicalMs;
  }

  mayFetch(url: string): boolean {
    if (!URL.canParse(url)) return false;
    const parsed = new URL(url);
    return this.#fileHosts.allows(parsed) && !this.#isForbidden(parsed);
  }

  async fetchPage(
    project: ProjectName,
    validators: PageValidators | null,
    options: FetchPageOptions = {},
  ): Promise<PageAnswer> {
    // A private name must not leak to an index that is not configured for it.
    if (!this.serves(project)) return { kind: 'absent' };
    const { signal, noCache = false } = options;
    this.#counters.pageFetches++;
    const answer = await this.#noting(async () => {
      if (this.layout === 'find-links') {
        return this.#links.pageOf(project, validators, { noCache, signal });
      }
      const url = new URL(`${project}/`, this.#indexUrl);
      const raw = await this.#pages.fetch({ url, validators, noCache, signal, project });
      return raw.kind === 'raw' ? this.#pages.read(raw, project) : raw;
    });
    if (answer.kind === 'not-modified') this.#counters.pagesNotModified++;
    return answer;
  }

  openFile(url: string, options: OpenFileOptions = {}): Promise<FileAnswer> {
    this.#counters.fileFetches++;
    return this.#noting(async () => this.#files.open(this.#noted(this.#parsed(url)), options));
  }

  headFile(url: string, signal?: AbortSignal): Promise<FileFacts> {
    return this.#noting(async () => this.#files.head(this.#parsed(url), signal));
  }

  fetchSmall(url: string, options: FetchSmallOptions): Promise<SmallAnswer> {
    this.#counters.smallFetches++;
    return this.#noting(async () => this.#files.small(this.#parsed(url), options));
  }

  warm(connections: number): void {
    if (this.#indexBreaker.state === 'cut-off') return;
    for (const origin of new Set([this.#indexUrl.origin, ...this.#fileOrigins])) {
      const url = new URL(origin);
      if (this.mayFetch(url.href)) this.#transport.warm(url, connections).catch(() => {});
    }
  }

  stats(): UpstreamStats {
    return { ...this.#counters };
  }

  close(): void {
    for (const breaker of this.#breakers.values()) breaker.close();
  }

  #parsed(url: string): URL {
    if (URL.canParse(url)) return new URL(url);
    throw new InvalidUpstreamAnswerError(`${JSON.stringify(url.slice(0, 200))} is no URL.`);
  }

  #noted(url: URL): URL {
    if (this.#fileOrigins.size < MOST_FILE_ORIGINS && this.#fileHosts.allows(url))
      this.#fileOrigins.add(url.origin);
    return url;
  }

  #isForbidden(url: URL): boolean {
    return this.#isOfficialForbidden && isOfficialHost(plainHost(url));
  }

  #check(url: URL): void {
    if (this.#isForbidden(url)) {
      throw new NotHeldOfflineError(
        `${redact(url)} is not asked: the official index is forbidden.`,
        {
          hint: 'DIB_NO_PYPI_PIP is set; unset it, or use what is cached.',
        },
      );
    }
    if (this.#fileHosts.allows(url)) return;
    throw new InvalidUpstreamAnswerError(
      `${redact(url)} is not a host that upstream ${this.name} may lead to.`,
      { hint: `Add ${url.host} to file_hosts of that upstream if it belongs to it.` },
    );
  }

  /** Breakers are one a host: a file host that is down must not hide an index that is up. */
  #breakerFor(url: URL): ConnectBreaker {
    const present = this.#breakers.get(url.origin);
    if (present !== undefined) return present;
    const breaker = new ConnectBreaker({
      label: redact(url.origin),
      clock: this.#env.clock,
      probe: () => this.#transport.probe(url),
      triesByItself: url.origin === this.#indexUrl.origin,
      timings: this.#timings,
    });
    this.#breakers.set(url.origin, breaker);
    return breaker;
  }

  async #guard<T>(url: URL, work: () => Promise<T>): Promise<T> {
    const breaker = this.#breakerFor(url);
    // While the index is cut off, its file host is hardly there; do not wait for it to fail as well.
    const isCutOff = this.#indexBreaker.state === 'cut-off';
    if (isCutOff && breaker !== this.#indexBreaker) await this.#indexBreaker.tryAgain();
    return breaker.guard(work);
  }

  async #noting<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#note(error);
      throw error;
    }
  }

  /** Counts failures of the upstream: not "not found", not what we forbid, not clients that leave. */
  #note(error: unknown): void {
    const isFailure = error instanceof WheelcellarError;
    if (!isFailure || error instanceof NotFoundError || error instanceof NotHeldOfflineError)
      return;
    this.#counters.failures++;
    this.#counters.lastError = messageOf(error);
    this.#counters.lastErrorAt = this.#env.clock.now();
    const fields = { upstream: this.name, cause: messageOf(error) };
    if (error instanceof UpstreamUnreachableError)
      this.#env.log.debug('upstream not reached', fields);
    else this.#env.log.warn('upstream failed', fields);
  }

  #logSwitch(state: Reachability['state']): void {
    const fields = { upstream: this.name, url: this.url };
    if (state === 'cut-off') this.#env.log.warn('cut off from upstream', fields);
    else this.#env.log.info('upstream reachable again', fields);
  }
}

/**
 * One upstream. Asks nothing by itself, except whether a lost connection is back.
 *
 * @throws ConfigurationError when its URL is none
 */
export function createUpstream(
  options: UpstreamOptions,
  transport: Transport,
  env: UpstreamEnvironment,
): Upstream {
  return new HttpUpstream(options, transport, env);
}
