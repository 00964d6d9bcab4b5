import type { Clock } from '../core/clock.ts';
import { NotFoundError, NotHeldOfflineError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { ProjectList } from '../simple/model.ts';
import type { PageRow } from '../store/catalog.ts';
import type { Store } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { FileSource, Repository, RequestContext, Snapshot } from './repository.ts';
import { PageRefresher } from './page-refresher.ts';
import { StoredPages } from './stored-pages.ts';
import { UpstreamFiles } from './upstream-files.ts';
import type { FileRules } from './upstream-files.ts';
import { UpstreamPages } from './upstream-pages.ts';
import type { FreshnessRules } from './upstream-pages.ts';

/** Rules of one upstream's cache. */
export interface CachedRepositoryOptions extends FreshnessRules, FileRules {
  /** Upper bound for an index page or legacy JSON document, decoded, in bytes. */
  readonly maxPageBytes: number;
}

/** One upstream, through the cache. */
export class CachedRepository implements Repository {
  /** Of the upstream. */
  readonly name: string;
  readonly #upstream: Upstream;
  readonly #store: Store;
  readonly #pages: UpstreamPages;
  readonly #files: UpstreamFiles;
  readonly #refresher: PageRefresher;

  constructor(
    upstream: Upstream,
    store: Store,
    options: CachedRepositoryOptions,
    env: { readonly clock: Clock; readonly log: Logger },
  ) {
    this.name = upstream.name;
    this.#upstream = upstream;
    this.#store = store;
    const stored = new StoredPages(upstream, store);
    const refresher = new PageRefresher(upstream, store, stored, options.maxPageBytes, env);
    this.#refresher = refresher;
    this.#pages = new UpstreamPages(upstream, store, { refresher, stored }, options, env.clock);
    this.#files = new UpstreamFiles(upstream, store, this.#pages, options, env);
  }

  async projectList(): Promise<ProjectList> {
    return { projects: this.#store.catalog.heldProjects() };
  }

  async projectDetail(project: ProjectName, context: RequestContext): Promise<Snapshot> {
    if (!this.#upstream.serves(project)) {
      throw new NotFoundError(`${this.#upstream.name} is not asked for ${project}.`);
    }
    return await this.#pages.snapshot(project, context);
  }

  async file(path: string, context: RequestContext): Promise<FileSource> {
    return await this.#files.file(path, context);
  }

  /** Of the upstream's index. */
  get url(): string {
    return this.#upstream.url;
  }

  /** Milliseconds to the head of the upstream's answers, `null` before the first; Infinity while it may not be asked. */
  get roundTripMs(): number | null {
    const mayAsk = this.#pages.mayAsk({ networkMode: 'normal' });
    if (!mayAsk || this.#upstream.reachability.state === 'cut-off') return Infinity;
    return this.#upstream.roundTripMs;
  }

  /** Length of the stored page in bytes, and whether it needs no confirmation; `undefined` without one. */
  storedPage(project: ProjectName): { sizeBytes: number; isFresh: boolean } | undefined {
    return this.#pages.stored(project);
  }

  /**
   * What the newest version of a project requires, as the upstream says beside the page (`info.requires_dist`
   * of the legacy JSON), and what that took in bytes; `null` when it does not.
   */
  async newestRequires(
    project: ProjectName,
  ): Promise<{ requires: readonly string[]; bytes: number } | null> {
    return await this.#refresher.newestRequires(project);
  }

  /** Whether core metadata came from the upstream as documents or by ranges, and never as a whole wheel. */
  get hasMetadata(): boolean {
    return this.#files.hasMetadata;
  }

  /** Opens connections to the upstream's hosts, for requests that are about to come. */
  warm(connections: number): void {
    this.#upstream.warm(connections);
  }

  /** Whether the upstream may be asked for the project at all. */
  serves(project: ProjectName): boolean {
    return this.#upstream.serves(project);
  }

  /**
   * Asks the upstream for a page, whatever the age of the stored one.
   *
   * @param force take the answer even if it looks older than what is stored
   * @throws NotFoundError when the upstream has no such project; otherwise as the upstream does
   */
  async refresh(
    project: ProjectName,
    force: boolean,
  ): Promise<'fetched' | 'changed' | 'unchanged'> {
    const find = (): PageRow | undefined =>
      this.#store.catalog.findPage(this.name, project, this.#upstream.url);
    const before = find();
    if (!this.#pages.mayAsk({ networkMode: 'normal' })) {
      throw new NotHeldOfflineError(`${this.name} is not asked (offline).`);
    }
    await this.#pages.refresh(project, { force });
    const after = find();
    if (after === undefined || after.absent)
      throw new NotFoundError(`${this.name} has no project ${project}.`);
    if (before === undefined || before.absent) return 'fetched';
    return before.bodyDigest === after.bodyDigest ? 'unchanged' : 'changed';
  }

  /** Resolves when the work that follows stored files has ended. */
  async settled(): Promise<void> {
    await this.#files.settled();
  }
}
