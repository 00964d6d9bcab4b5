import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import {
  InvalidUpstreamAnswerError,
  NotFoundError,
  NotHeldOfflineError,
  UpstreamUnavailableError,
  WheelcellarError,
  messageOf,
} from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { SingleFlight } from '../core/single-flight.ts';
import { sleep } from '../core/sleep.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { PageRow } from '../store/catalog.ts';
import { mirrorPathOf } from '../store/mirror-path.ts';
import type { Store } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { heldProject } from './held-project.ts';
import type { Freshness, RequestContext, ServedProject, Snapshot } from './repository.ts';

/** How fresh pages must be; milliseconds. */
export interface FreshnessRules {
  /** For pages whose upstream names no max-age. */
  readonly ttlMs: number;
  readonly negativeTtlMs: number;
  /** Serve what is stored without asking whether it is fresh. */
  readonly preferOffline: boolean;
  readonly whenUnreachable: 'cached-only' | 'stale';
}

/** A revalidation that takes longer goes on behind the client's back; it gets the stale page. */
const A_MOMENT_MS = 500;
/** After a failed refresh, the stored page is served without a new try for so long. */
const AFTER_FAILURE_MS = 2_000;
/** A project that its upstream has deleted is kept for so long: the 404 may be a fault. */
const KEEP_MISSING_MS = 24 * 3_600_000;
/** Parsed pages kept for the file requests that follow a page; about so many bytes of JSON. */
const DETAILS_BYTES = 32 * 1024 * 1024;

interface LoadedPage {
  readonly served: ServedProject;
  readonly sizeBytes: number;
  /** Some of its files may not be fetched (host not allowed): what is held then decides what is listed. */
  readonly dependsOnHoldings: boolean;
}

/**
 * The pages of one upstream, kept and confirmed.
 *
 * Fresh → served. Stale → one revalidation for all askers; who has waited a moment gets the stale page.
 * Failing → stale, however old. Cut off or offline → the index of what is held. Never stored → fetched
 * while the client waits; only a 404 of the upstream becomes a NotFoundError.
 */
export class UpstreamPages {
  readonly #upstream: Upstream;
  readonly #store: Store;
  readonly #rules: FreshnessRules;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #refreshes = new SingleFlight<void>();
  readonly #loaded = new LRUCache<string, LoadedPage>({
    maxSize: DETAILS_BYTES,
    sizeCalculation: (page) => Math.max(1, page.sizeBytes),
  });
  readonly #failedAt = new LRUCache<ProjectName, number>({ max: 10_000 });
  #slowSince: number | null = null;

  constructor(upstream: Upstream, store: Store, rules: FreshnessRules, env: { clock: Clock; log: Logger }) {
    this.#upstream = upstream;
    this.#store = store;
    this.#rules = rules;
    this.#clock = env.clock;
    this.#log = env.log;
  }

  /** The upstream's page as it is to be served now. @throws as Repository.projectDetail */
  async snapshot(project: ProjectName, context: RequestContext): Promise<Snapshot> {
    const row = this.#findRow(project);
    if (context.networkMode === 'offline' || !this.#upstream.mayFetch(this.#upstream.url)) {
      return this.#heldSnapshot(project, row, 'offline');
    }
    if (this.#isCutOff()) {
      this.#probe(project, row);
      return this.#heldSnapshot(project, row, 'cut-off');
    }
    if (row === undefined) return await this.#firstSnapshot(project);
    if (this.#isFresh(row) || (this.#rules.preferOffline && !row.absent)) return await this.#stored(project, row, 'hit');
    return await this.#revalidated(project, row);
  }

  /** Asks the upstream again, whatever the stored page's age. @throws as the upstream does */
  async refresh(project: ProjectName): Promise<void> {
    await this.#refresh(project, this.#findRow(project));
  }

  /** When the stored page was last confirmed, epoch milliseconds. */
  checkedAt(project: ProjectName): number | undefined {
    return this.#findRow(project)?.checkedAt;
  }

  // ---- which page -----------------------------------------------------------------------------

  async #firstSnapshot(project: ProjectName): Promise<Snapshot> {
    try {
      await this.#refresh(project, undefined);
    } catch (error) {
      // The very connection attempt may have shown that we are cut off.
      if (this.#isCutOff()) return this.#heldSnapshot(project, undefined, 'cut-off');
      throw error;
    }
    return await this.#stored(project, this.#findRow(project), 'fetched');
  }

  async #revalidated(project: ProjectName, row: PageRow): Promise<Snapshot> {
    const failedAt = this.#failedAt.get(project) ?? -Infinity;
    if (this.#clock.monotonic() - failedAt < AFTER_FAILURE_MS) return await this.#stored(project, row, 'stale');
    const refresh = this.#refresh(project, row).then(
      () => 'done' as const,
      () => 'failed' as const,
    );
    // While another revalidation hangs, nobody waits a second moment for the same upstream.
    const patienceMs = this.#slowSince === null ? A_MOMENT_MS : 0;
    const timer = new AbortController();
    const outcome = await Promise.race([refresh, sleep(patienceMs, timer.signal).then(() => 'slow' as const)]);
    timer.abort();
    if (outcome === 'slow') this.#noteSlow(refresh);
    if (outcome === 'done') return await this.#stored(project, this.#findRow(project), 'hit');
    if (this.#isCutOff()) return this.#heldSnapshot(project, row, 'cut-off');
    return await this.#stored(project, row, 'stale');
  }

  async #stored(project: ProjectName, row: PageRow | undefined, status: Freshness['status']): Promise<Snapshot> {
    if (row === undefined || row.absent) throw this.#unknown(project);
    const freshness = { status, detail: this.#upstream.name };
    const load = (): Promise<LoadedPage> => this.#load(project, row);
    const known = this.#loaded.get(detailKey(row)) ?? (await load());
    const holdings = known.dependsOnHoldings ? `-${this.#store.catalog.revisionOf(project)}` : '';
    return {
      revision: `${this.#upstream.name}-${row.bodyDigest}${holdings}`,
      freshness,
      load: async () => (await load()).served,
    };
  }

  #heldSnapshot(project: ProjectName, row: PageRow | undefined, why: 'offline' | 'cut-off'): Snapshot {
    const held = heldProject(this.#store.catalog, project, this.#upstream.name);
    if (held !== undefined) {
      return {
        revision: `held-${this.#upstream.name}-${this.#store.catalog.revisionOf(project)}`,
        freshness: { status: 'held', detail: why },
        load: async () => held,
      };
    }
    if (row?.absent === true) throw this.#unknown(project);
    if (why === 'offline' || row !== undefined) {
      throw new NotHeldOfflineError(`No file of ${project} is in the cache, and ${this.#upstream.name} is not asked (${why}).`, {
        hint: `Install it once while online, or ask for it ahead of time.`,
      });
    }
    throw new UpstreamUnavailableError(`${this.#upstream.name} cannot be reached, and nothing of ${project} is stored.`);
  }

  #unknown(project: ProjectName): NotFoundError {
    return new NotFoundError(`${this.#upstream.name} has no project ${project}.`);
  }

  #findRow(project: ProjectName): PageRow | undefined {
    return this.#store.catalog.findPage(this.#upstream.name, project, this.#upstream.url);
  }

  #isFresh(row: PageRow): boolean {
    const age = this.#clock.now() - row.checkedAt;
    const lifetime = row.absent ? this.#rules.negativeTtlMs : (row.maxAgeMs ?? this.#rules.ttlMs);
    return age >= 0 && age < lifetime;
  }

  // ---- asking the upstream ----------------------------------------------------------------------

  #isCutOff(): boolean {
    return this.#rules.whenUnreachable === 'cached-only' && this.#upstream.reachability.state === 'cut-off';
  }

  /** One request behind the client's back; the reachability lets only one through at a time. */
  #probe(project: ProjectName, row: PageRow | undefined): void {
    this.#refresh(project, row).catch(() => {});
  }

  #noteSlow(refresh: Promise<unknown>): void {
    const since = (this.#slowSince ??= this.#clock.monotonic());
    void refresh.then(() => {
      if (this.#slowSince === since) this.#slowSince = null;
    });
  }

  #refresh(project: ProjectName, row: PageRow | undefined): Promise<void> {
    return this.#refreshes.run(project, async () => {
      try {
        await this.#ask(project, row);
        this.#failedAt.delete(project);
      } catch (error) {
        this.#failedAt.set(project, this.#clock.monotonic());
        if (row !== undefined) {
          this.#log.debug('page not refreshed', { project, upstream: this.#upstream.name, reason: messageOf(error) });
        }
        throw error;
      }
    });
  }

  async #ask(project: ProjectName, row: PageRow | undefined): Promise<void> {
    const validators = row === undefined || row.absent ? null : { etag: row.etag, lastModified: row.lastModified };
    const answer = await this.#upstream.fetchPage(project, validators);
    const { catalog } = this.#store;
    if (answer.kind === 'not-modified') {
      await catalog.confirmPage(this.#upstream.name, project, answer.maxAgeMs);
      return;
    }
    if (answer.kind === 'absent') return await this.#putAbsent(project, row);
    if (!answer.looksLikeIndex && row !== undefined && !row.absent) {
      throw new InvalidUpstreamAnswerError(`What ${this.#upstream.name} answered for ${project} is no index page.`);
    }
    if (row !== undefined && !row.absent && row.bodyDigest === answer.bodyDigest && row.etag === answer.etag) {
      await catalog.confirmPage(this.#upstream.name, project, answer.maxAgeMs);
      return;
    }
    await this.#putPage(project, answer);
  }

  async #putPage(
    project: ProjectName,
    answer: Extract<Awaited<ReturnType<Upstream['fetchPage']>>, { kind: 'page' }>,
  ): Promise<void> {
    const at = this.#clock.now();
    const { bodyDigest, detail } = answer;
    const sizeBytes = await this.#store.pages.write(this.#upstream.name, project, {
      format: 1,
      indexUrl: this.#upstream.url,
      bodyDigest,
      fetchedAt: at,
      detail,
    });
    await this.#store.catalog.putPage(
      {
        upstream: this.#upstream.name,
        project,
        indexUrl: this.#upstream.url,
        absent: false,
        etag: answer.etag,
        lastModified: answer.lastModified,
        bodyDigest,
        lastSerial: answer.lastSerial,
        sizeBytes,
        fetchedAt: at,
        checkedAt: at,
        maxAgeMs: answer.maxAgeMs,
        missingSince: null,
      },
      // A quarantined project offers nothing, held files included (PEP 792).
      { files: detail.status === 'quarantined' ? [] : detail.files, pathOf: (file) => this.#pathOf(file) ?? '' },
    );
    if (Object.keys(answer.dropped).length > 0) {
      this.#log.debug('entries of a page were left out', { project, upstream: this.#upstream.name, ...answer.dropped });
    }
  }

  async #putAbsent(project: ProjectName, row: PageRow | undefined): Promise<void> {
    const at = this.#clock.now();
    const missingSince = row?.missingSince ?? at;
    const isKept = row !== undefined && !row.absent && at - missingSince < KEEP_MISSING_MS;
    if (isKept && row.missingSince === null) {
      this.#log.warn('the upstream no longer has a project; its page is kept for 24 hours', {
        project,
        upstream: this.#upstream.name,
      });
    }
    const base = isKept
      ? row
      : { etag: null, lastModified: null, bodyDigest: '', lastSerial: null, sizeBytes: 0, fetchedAt: at };
    await this.#store.catalog.putPage(
      {
        ...base,
        upstream: this.#upstream.name,
        project,
        indexUrl: this.#upstream.url,
        absent: !isKept,
        checkedAt: at,
        maxAgeMs: null,
        missingSince: isKept ? missingSince : null,
      },
      isKept ? null : { files: [], pathOf: () => '' },
    );
  }

  // ---- reading a stored page ----------------------------------------------------------------------

  async #load(project: ProjectName, row: PageRow): Promise<LoadedPage> {
    const key = detailKey(row);
    const present = this.#loaded.get(key);
    if (present !== undefined && !present.dependsOnHoldings) return present;
    let stored = await this.#store.pages.read(this.#upstream.name, project);
    if (stored === undefined) {
      // Deleted behind our back: as if it had never been fetched.
      await this.#refresh(project, undefined);
      stored = await this.#store.pages.read(this.#upstream.name, project);
      if (stored === undefined) throw new WheelcellarError(`The stored page of ${project} cannot be read.`);
    }
    const paths = new Map<DistributionFile, string>();
    let dependsOnHoldings = false;
    for (const file of stored.detail.files) {
      const path = this.#pathOf(file);
      if (path === undefined) continue;
      if (!this.#upstream.mayFetch(file.url)) {
        dependsOnHoldings = true;
        if (this.#store.catalog.findFile(this.#upstream.name, path) === undefined) continue;
      }
      paths.set(file, path);
    }
    const page: LoadedPage = {
      served: {
        detail: { ...stored.detail, files: [...paths.keys()] },
        pathOf: (file) => paths.get(file) ?? '',
      },
      sizeBytes: row.sizeBytes,
      dependsOnHoldings,
    };
    this.#loaded.set(key, page);
    return page;
  }

  #pathOf(file: DistributionFile): string | undefined {
    return mirrorPathOf(this.#upstream.name, this.#upstream.url, file.url);
  }
}

function detailKey(row: PageRow): string {
  return `${row.project} ${row.bodyDigest}`;
}
