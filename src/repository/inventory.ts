/** What people ask of the cache folder: which projects, which files of them, how they are used. */
import type { ProjectName } from '../packaging/names.ts';
import { compareVersions } from '../packaging/versions.ts';
import type { FileHolding, KnownPage, ProjectHoldings } from '../store/holdings-table.ts';
import { fitsSpecifier, versionOfFile } from '../store/kept-files.ts';
import type { Pin } from '../store/pin-table.ts';
import type { Alarm } from '../store/records.ts';
import type { Store } from '../store/store.ts';
import { projectFilter } from '../upstream/project-globs.ts';

/** What an inventory needs of the store. */
export type InventoryStore = Pick<Store, 'catalog' | 'records'>;

/** By what projects are sorted; numbers and times in descending order. */
export type ProjectOrder = 'name' | 'size' | 'files' | 'used' | 'hits';

/** What is known of one project. */
export interface ProjectInventory {
  readonly project: ProjectName;
  /** Held files that were asked for, of both kinds, oldest version first. */
  readonly files: readonly FileHolding[];
  readonly pages: readonly KnownPage[];
  readonly pins: readonly Pin[];
  readonly alarms: readonly Alarm[];
  /** Names of the recorded sets that a file is in, by mirror path. */
  readonly sets: ReadonlyMap<string, readonly string[]>;
}

/** Alarms are few; more than these nobody reads. */
const MOST_ALARMS = 10_000;

/** Held projects whose name fits a glob (`*`, `?`; spelled in any way), or all. */
export function listProjects(
  store: InventoryStore,
  glob: string | null,
  order: ProjectOrder = 'name',
): ProjectHoldings[] {
  const isWanted = projectFilter(glob === null ? undefined : [glob]);
  const found = store.catalog.holdings.projects().filter(({ project }) => isWanted(project));
  return order === 'name' ? found : found.toSorted(COMPARISONS[order]);
}

const COMPARISONS: Readonly<
  Record<Exclude<ProjectOrder, 'name'>, (a: ProjectHoldings, b: ProjectHoldings) => number>
> = {
  size: (a, b) => b.bytes - a.bytes,
  files: (a, b) => b.files - a.files,
  used: (a, b) => b.usedAt - a.usedAt,
  hits: (a, b) => b.hits - a.hits,
};

/** All that is known of a project; of its files those whose version fulfils the specifier (empty: all). */
export function describeProject(
  store: InventoryStore,
  project: ProjectName,
  specifier: string,
): ProjectInventory {
  const { catalog, records } = store;
  return {
    project,
    files: catalog.holdings
      .files(project)
      .filter((file) => fitsSpecifier(file, specifier))
      .toSorted(byVersion),
    pages: catalog.holdings.pagesOf(project),
    pins: records.pins.ofProject(project),
    sets: records.sets.namesByPath(project),
    alarms: records.alarms(MOST_ALARMS).filter((alarm) => alarm.project === project),
  };
}

function byVersion(a: FileHolding, b: FileHolding): number {
  const order = compareVersions(versionOfFile(a) ?? '', versionOfFile(b) ?? '');
  return order === 0 ? (a.filename < b.filename ? -1 : 1) : order;
}
