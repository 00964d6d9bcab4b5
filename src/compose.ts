/**
 * The only place where the program is put together; read it as a table of contents.
 *
 * A request enters at `server/`, asks the chain of repositories, which answers from `store/` (the disk) or
 * `upstream/` (the network). From the outside in:
 *
 *     rendered pages → adopted files → priority( local, cached(upstream A), cached(upstream B) … )
 *
 * Rendering is outermost, so that a page is written once for all who ask. Adopted files are merged into
 * whatever index answered. Priority decides which index owns a name, and asks the next one only after a
 * definite "not there". Each cached upstream decides about freshness by itself.
 */
import type { Config, UpstreamConfig } from './config/config.ts';
import type { Clock } from './core/clock.ts';
import type { Logger } from './core/logger.ts';
import { openStore } from './open-store.ts';
import type { ProjectName } from './packaging/names.ts';
import { Ahead } from './repository/ahead/ahead.ts';
import type { AskedListener } from './repository/ahead/ahead.ts';
import { AheadIndex } from './repository/ahead/ahead-index.ts';
import { Ledger } from './repository/ahead/ledger.ts';
import { AdoptedRepository, LocalRepository } from './repository/local-repository.ts';
import { CachedRepository } from './repository/cached-repository.ts';
import { LegacyDocuments } from './repository/legacy-documents.ts';
import { ProvenanceSource } from './repository/provenance.ts';
import { PriorityRepository } from './repository/priority-repository.ts';
import {
  RenderedPages,
  renderStaticProject,
  renderStaticRoot,
} from './repository/rendered-pages.ts';
import type { Repository } from './repository/repository.ts';
import { fetchAgain } from './repository/fetch-again.ts';
import { refreshProject } from './repository/refresh-project.ts';
import type { RefreshedProject } from './repository/refresh-project.ts';
import { collectStats } from './repository/statistics.ts';
import type { Statistics } from './repository/statistics.ts';
import { HotFiles } from './repository/hot-files.ts';
import { HotPages } from './repository/hot-pages.ts';
import { createApp } from './server/app.ts';
import { BufferPool } from './server/buffer-pool.ts';
import { FastDoor } from './server/fast-door.ts';
import type { FileHeads, HotAnswer } from './server/fast-door.ts';
import { startHttpServer } from './server/http-server.ts';
import type { HttpServer } from './server/http-server.ts';
import { LOCAL_UPSTREAM } from './store/layout.ts';
import { Scrub } from './store/verify/scrub.ts';
import type { Store } from './store/store.ts';
import { createTransport, createUpstream } from './upstream/upstream.ts';
import type { Transport, Upstream } from './upstream/upstream.ts';

/** All that differs between a run and a test. */
export interface Environment {
  readonly clock: Clock;
  readonly log: Logger;
  /** Proxy, certificate and netrc variables; nothing else is read from it. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly version: string;
}

/** An assembled mirror, without a server in front. */
export interface Mirror {
  readonly store: Store;
  readonly upstreams: readonly Upstream[];
  readonly transport: Transport;
  readonly repository: Repository;
  readonly pages: RenderedPages;
  statistics(): Statistics;
  /** Looks for damage while a server runs; `null` when it must not. */
  readonly scrub: Scrub | null;
  /** Asks upstreams ahead of clients; `null` when it must not. */
  readonly ahead: Ahead | null;
  /** See {@link refreshProject}. */
  refresh(project: ProjectName, force: boolean): Promise<RefreshedProject>;
  /** Fills get `graceMs` to finish; the others are left resumable. */
  close(graceMs: number): Promise<void>;
}

/** The share of an upstream's connections that asking ahead may take; the rest is for clients that wait. */
const AHEAD_SHARE = 2 / 3;

/** Opens the cache folder and joins the chain. @throws StorageError, ConfigurationError */
export async function createMirror(config: Config, env: Environment): Promise<Mirror> {
  const store = await openStore(config, env);
  const transport = createTransport({
    connectTimeoutMs: config.http.connectTimeoutMs,
    headersTimeoutMs: config.http.headersTimeoutMs,
    idleTimeoutMs: config.http.idleTimeoutMs,
    connectionsPerHost: config.http.connectionsPerHost,
    caFile: config.http.caFile,
    environment: env.variables,
    offline: config.offline,
    maxHeaderBytes: config.limits.answerHeaderBytes,
    userAgent: `wheelcellar/${env.version}`,
    log: env.log,
  });
  const upstreams = config.upstreams.map((upstream) =>
    openUpstream(upstream, config, transport, env),
  );
  const rules = {
    ttlMs: config.index.ttlMs,
    negativeTtlMs: config.index.negativeTtlMs,
    preferOffline: config.preferOffline,
    whenUnreachable: config.whenUnreachable,
    maxMetadataBytes: config.limits.metadataBytes,
    maxPageBytes: config.limits.pageBytes,
    withoutDigest: config.index.withoutDigest,
  };
  const members = new Map<string, Repository>([[LOCAL_UPSTREAM, new LocalRepository(store)]]);
  const caches = upstreams.map((upstream) => new CachedRepository(upstream, store, rules, env));
  for (const cache of caches) members.set(cache.name, cache);
  const repository = new AdoptedRepository(new PriorityRepository(members), store);
  const pages = new RenderedPages(repository, config.cache.memoryBytes / 2);
  store.publishWith({
    project: (project) => renderStaticProject(repository, project),
    root: renderStaticRoot,
  });
  const ahead = aheadOf(caches, repository, store, config, env);
  const scrub = scrubOf(store, repository, config, env);
  const startedAt = env.clock.now();
  return {
    store,
    upstreams,
    transport,
    repository,
    pages,
    scrub,
    ahead,
    statistics: () =>
      collectStats({
        store,
        upstreams,
        transport,
        offline: config.offline,
        startedAt,
        clock: env.clock,
      }),
    refresh: (project, force) => refreshProject(caches, store, project, force),
    close: async (graceMs) => {
      ahead?.close();
      await scrub?.close();
      await store.close(graceMs);
      for (const upstream of upstreams) upstream.close();
      await transport.close();
    },
  };
}

/** The same mirror seen through another repository, which wraps its own; closing it closes both. */
export function mirrorThrough(mirror: Mirror, repository: Repository, config: Config): Mirror {
  return {
    ...mirror,
    repository,
    // It would look past that repository.
    ahead: null,
    pages: new RenderedPages(repository, config.cache.memoryBytes / 2),
  };
}

/** After a start, who asks for what is held comes first. */
const PREPARE_AFTER_MS = 100;

/** How a server is unlike a plain one. */
export interface ServingOptions {
  /** The numbers of all workers together; by default the mirror's own. */
  readonly statistics?: () => Promise<Statistics>;
  /** Hears what clients ask for; by default the mirror's own part that asks ahead of them. */
  readonly onAsked?: AskedListener;
  /** Every request takes the long way, for tests: the answers are the same. */
  readonly withoutFastDoor?: boolean;
  /** Other verbs are not told of it: it serves what this process has started, and ends with that. */
  readonly isPrivate?: boolean;
}

/** Puts the HTTP side in front of a mirror and starts its background work. @throws ConfigurationError */
export async function serveMirror(
  mirror: Mirror,
  config: Config,
  env: Environment,
  options: ServingOptions = {},
): Promise<HttpServer> {
  let isReady = true;
  const { catalog } = mirror.store;
  const hotPages = new HotPages<HotAnswer>({
    memoryBytes: config.cache.memoryBytes / 4,
    clock: env.clock,
  });
  const hotFiles = new HotFiles<FileHeads>({
    store: mirror.store,
    memoryBytes: config.cache.memoryBytes / 4,
    ...env,
  });
  catalog.onChange((project) => {
    hotPages.changed(project);
    hotFiles.changed(project);
  });
  catalog.onReplaced(() => hotPages.clear());
  for (const upstream of mirror.upstreams) upstream.reachability.onSwitch(() => hotPages.clear());
  const buffers = new BufferPool();
  const onFileServed = (origin: 'hit' | 'miss', sentBytes: number): void => {
    catalog.count(origin === 'hit' ? 'file_hits' : 'file_misses');
    catalog.count('bytes_served', sentBytes);
  };
  const fastDoor = new FastDoor({
    pages: hotPages,
    files: hotFiles,
    dependsOnUserAgent: config.index.hideYanked === 'setuptools',
    buffers,
    log: env.log,
    onFileServed,
  });
  const front = options.withoutFastDoor === true ? {} : { fastDoor };
  const app = createApp({
    pages: mirror.pages,
    ...front,
    buffers,
    accelRedirect: config.accelRedirect,
    repository: mirror.repository,
    legacy: new LegacyDocuments(mirror.repository),
    provenance: new ProvenanceSource(mirror.repository, mirror.upstreams),
    trustProxy: config.trustProxy,
    basePath: config.basePath,
    networkMode: config.offline ? 'offline' : 'normal',
    hideYanked: config.index.hideYanked,
    log: env.log,
    stats: options.statistics ?? (() => mirror.statistics()),
    isReady: () => isReady,
    onFileServed,
    ...listeningTo(mirror, options),
  });
  const server = await startHttpServer(
    {
      listen: config.listen,
      unix: config.unix,
      allowedHosts: config.allowedHosts,
      trustProxy: config.trustProxy,
      log: env.log,
      ...front,
      maxHeadBytes: config.limits.requestHeaderBytes,
      connectionsPerClient: config.limits.clientConnections,
      maxRanges: config.limits.ranges,
    },
    app,
  );
  mirror.store.startBackground();
  mirror.scrub?.start();
  // Loading the HTTP client holds up everything else for a moment: not the first answers.
  setTimeout(() => void mirror.transport.prepare(), PREPARE_AFTER_MS).unref();
  const [origin] = server.origins;
  if (origin !== undefined && options.isPrivate !== true)
    await mirror.store.announce(origin, config.basePath === '/' ? '' : config.basePath);
  return {
    origins: server.origins,
    close: async (graceMs) => {
      isReady = false;
      await server.close(graceMs);
    },
  };
}

/** Verbs that serve for themselves ask for what they need, and no more. */
function listeningTo(
  { ahead }: Mirror,
  { onAsked, isPrivate }: ServingOptions,
): { readonly onAsked?: AskedListener } {
  if (ahead === null || isPrivate === true) return {};
  return { onAsked: onAsked ?? ((client, asked) => ahead.noticed(client, asked)) };
}

/**
 * Ends a server and its mirror. Answers under way and fills get `graceMs`, both at once: a client that
 * waits for a fill ends with it. The store closes last, since a request that was accepted may need it.
 */
export async function stopServing(
  server: HttpServer,
  mirror: Mirror,
  graceMs: number,
): Promise<void> {
  mirror.ahead?.close();
  await Promise.all([server.close(graceMs), mirror.store.fills.stop(graceMs)]);
  await mirror.close(0);
}

function aheadOf(
  caches: readonly CachedRepository[],
  repository: Repository,
  store: Store,
  config: Config,
  env: Environment,
): Ahead | null {
  if (!config.ahead.isEnabled || config.offline) return null;
  return new Ahead({
    index: new AheadIndex(caches, repository, store.catalog),
    learned: store.catalog.dependencies,
    ledger: new Ledger(store.catalog),
    clock: env.clock,
    allowance: config.ahead,
    lanes: Math.ceil(config.http.connectionsPerHost * AHEAD_SHARE),
  });
}

function scrubOf(
  store: Store,
  repository: Repository,
  { cache, offline }: Config,
  env: Environment,
): Scrub | null {
  if (cache.scrubBytesPerSecond === null) return null;
  return new Scrub(
    store,
    { bytesPerSecond: cache.scrubBytesPerSecond },
    {
      clock: env.clock,
      log: env.log,
      onDamaged: async (files) => {
        if (offline) return;
        const paths = files.map(({ path }) => path);
        await fetchAgain(repository, paths, new AbortController().signal);
      },
    },
  );
}

function openUpstream(
  upstream: UpstreamConfig,
  config: Config,
  transport: Transport,
  env: Environment,
): Upstream {
  return createUpstream(
    {
      name: upstream.name,
      url: upstream.url,
      layout: upstream.layout,
      ...(upstream.projects === null ? {} : { projects: upstream.projects }),
      ...(upstream.fileHosts === null ? {} : { fileHosts: upstream.fileHosts }),
      ...(upstream.username === null ? {} : { username: upstream.username }),
      ...(upstream.password === null ? {} : { password: upstream.password }),
      netrcPath: env.variables['NETRC'] ?? `${env.homeDir}/.netrc`,
      officialIndex: config.officialIndex,
      retries: config.http.retries,
      maxPageBytes: config.limits.pageBytes,
      maxRedirects: config.limits.redirects,
      maxPageFiles: config.limits.pageFiles,
      maxExpansion: config.limits.expansion,
      headersTimeoutMs: config.http.headersTimeoutMs,
    },
    transport,
    env,
  );
}
