import { NotFoundError, messageOf } from '../core/errors.ts';
import type { ProjectName } from '../packaging/names.ts';
import { LOCAL_UPSTREAM } from '../store/layout.ts';
import type { Store } from '../store/store.ts';
import type { CachedRepository } from './cached-repository.ts';

/**
 * How asking again went: `fetched` (for the first time), `changed`, `unchanged`, `absent` (no index has
 * it), `local` (files that were added own the name: nobody is asked), `failed`.
 */
export type RefreshOutcome = 'fetched' | 'changed' | 'unchanged' | 'absent' | 'local' | 'failed';

/** What became of one project. */
export interface RefreshedProject {
  readonly project: ProjectName;
  readonly outcome: RefreshOutcome;
  /** The index that answered, or failed; `null` when none did. */
  readonly upstream: string | null;
  /** Why it failed; `null` otherwise. */
  readonly error: unknown;
  readonly reason: string | null;
}

/**
 * Asks the indexes for a project's page, fresh or not, in their order: the next one only after a
 * definite "not there". Never throws for what an index answers.
 *
 * @param force take the answer even if it looks older than what is stored
 */
export async function refreshProject(
  caches: readonly CachedRepository[],
  store: Pick<Store, 'catalog'>,
  project: ProjectName,
  force: boolean,
): Promise<RefreshedProject> {
  const result = (
    outcome: RefreshOutcome,
    upstream: string | null,
    error: unknown = null,
  ): RefreshedProject => ({
    project,
    outcome,
    upstream,
    error,
    reason: error === null ? null : messageOf(error),
  });
  const isLocal = store.catalog
    .filesOf(project)
    .some((file) => file.upstream === LOCAL_UPSTREAM && file.origin === 'added');
  if (isLocal) return result('local', LOCAL_UPSTREAM);
  for (const cache of caches) {
    if (!cache.serves(project)) continue;
    try {
      return result(await cache.refresh(project, force), cache.name);
    } catch (error) {
      if (!(error instanceof NotFoundError)) return result('failed', cache.name, error);
    }
  }
  return result('absent', null);
}
