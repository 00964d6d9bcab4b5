import type { Clock } from '../core/clock.ts';
import {
  NotFoundError,
  NotHeldOfflineError,
  UpstreamUnavailableError,
  WheelcellarError,
} from '../core/errors.ts';
import { sleep } from '../core/sleep.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { PageRow } from '../store/catalog.ts';
import type { Store } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { heldProject } from './held-project.ts';
import { PageAges } from './page-ages.ts';
import type { PageRefresher, RefreshOptions } from './page-refresher.ts';
import type { Freshness, RequestContext, ServedProject, Snapshot } from './repository.ts';
import { PageSuccessions } from './page-successions.ts';
import { isCurrent } from './stored-pages.ts';
import type { LoadedPage, StoredPages } from './stored-pages.ts';

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

/**
 * Which page of one upstream is served.
 *
 * Fresh → the stored one. Stale → one revalidation for all askers; who has waited a moment gets the stale
 * page. Failing → stale, however old. Cut off or offline → the index of what is held. Never stored →
 * fetched while the client waits; only a 404 of the upstream becomes a NotFoundError.
 */
export class UpstreamPages {
  readonly #upstream: Upstream;
  readonly #store: Store;
  readonly #refresher: PageRefresher;
  readonly #stored: StoredPages;
  readonly #rules: FreshnessRules;
  readonly #clock: Clock;
  readonly #ages: PageAges;
  readonly #successions: PageSuccessions;
  #slowSince: number | null = null;

  constructor(
    upstream: Upstream,
    store: Store,
    pages: { readonly refresher: PageRefresher; readonly stored: StoredPages },
    rules: FreshnessRules,
    clock: Clock,
  ) {
    this.#upstream = upstream;
    this.#store = store;
    this.#refresher = pages.refresher;
    this.#stored = pages.stored;
    this.#rules = rules;
    this.#clock = clock;
    this.#ages = new PageAges(clock);
    this.#successions = new PageSuccessions(clock);
  }

  /** The upstream's page as it is to be served now. @throws as Repository.projectDetail */
  async snapshot(project: ProjectName, context: RequestContext): Promise<Snapshot> {
    const row = this.#findRow(project);
    if (this.#isForbidden()) return this.#heldSnapshot(project, row, 'forbidden');
    if (!this.mayAsk(context)) return this.#heldSnapshot(project, row, 'offline');
    if (this.#isCutOff()) {
      // One request behind the client's back; the upstream lets only one probe through at a time.
      this.#refresher.refresh(project, row).catch(() => {});
      return this.#heldSnapshot(project, row, 'cut-off');
    }
    if (row === undefined) return await this.#firstSnapshot(project);
    if (this.#isFresh(row) || (this.#rules.preferOffline && !row.absent)) {
      return await this.#storedSnapshot(project, row, 'hit');
    }
    return await this.#revalidated(project, row);
  }

  /** Whether this upstream may be asked at all: not offline, and not the official index while that is forbidden. */
  mayAsk({ networkMode }: Pick<RequestContext, 'networkMode'>): boolean {
    return networkMode !== 'offline' && !this.#isForbidden();
  }

  /** Asks the upstream again, whatever the stored page's age. @throws as the upstream does */
  async refresh(project: ProjectName, options: RefreshOptions = {}): Promise<void> {
    await this.#refresher.refresh(project, this.#findRow(project), options);
  }

  /** When the stored page was last confirmed, epoch milliseconds. */
  checkedAt(project: ProjectName): number | undefined {
    return this.#findRow(project)?.checkedAt;
  }

  /** What is known of the stored page without reading it; `undefined` when there is none. */
  stored(project: ProjectName): { sizeBytes: number; isFresh: boolean } | undefined {
    const row = this.#findRow(project);
    return row === undefined || row.absent
      ? undefined
      : { sizeBytes: row.sizeBytes, isFresh: this.#isFresh(row) };
  }

  /** Whether the stored page says that the project is quarantined (PEP 792). */
  async isQuarantined(project: ProjectName): Promise<boolean> {
    const row = this.#findRow(project);
    if (row === undefined || row.absent) return false;
    return (await this.#stored.load(project, row))?.served.detail.status === 'quarantined';
  }

  async #firstSnapshot(project: ProjectName): Promise<Snapshot> {
    try {
      await this.#refresher.refresh(project, undefined);
    } catch (error) {
      // The very attempt may have shown that we are cut off.
      if (this.#isCutOff()) return this.#heldSnapshot(project, undefined, 'cut-off');
      throw error;
    }
    return await this.#storedSnapshot(project, this.#findRow(project), 'fetched');
  }

  async #revalidated(project: ProjectName, row: PageRow): Promise<Snapshot> {
    if (this.#refresher.msSinceFailure(project) < AFTER_FAILURE_MS) {
      return await this.#storedSnapshot(project, row, 'stale');
    }
    const refresh = this.#refresher.refresh(project, row).then(
      () => 'done' as const,
      () => 'failed' as const,
    );
    // While another revalidation hangs, nobody waits a second moment for the same upstream.
    const patienceMs = this.#slowSince === null ? A_MOMENT_MS : 0;
    const timer = new AbortController();
    const outcome = await Promise.race([
      refresh,
      sleep(patienceMs, timer.signal).then(() => 'slow' as const),
    ]);
    timer.abort();
    if (outcome === 'slow') this.#noteSlow(refresh);
    if (outcome === 'done')
      return await this.#storedSnapshot(project, this.#findRow(project), 'hit');
    if (this.#isCutOff()) return this.#heldSnapshot(project, row, 'cut-off');
    return await this.#storedSnapshot(project, row, 'stale');
  }

  async #storedSnapshot(
    project: ProjectName,
    row: PageRow | undefined,
    status: Freshness['status'],
  ): Promise<Snapshot> {
    if (row === undefined || row.absent) throw this.#unknown(project);
    const known = this.#stored.peek(row) ?? (await this.#load(project, row));
    const holdingsRevision = this.#store.catalog.revisionOf(project);
    const holdings = known.dependsOnHoldings ? `-${holdingsRevision}` : '';
    const withdrawn = known.withdrawn === 0 ? '' : `-w${known.withdrawn}`;
    const freshForMs = status === 'stale' ? 0 : this.#freshForMs(row);
    const revision = `${this.#upstream.name}-${known.bodyDigest}${withdrawn}${holdings}`;
    return {
      revision,
      standIn: this.#successions.standInFor(row, revision, known),
      freshness: { status, detail: this.#upstream.name, freshForMs },
      load: async () =>
        (isCurrent(known, holdingsRevision) ? known : await this.#load(project, row)).served,
    };
  }

  async #load(project: ProjectName, row: PageRow): Promise<LoadedPage> {
    const page = await this.#stored.load(project, row);
    if (page !== undefined) return page;
    // Its file was deleted behind our back: as if it had never been fetched.
    await this.#refresher.refresh(project, undefined);
    const fetched = await this.#stored.load(project, this.#findRow(project) ?? row);
    if (fetched === undefined)
      throw new WheelcellarError(`The stored page of ${project} cannot be read.`);
    return fetched;
  }

  #heldSnapshot(
    project: ProjectName,
    row: PageRow | undefined,
    why: 'offline' | 'cut-off' | 'forbidden',
  ): Snapshot {
    const held = heldProject(this.#store.catalog, project, this.#upstream.name);
    if (held !== undefined) {
      return {
        revision: `held-${this.#upstream.name}-${this.#store.catalog.revisionOf(project)}`,
        // While cut off, every request is a chance to find out that it is over.
        freshness: { status: 'held', detail: why, freshForMs: why === 'cut-off' ? 0 : Infinity },
        load: async () => await this.#withStatus(held, project, row),
      };
    }
    // Without a stored page it has no say about the name, as long as nobody may ask it: what later
    // indexes hold was theirs to give. With one, the name is its own, and none of its files is here.
    const isOwner = row !== undefined && !row.absent;
    if (row?.absent === true || (!isOwner && why !== 'cut-off')) throw this.#unknown(project);
    if (isOwner) {
      throw new NotHeldOfflineError(
        `No file of ${project} is in the cache, and ${this.#upstream.name} is not asked (${why}).`,
        { hint: 'Install it once while online.' },
      );
    }
    throw new UpstreamUnavailableError(
      `${this.#upstream.name} cannot be reached, and nothing of ${project} is stored.`,
    );
  }

  /** Rows know nothing of what the index says about the project as a whole (PEP 792). */
  async #withStatus(
    held: ServedProject,
    project: ProjectName,
    row: PageRow | undefined,
  ): Promise<ServedProject> {
    if (row === undefined || row.absent) return held;
    const known =
      this.#stored.peek(row)?.served.detail ??
      (await this.#store.pages.read(this.#upstream.name, project))?.detail;
    if (known === undefined || known.status === 'active') return held;
    const { status, statusReason } = known;
    return { ...held, detail: { ...held.detail, status, statusReason } };
  }

  #unknown(project: ProjectName): NotFoundError {
    return new NotFoundError(`${this.#upstream.name} has no project ${project}.`);
  }

  #findRow(project: ProjectName): PageRow | undefined {
    return this.#store.catalog.findPage(this.#upstream.name, project, this.#upstream.url);
  }

  #isFresh(row: PageRow): boolean {
    return this.#ages.ageMs(row) < this.#lifetimeMs(row);
  }

  #freshForMs(row: PageRow): number {
    if (this.#rules.preferOffline) return Infinity;
    return Math.max(0, this.#lifetimeMs(row) - this.#ages.ageMs(row));
  }

  #lifetimeMs(row: PageRow): number {
    return row.absent ? this.#rules.negativeTtlMs : (row.maxAgeMs ?? this.#rules.ttlMs);
  }

  #isForbidden(): boolean {
    return !this.#upstream.mayFetch(this.#upstream.url);
  }

  #isCutOff(): boolean {
    return (
      this.#rules.whenUnreachable === 'cached-only' &&
      this.#upstream.reachability.state === 'cut-off'
    );
  }

  #noteSlow(refresh: Promise<unknown>): void {
    const since = (this.#slowSince ??= this.#clock.monotonic());
    void refresh.then(() => {
      if (this.#slowSince === since) this.#slowSince = null;
    });
  }
}
