import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { Catalog, HeldFile } from '../store/catalog.ts';
import type { ServedProject } from './repository.ts';

/**
 * A project as far as its files are held: exactly what can be served with no upstream. Core metadata is
 * advertised where the sidecar is held. `undefined` when there is no file.
 *
 * @param upstream only files of this upstream
 */
export function heldProject(
  catalog: Catalog,
  project: ProjectName,
  upstream: string,
  isWanted: (file: HeldFile) => boolean = () => true,
): ServedProject | undefined {
  const rows = catalog.filesOf(project).filter((file) => file.upstream === upstream);
  const metadata = new Map(
    rows.filter((row) => row.kind === 'metadata').map((row) => [row.path, row.sha256]),
  );
  const paths = new Map<DistributionFile, string>();
  for (const row of rows) {
    if (row.kind !== 'distribution' || !row.listed || row.entry === null || !isWanted(row))
      continue;
    const sha256 = metadata.get(`${row.path}.metadata`);
    const file: DistributionFile = {
      ...row.entry,
      hashes: { ...row.entry.hashes, sha256: row.sha256 },
      sizeBytes: row.sizeBytes,
      coreMetadata: sha256 === undefined ? false : { sha256 },
    };
    paths.set(file, row.path);
  }
  if (paths.size === 0) return undefined;
  return servedFiles(project, paths);
}

/** A project of exactly these files, each with its mirror path. */
export function servedFiles(
  project: ProjectName,
  paths: ReadonlyMap<DistributionFile, string>,
): ServedProject {
  return {
    detail: {
      name: project,
      status: 'active',
      statusReason: null,
      versions: null,
      files: [...paths.keys()],
      lastSerial: null,
      extra: {},
    },
    pathOf: (file) => paths.get(file) ?? '',
  };
}
