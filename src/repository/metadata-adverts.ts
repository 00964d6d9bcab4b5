import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import { mirrorPathOf } from '../store/mirror-path.ts';
import type { Store } from '../store/store.ts';

/**
 * Gives withdrawn adverts of core metadata another chance when there is a reason to: the new page lists
 * another digest than the stored one did, or somebody insists. A wheel that is held has spoken against
 * an unchanged advert; insisting does not change that. Call it before the new page takes the stored one's
 * place.
 *
 * @param entries of the new page, by mirror path
 */
export async function restoreAdverts(
  store: Store,
  upstream: string,
  project: ProjectName,
  entries: ReadonlyMap<string, DistributionFile>,
  force: boolean,
): Promise<void> {
  const withdrawn = [...store.records.withdrawnMetadata(upstream)].filter((path) =>
    entries.has(path),
  );
  // Rare: the stored page is read for these only.
  if (withdrawn.length === 0) return;
  const stored = await store.pages.read(upstream, project);
  const before = new Map<string | undefined, DistributionFile>();
  for (const file of stored?.detail.files ?? [])
    before.set(mirrorPathOf(upstream, stored?.indexUrl ?? '', file.url), file);
  const restored = withdrawn.filter((path) => {
    const isNews = advertOf(before.get(path)) !== advertOf(entries.get(path));
    return isNews || (force && store.catalog.findFile(upstream, path) === undefined);
  });
  if (restored.length > 0) await store.records.restoreMetadata(upstream, restored);
}

/** What is advertised, as one word. */
function advertOf(file: DistributionFile | undefined): string {
  const advert = file?.coreMetadata ?? false;
  return typeof advert === 'object' ? (advert['sha256'] ?? 'some') : String(advert);
}
