import { NotFoundError } from '../../core/errors.ts';
import type { ProjectName } from '../../packaging/names.ts';
import type { Catalog } from '../../store/catalog.ts';
import { upstreamOfPath } from '../../store/mirror-path.ts';
import type { CachedRepository } from '../cached-repository.ts';
import { readCoreMetadata } from '../read-core-metadata.ts';
import type { ReadMetadata } from '../read-core-metadata.ts';
import type { FileSource, Repository, RequestContext, ServedProject } from '../repository.ts';

/** Round trips from here on are worth saving … */
const FAR_MS = 10;
/** … until they are below this. */
const NEAR_MS = 5;

/** A page, and whose it is. */
export interface PageAhead {
  readonly upstream: string;
  readonly served: ServedProject;
  /** Of the stored page. */
  readonly sizeBytes: number;
  /** The upstream had to send it. */
  readonly isFetched: boolean;
}

/** The part of the chain of repositories that may be asked ahead of a client. */
export class AheadIndex {
  readonly #caches: readonly CachedRepository[];
  readonly #repository: Pick<Repository, 'file'>;
  readonly #catalog: Catalog;
  readonly #far = new Map<string, boolean>();

  /** @param caches in the order in which they are asked */
  constructor(
    caches: readonly CachedRepository[],
    repository: Pick<Repository, 'file'>,
    catalog: Catalog,
  ) {
    this.#caches = caches;
    this.#repository = repository;
    this.#catalog = catalog;
  }

  /** Whether an upstream is so far away that asking it ahead saves a client time. Unknown ones count as far. */
  isFar(upstream: string): boolean {
    const cache = this.#caches.find(({ name }) => name === upstream);
    const roundTripMs = cache === undefined ? 0 : (cache.roundTripMs ?? FAR_MS);
    if (roundTripMs === Infinity) return false;
    const wasFar = this.#far.get(upstream) ?? true;
    const isFar = roundTripMs >= (wasFar ? NEAR_MS : FAR_MS);
    this.#far.set(upstream, isFar);
    return isFar;
  }

  /** What an upstream is remembered by: another one of its name must not hear what it is known to need. */
  identityOf(upstream: string | undefined): string | undefined {
    const cache = this.#caches.find(({ name }) => name === upstream);
    return cache && `${cache.name} ${cache.url}`;
  }

  /** The name of the upstream that is remembered so, if it is still there. */
  nameOf(identity: string): string | undefined {
    return this.#caches.find(({ name }) => this.identityOf(name) === identity)?.name;
  }

  /** Whether any upstream that may be asked for the project is far. */
  isAnyFar(project: ProjectName): boolean {
    return this.#caches.some((cache) => cache.serves(project) && this.isFar(cache.name));
  }

  /** Whether the upstream was seen to have core metadata beside its wheels, and never to need a whole one for it. */
  hasMetadata(upstream: string): boolean {
    return this.#caches.find(({ name }) => name === upstream)?.hasMetadata === true;
  }

  /** Opens connections to the upstream that will be asked for the project first, if one will be. */
  warm(project: ProjectName, connections: number): void {
    const cache = this.#caches.find((each) => each.serves(project) && this.isFar(each.name));
    if (cache?.storedPage(project)?.isFresh !== true) cache?.warm(connections);
  }

  /** Whether the project's page is stored and needs no confirmation. */
  isFresh(project: ProjectName, upstream: string): boolean {
    const cache = this.#caches.find(({ name }) => name === upstream);
    return cache?.storedPage(project)?.isFresh === true;
  }

  /**
   * The project's page from the first index that has it, as a client's request would find it. Only the indexes
   * up to `last` are asked: what a private project needs must not become known to a public index.
   *
   * @param last name of an upstream; `null` for all, when the client itself asks for the project
   * @throws as Repository.projectDetail, but for NotFoundError
   */
  async page(project: ProjectName, last: string | null): Promise<PageAhead | undefined> {
    if (this.#catalog.hasLocalFiles(project, 'added')) return undefined;
    for (const cache of this.#caches) {
      if (cache.serves(project)) {
        try {
          const snapshot = await cache.projectDetail(project, unhurried());
          const served = await snapshot.load();
          const { sizeBytes } = cache.storedPage(project) ?? { sizeBytes: 0 };
          const isFetched = snapshot.freshness.status === 'fetched';
          return { upstream: cache.name, served, sizeBytes, isFetched };
        } catch (error) {
          if (!(error instanceof NotFoundError)) throw error;
        }
      }
      if (cache.name === last) return undefined;
    }
    return undefined;
  }

  /**
   * What the newest version of the project requires, from the index that would be asked first (with `last`:
   * from that one); `null` when it does not say so by itself.
   */
  async newestRequires(
    project: ProjectName,
    last: string | null,
  ): Promise<{ upstream: string; requires: readonly string[]; bytes: number } | null> {
    if (this.#catalog.hasLocalFiles(project, 'added')) return null;
    const cache = this.#caches.find(
      (each) => (last === null || each.name === last) && each.serves(project),
    );
    if (cache === undefined || !this.isFar(cache.name)) return null;
    const found = await cache.newestRequires(project);
    return found && { upstream: cache.name, ...found };
  }

  /** What the core metadata of the wheel at a mirror path says. @throws as Repository.file */
  metadata(path: string): Promise<ReadMetadata> {
    return readCoreMetadata(this.#repository, path, unhurried());
  }

  /** The file, and its length in bytes; `null` when it is held, or nobody knows how long it is. */
  async missingFile(path: string): Promise<{ source: FileSource; bytes: number } | null> {
    const context = unhurried();
    const source = await this.#repository.file(path, context);
    const bytes = source.origin === 'hit' ? null : await source.learnSize(context.signal);
    if (bytes !== null) return { source, bytes };
    await source.close();
    return null;
  }

  /** Length of a file in bytes, if it is held. */
  heldBytes(path: string): number | undefined {
    return this.#catalog.findFile(upstreamOfPath(path) ?? '', path)?.sizeBytes;
  }
}

/** Nobody waits, so nobody leaves. Each has a signal of its own: hundreds would listen to a common one. */
function unhurried(): RequestContext {
  return { networkMode: 'normal', signal: new AbortController().signal };
}
