import { LRUCache } from 'lru-cache';
import type { ProjectName } from '../packaging/names.ts';
import { SingleFlight } from '../core/single-flight.ts';
import type { DistributionFile, Hashes } from '../simple/model.ts';
import { FILES_IN_STEP, finishInSlices } from '../simple/slices.ts';
import type { Steps } from '../simple/slices.ts';
import type { HeldFile, PageRow } from '../store/catalog.ts';
import { mirrorPathOf } from '../store/mirror-path.ts';
import type { StoredPage } from '../store/page-files.ts';
import type { Store } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';
import type { ServedProject } from './repository.ts';

/** Pages kept in memory for the file requests that follow a page: about so many bytes of JSON. */
const LOADED_BYTES = 32 * 1024 * 1024;

/** A stored page as it is served. */
export interface LoadedPage {
  /** Of the page that was read; a row may be about to follow it. */
  readonly bodyDigest: string;
  readonly served: ServedProject;
  /** The project's revision when it was held against what is held. */
  readonly holdingsRevision: number;
  readonly sizeBytes: number;
  /** Whether what is held (or was seen first) shows in it, so that a new file makes a new revision. */
  readonly dependsOnHoldings: boolean;
  /** How many of the documents of core metadata that the index advertises were withdrawn since. */
  readonly withdrawn: number;
}

/** A page with what tells whether it still holds. */
interface KeptPage extends LoadedPage {
  /** Paths of the files whose core metadata the index advertises with a digest. */
  readonly advertised: ReadonlySet<string>;
  /** Of the project, when the page was last held against the records. */
  readonly revision: number;
}

/** What of the store shows in a page. */
interface Holdings {
  readonly files: ReadonlyMap<string, HeldFile>;
  /** sha256 of held core metadata, by the path of its file. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Paths of files whose core metadata must not be advertised. */
  readonly withdrawn: ReadonlySet<string>;
}

/**
 * Makes served pages out of stored ones: every file gets its place in the mirror; files that may not be
 * fetched are left out unless held; missing digests are filled in from what was seen first; core
 * metadata is advertised where it can be served and never where it was found wrong. Huge pages are made in
 * slices of a few milliseconds.
 */
export class StoredPages {
  readonly #upstream: Upstream;
  readonly #store: Store;
  readonly #loads = new SingleFlight<LoadedPage | undefined>();
  readonly #loaded = new LRUCache<string, KeptPage>({
    maxSize: LOADED_BYTES,
    sizeCalculation: (page) => Math.max(1, page.sizeBytes),
  });

  constructor(upstream: Upstream, store: Store) {
    this.#upstream = upstream;
    this.#store = store;
  }

  /** What is known of the page without reading it again. */
  peek(row: PageRow): LoadedPage | undefined {
    const page = this.#loaded.get(keyOf(row));
    if (page === undefined) return undefined;
    const revision = this.#store.catalog.revisionOf(row.project);
    if (revision === page.revision) return page;
    // A withdrawal raises the revision; what is stored raises it far more often.
    const withdrawn = this.#store.records.withdrawnMetadata(this.#upstream.name);
    if (countOf(withdrawn, page.advertised) === page.withdrawn) {
      this.#loaded.set(keyOf(row), { ...page, revision });
      return page;
    }
    this.#loaded.delete(keyOf(row));
    return undefined;
  }

  /** The page; `undefined` when its file is gone. */
  async load(project: ProjectName, row: PageRow): Promise<LoadedPage | undefined> {
    const present = this.peek(row);
    const revision = this.#store.catalog.revisionOf(project);
    if (present !== undefined && isCurrent(present, revision)) return present;
    return await this.#loads.run(`${keyOf(row)} ${revision}`, async () => {
      const stored = await this.#store.pages.read(this.#upstream.name, project);
      return stored && (await this.#make(row, stored));
    });
  }

  /** Makes ready the page that was stored just now: nobody needs to read it back. */
  async take(row: PageRow, stored: StoredPage): Promise<void> {
    const revision = this.#store.catalog.revisionOf(row.project);
    await this.#loads.run(`${keyOf(row)} ${revision}`, () => this.#make(row, stored));
  }

  async #make(row: PageRow, stored: StoredPage): Promise<LoadedPage> {
    const page = await finishInSlices(this.#steps(row, stored));
    // Written before its row, it may be newer than what the row speaks of.
    if (page.bodyDigest === row.bodyDigest) this.#loaded.set(keyOf(row), page);
    return page;
  }

  *#steps({ project, sizeBytes }: PageRow, stored: StoredPage): Steps<KeptPage> {
    const revision = this.#store.catalog.revisionOf(project);
    const holdings = this.#holdings(project);
    const files: DistributionFile[] = [];
    const paths = new Map<DistributionFile, string>();
    const advertised = new Set<string>();
    let dependsOnHoldings = false;
    for (const [index, entry] of stored.detail.files.entries()) {
      if (index > 0 && index % FILES_IN_STEP === 0) yield;
      const path = mirrorPathOf(this.#upstream.name, this.#upstream.url, entry.url);
      if (path === undefined) continue;
      if (!this.#upstream.mayFetch(entry.url)) {
        dependsOnHoldings = true;
        if (!holdings.files.has(path)) continue;
      }
      if (mayGain(entry)) dependsOnHoldings = true;
      if (typeof entry.coreMetadata === 'object') advertised.add(path);
      const file = this.#served(entry, path, holdings);
      files.push(file);
      paths.set(file, path);
    }
    // The index's own list of versions speaks of all its files.
    const isWhole = files.length === stored.detail.files.length;
    const versions = isWhole ? stored.detail.versions : null;
    return {
      bodyDigest: stored.bodyDigest,
      holdingsRevision: revision,
      served: {
        detail: { ...stored.detail, versions, files },
        pathOf: (file) => paths.get(file) ?? '',
      },
      sizeBytes,
      dependsOnHoldings,
      withdrawn: countOf(holdings.withdrawn, advertised),
      advertised,
      revision,
    };
  }

  #served(entry: DistributionFile, path: string, holdings: Holdings): DistributionFile {
    const hashes = this.#hashes(entry, path, holdings);
    const coreMetadata = this.#coreMetadata(entry, path, holdings);
    const sizeBytes = entry.sizeBytes ?? holdings.files.get(path)?.sizeBytes ?? null;
    const isSame =
      hashes === entry.hashes &&
      coreMetadata === entry.coreMetadata &&
      sizeBytes === entry.sizeBytes;
    if (isSame) return entry;
    return { ...entry, hashes, coreMetadata, sizeBytes };
  }

  /** A file without a listed digest is held to the one it had when it was fetched first. */
  #hashes(entry: DistributionFile, path: string, holdings: Holdings): Hashes {
    if (entry.hashes['sha256'] !== undefined) return entry.hashes;
    const sha256 =
      holdings.files.get(path)?.sha256 ??
      this.#store.records.firstSeen(this.#upstream.name, path)?.sha256;
    return sha256 === undefined ? entry.hashes : { ...entry.hashes, sha256 };
  }

  #coreMetadata(entry: DistributionFile, path: string, holdings: Holdings): boolean | Hashes {
    const held = holdings.metadata.get(path);
    if (held !== undefined) {
      const listed = typeof entry.coreMetadata === 'object' ? entry.coreMetadata : undefined;
      return listed?.['sha256'] === held ? listed : { sha256: held };
    }
    if (entry.coreMetadata === false) return false;
    return holdings.withdrawn.has(path) ? false : entry.coreMetadata;
  }

  #holdings(project: ProjectName): Holdings {
    const rows = this.#store.catalog
      .filesOf(project)
      .filter((row) => row.upstream === this.#upstream.name);
    return {
      files: new Map(rows.map((row) => [row.path, row])),
      metadata: new Map(
        rows
          .filter((row) => row.kind === 'metadata')
          .map((row) => [row.path.slice(0, -'.metadata'.length), row.sha256]),
      ),
      withdrawn: this.#store.records.withdrawnMetadata(this.#upstream.name),
    };
  }
}

/** Whether the page shows what is held at this revision of its project. */
export function isCurrent(page: LoadedPage, revision: number): boolean {
  return !page.dependsOnHoldings || page.holdingsRevision === revision;
}

/** Whether a file that is held says more than its index does: a digest, a size, core metadata. */
function mayGain(entry: DistributionFile): boolean {
  if (entry.hashes['sha256'] === undefined || entry.sizeBytes === null) return true;
  return entry.filename.endsWith('.whl') && typeof entry.coreMetadata === 'boolean';
}

/** Withdrawn documents are few, files many. */
function countOf(withdrawn: ReadonlySet<string>, advertised: ReadonlySet<string>): number {
  return [...withdrawn].filter((path) => advertised.has(path)).length;
}

function keyOf(row: PageRow): string {
  return `${row.project} ${row.bodyDigest}`;
}
