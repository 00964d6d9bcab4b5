import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import { upstreamOfPath } from '../store/mirror-path.ts';
import type { Store } from '../store/store.ts';
import type { Repository, RequestContext } from './repository.ts';

/** A file that a project's page offers, and whether its bytes are here. */
export interface OfferedFile {
  readonly project: ProjectName;
  /** What the page says of it. */
  readonly entry: DistributionFile;
  /** Where it lies, or will lie, in the mirror. */
  readonly path: string;
  readonly isHeld: boolean;
}

/**
 * The files on a project's page, in its order. Asking for the page also stores it.
 *
 * @throws as Repository.projectDetail
 */
export async function offeredFiles(
  {
    repository,
    store,
  }: { readonly repository: Repository; readonly store: Pick<Store, 'catalog'> },
  project: ProjectName,
  context: RequestContext,
): Promise<OfferedFile[]> {
  const snapshot = await repository.projectDetail(project, context);
  const { detail, pathOf } = await snapshot.load();
  return detail.files.map((entry) => {
    const path = pathOf(entry);
    return { project, entry, path, isHeld: isHeld(store, path) };
  });
}

/** Whether the bytes at a mirror path are here. */
function isHeld(store: Pick<Store, 'catalog'>, path: string): boolean {
  const upstream = upstreamOfPath(path);
  return upstream !== undefined && store.catalog.findFile(upstream, path) !== undefined;
}
