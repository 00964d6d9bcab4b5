import { LRUCache } from 'lru-cache';
import { NotFoundError, NotHeldOfflineError } from '../core/errors.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { Repository, RequestContext } from './repository.ts';

/** Kept in memory for all attestations together. */
const CACHE_BYTES = 16 * 1024 * 1024;
const LARGEST_BYTES = 4 * 1024 * 1024;

/** Attestations of a file as its index serves them (PEP 740). */
export interface Provenance {
  readonly body: Uint8Array;
  readonly contentType: string;
}

/**
 * Attestations, passed through from where the project's page says they are. A file never changes, and
 * neither do the attestations made when it was uploaded, so they are kept in memory.
 */
export class ProvenanceSource {
  readonly #repository: Repository;
  readonly #upstreams: readonly Upstream[];
  readonly #cache = new LRUCache<string, Provenance>({
    maxSize: CACHE_BYTES,
    sizeCalculation: (provenance) => provenance.body.length + 200,
  });

  constructor(repository: Repository, upstreams: readonly Upstream[]) {
    this.#repository = repository;
    this.#upstreams = upstreams;
  }

  /** @throws NotFoundError when the page names none; as Repository.projectDetail and Upstream otherwise */
  async provenance(
    project: ProjectName,
    filename: string,
    context: RequestContext,
  ): Promise<Provenance> {
    const { detail } = await (await this.#repository.projectDetail(project, context)).load();
    const url = detail.files.find((file) => file.filename === filename)?.provenance;
    if (url === undefined || url === null)
      throw new NotFoundError(`No attestations are listed for ${filename}.`);
    const present = this.#cache.get(url);
    if (present !== undefined) return present;
    const upstream = this.#upstreams.find((candidate) => candidate.mayFetch(url));
    if (upstream === undefined)
      throw new NotFoundError(`The attestations of ${filename} lie on a host that is not asked.`);
    if (context.networkMode === 'offline')
      throw new NotHeldOfflineError(`The attestations of ${filename} are not held.`);
    const { signal } = context;
    const answer = await upstream.fetchSmall(url, {
      maxBytes: LARGEST_BYTES,
      accept: 'application/vnd.pypi.integrity.v1+json',
      signal,
    });
    if (answer.status === 404)
      throw new NotFoundError(`The index has no attestations of ${filename}.`);
    const provenance = { body: answer.body, contentType: answer.contentType };
    this.#cache.set(url, provenance);
    return provenance;
  }
}
