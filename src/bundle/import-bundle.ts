/** Takes a bundle into the cache: everything is proven first, then published file by file. */
import { IntegrityError, NotFoundError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import { isIntact } from '../store/held-file.ts';
import type { HeldFile } from '../store/held-file.ts';
import { LOCAL_UPSTREAM } from '../store/layout.ts';
import { mirrorPathOf, upstreamOfPath } from '../store/mirror-path.ts';
import type { StoredPage } from '../store/page-files.ts';
import { StagedImport } from '../store/staged-import.ts';
import type { Store } from '../store/store.ts';
import { inspectBundle } from './inspect-bundle.ts';
import { filenameOf, filesOfSet, isMetadata } from './manifest.ts';
import type { BundledFile, Manifest } from './manifest.ts';

/** An index that this mirror knows. */
export interface KnownIndex {
  readonly name: string;
  readonly url: string;
}

/** How a bundle is imported. */
export interface ImportOptions {
  /** Files of other indexes become local ones. */
  readonly indexes: readonly KnownIndex[];
  readonly signal: AbortSignal;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** What came of it. */
export interface ImportedBundle {
  readonly digest: string;
  readonly projects: number;
  /** Wheels and sdists that are here now and were not before. */
  readonly imported: number;
  /** Those that were here already, byte for byte. */
  readonly held: number;
  /** Bytes of the first kind, core metadata included. */
  readonly importedBytes: number;
  /** Files of indexes that are not configured here: listed beside what the others have. */
  readonly local: number;
}

/** Where a file of the bundle belongs here. */
type Placed = Omit<HeldFile, 'mtimeMs'>;

/** Files that lay in a mirror before keep their place below this (see `LocalFiles`). */
const ADOPTED_BELOW = `packages/-/${LOCAL_UPSTREAM}/-/`;

/** Marks pages that stand in for an index's own, should the catalog have to be made again. */
const PAGE_MARK = 'bundle';

/**
 * Imports a bundle, beside running servers or without any. Nothing is changed unless all of it is proven;
 * a killed import leaves some files published and the others not, and the next one completes it.
 *
 * @throws IntegrityError for a bundle that is not what it says, or against what is held here;
 *   NotFoundError when the earlier bundle that it adds to was not imported; BusyError
 */
export async function importBundle(
  store: Store,
  log: Logger,
  path: string,
  { indexes, signal, onProgress }: ImportOptions,
): Promise<ImportedBundle> {
  const staging = await StagedImport.begin({ layout: store.layout, catalog: store.catalog, log });
  try {
    const staged = new Map<string, string>();
    let places = new Map<BundledFile, Placed>();
    const inspected = await inspectBundle(path, {
      signal,
      ...(onProgress === undefined ? {} : { onProgress }),
      onManifest: async (manifest) => {
        places = placesOf(manifest, indexes);
        for (const here of places.values()) checkAgainstHeld(store, here);
        checkNeeds(store, manifest, places);
      },
      onFile: async (file, content) => {
        const here = places.get(file);
        if (here !== undefined && isHeld(store, here)) for await (const _ of content);
        else staged.set(file.path, await staging.stage(content));
      },
    });
    const { manifest, digest } = inspected;
    const placed = manifest.files.flatMap((file) => {
      const here = places.get(file);
      return here === undefined ? [] : [{ file, here }];
    });
    // Again, since servers were at work meanwhile.
    for (const { here } of placed) checkAgainstHeld(store, here);
    await keepPages(
      store,
      placed.map(({ here }) => here),
      indexes,
    );
    // Core metadata is in place before a page can advertise it.
    const ordered = placed.toSorted(
      (a, b) => Number(isMetadata(b.file)) - Number(isMetadata(a.file)),
    );
    const fresh: BundledFile[] = [];
    for (const { file, here } of ordered) {
      const bytes = staged.get(file.path);
      if (bytes === undefined) continue;
      await staging.publish(here, bytes);
      fresh.push(file);
    }
    const distributions = (files: readonly BundledFile[]): number =>
      files.filter((file) => !isMetadata(file)).length;
    return {
      digest,
      projects: new Set(manifest.files.map(({ project }) => project)).size,
      imported: distributions(fresh),
      held: distributions(manifest.files) - distributions(fresh),
      importedBytes: fresh.reduce((total, { sizeBytes }) => total + sizeBytes, 0),
      local: placed.filter(
        ({ file, here }) => here.kind === 'distribution' && here.path !== file.path,
      ).length,
    };
  } finally {
    await staging.end();
  }
}

/**
 * Under the path that it has everywhere when an index of ours gives its files that path, so that later
 * requests know it; as a file of unknown origin otherwise.
 */
function placesOf(manifest: Manifest, indexes: readonly KnownIndex[]): Map<BundledFile, Placed> {
  const all = filesOfSet(manifest);
  const wheels = new Map(all.map((file) => [file.path, file]));
  return new Map(
    all.map((file) => {
      const wheel = wheels.get(file.path.replace(/\.metadata$/, '')) ?? file;
      return [file, placeOf(file, wheel.entry, indexes)];
    }),
  );
}

/** @param listed what the index says of the file, or of the wheel that the core metadata is of */
function placeOf(
  file: BundledFile,
  listed: DistributionFile | null,
  indexes: readonly KnownIndex[],
): Placed {
  const { path, project, sha256, sizeBytes, entry } = file;
  const upstream = upstreamOfPath(path) ?? LOCAL_UPSTREAM;
  const common = {
    project,
    sha256,
    sizeBytes,
    kind: isMetadata(file) ? ('metadata' as const) : ('distribution' as const),
    filename: filenameOf(file),
    listed: true,
  };
  if (upstream === LOCAL_UPSTREAM) {
    const origin = path.startsWith(ADOPTED_BELOW) ? 'adopted' : 'added';
    return { ...common, upstream, path, origin, entry: localEntry(entry, path) };
  }
  const index = indexes.find(({ name }) => name === upstream);
  if (index !== undefined && isPathOf(index, path, listed))
    return { ...common, upstream, path, origin: 'fetched', entry };
  const here = `${ADOPTED_BELOW}${path}`;
  return {
    ...common,
    upstream: LOCAL_UPSTREAM,
    path: here,
    origin: 'adopted',
    entry: localEntry(entry, here),
  };
}

/** Whether the index's own address of the wheel or sdist leads to this path. */
function isPathOf(index: KnownIndex, path: string, listed: DistributionFile | null): boolean {
  const wheel = path.replace(/\.metadata$/, '');
  return listed !== null && mirrorPathOf(index.name, index.url, listed.url) === wheel;
}

function localEntry(entry: DistributionFile | null, path: string): DistributionFile | null {
  return entry === null ? null : { ...entry, url: `file:${path}` };
}

/** Two files of one path are two truths: neither replaces the other. */
function checkAgainstHeld(store: Store, { upstream, path, sha256 }: Placed): void {
  const known =
    store.catalog.findFile(upstream, path)?.sha256 ??
    store.records.firstSeen(upstream, path)?.sha256;
  if (known === undefined || known === sha256) return;
  throw new IntegrityError(
    `${path} is known here with the sha256 ${known}; the bundle has ${sha256}.`,
    { hint: 'One of the two is not genuine. Find out which before anything is deleted.' },
  );
}

function isHeld({ catalog, layout }: Store, { upstream, path }: Placed): boolean {
  const row = catalog.findFile(upstream, path);
  return row !== undefined && isIntact(layout, row);
}

function checkNeeds(
  store: Store,
  { since, needs }: Manifest,
  places: ReadonlyMap<BundledFile, Placed>,
): void {
  const missing = needs.filter((file) => {
    const here = places.get(file);
    return here === undefined || !isHeld(store, here);
  });
  if (missing.length === 0) return;
  const names = missing.slice(0, 10).map(filenameOf);
  const more = missing.length > names.length ? ` and ${missing.length - names.length} more` : '';
  throw new NotFoundError(
    `The bundle adds to an earlier one, of which ${missing.length} files are not here: ${names.join(', ')}${more}.`,
    {
      hint: `Import that one first (sha256 of its bundle.json: ${since ?? ''}), or bring a whole bundle.`,
    },
  );
}

/**
 * A catalog is made again from the pages of its indexes: where there is none of a project yet, one that names
 * what came with bundles stands in. It has no row, so that nothing is answered from it.
 */
async function keepPages(
  store: Store,
  files: readonly Placed[],
  indexes: readonly KnownIndex[],
): Promise<void> {
  for (const { name, url } of indexes) {
    const byProject = new Map<ProjectName, DistributionFile[]>();
    for (const { upstream, project, entry, sha256 } of files) {
      if (upstream !== name || entry === null) continue;
      const entries = byProject.get(project) ?? [];
      byProject.set(project, entries);
      entries.push({ ...entry, hashes: { sha256 } });
    }
    for (const [project, entries] of byProject) {
      const present = await store.pages.read(name, project);
      if (present !== undefined && present.bodyDigest !== PAGE_MARK) continue;
      const known = new Map((present?.detail.files ?? []).map((file) => [file.url, file]));
      if (entries.every((entry) => known.has(entry.url))) continue;
      for (const entry of entries) known.set(entry.url, entry);
      const page: StoredPage = {
        format: 1,
        indexUrl: url,
        bodyDigest: PAGE_MARK,
        fetchedAt: 0,
        detail: {
          name: project,
          status: 'active',
          statusReason: null,
          versions: null,
          files: [...known.values()],
          lastSerial: null,
          extra: {},
        },
      };
      await store.pages.write(name, project, page);
    }
  }
}
