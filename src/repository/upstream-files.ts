import type { Clock } from '../core/clock.ts';
import { NotFoundError, NotHeldOfflineError } from '../core/errors.ts';
import { candidateProjects } from '../packaging/filenames.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { HeldFile } from '../store/catalog.ts';
import type { ByteSource, FillRequest } from '../store/fill/byte-source.ts';
import type { Store } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { ColdFile } from './cold-file.ts';
import { openHeldSource } from './held-source.ts';
import type { FileSource, RequestContext } from './repository.ts';
import type { UpstreamPages } from './upstream-pages.ts';

/** A page that was confirmed this recently names every file there is. */
const JUST_CONFIRMED_MS = 5_000;
/** Where an index lists no size, a file may have this many bytes. */
const LARGEST_FILE_BYTES = 64 * 1024 ** 3;

const METADATA_SUFFIX = '.metadata';

/** An entry of a page, and the project whose page it is on. */
interface ListedFile {
  readonly project: ProjectName;
  readonly entry: DistributionFile;
}

/**
 * The files of one upstream: held ones from the disk, others by a fill. A mirror path is answerable with
 * an empty catalog: the filename tells the project, its page is fetched, and the entry is the one whose
 * URL leads to that path.
 */
export class UpstreamFiles {
  readonly #upstream: Upstream;
  readonly #store: Store;
  readonly #pages: UpstreamPages;
  readonly #maxMetadataBytes: number;
  readonly #clock: Clock;

  constructor(upstream: Upstream, store: Store, pages: UpstreamPages, maxMetadataBytes: number, clock: Clock) {
    this.#upstream = upstream;
    this.#store = store;
    this.#pages = pages;
    this.#maxMetadataBytes = maxMetadataBytes;
    this.#clock = clock;
  }

  /** @throws as Repository.file */
  async file(path: string, context: RequestContext): Promise<FileSource> {
    const held = this.#store.catalog.findFile(this.#upstream.name, path);
    if (held !== undefined) {
      const source = await openHeldSource(this.#store, held);
      if (source !== undefined) return source;
    }
    const underWay = this.#store.fills.find(this.#upstream.name, path);
    if (underWay !== undefined) return new ColdFile(this.#store, underWay.request, null);
    if (context.networkMode === 'offline' || !this.#upstream.mayFetch(this.#upstream.url)) {
      return await this.#returned(path);
    }
    const isMetadata = path.endsWith(METADATA_SUFFIX);
    const distributionPath = isMetadata ? path.slice(0, -METADATA_SUFFIX.length) : path;
    const listed = await this.#find(distributionPath, context);
    if (listed === undefined) throw new NotFoundError(`${this.#upstream.name} lists no file ${path}.`);
    const request = isMetadata ? this.#metadataRequest(path, listed) : this.#distributionRequest(path, listed);
    return new ColdFile(this.#store, request, async (signal) => {
      const facts = await this.#upstream.headFile(isMetadata ? `${listed.entry.url}${METADATA_SUFFIX}` : listed.entry.url, signal);
      return facts.totalBytes;
    });
  }

  async #returned(path: string): Promise<FileSource> {
    const back: HeldFile | undefined = await this.#store.catalog.returnFile(this.#upstream.name, path);
    const source = back === undefined ? undefined : await openHeldSource(this.#store, back);
    if (source !== undefined) return source;
    throw new NotHeldOfflineError(`${path} is not in the cache, and ${this.#upstream.name} is not asked (offline).`, {
      hint: 'Install it once while online, or ask for it ahead of time.',
    });
  }

  /** The entry whose URL leads to this path; pages are asked for again if they are not of just now. */
  async #find(path: string, context: RequestContext): Promise<ListedFile | undefined> {
    const filename = path.slice(path.lastIndexOf('/') + 1);
    const projects = candidateProjects(filename).filter((project) => this.#upstream.serves(project));
    for (const mayRefresh of [false, true]) {
      for (const project of projects) {
        const found = await this.#findOnPage(project, filename, path, mayRefresh, context);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  async #findOnPage(
    project: ProjectName,
    filename: string,
    path: string,
    mayRefresh: boolean,
    context: RequestContext,
  ): Promise<ListedFile | undefined> {
    if (mayRefresh) {
      const checkedAt = this.#pages.checkedAt(project);
      if (checkedAt === undefined || this.#clock.now() - checkedAt < JUST_CONFIRMED_MS) return undefined;
      await this.#pages.refresh(project);
    }
    try {
      const snapshot = await this.#pages.snapshot(project, context);
      const { detail, pathOf } = await snapshot.load();
      const entry = detail.files.find((file) => file.filename === filename && pathOf(file) === path);
      return entry && { project, entry };
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  #distributionRequest(path: string, { project, entry }: ListedFile): FillRequest {
    return {
      upstream: this.#upstream.name,
      path,
      project,
      filename: entry.filename,
      kind: 'distribution',
      hashes: entry.hashes,
      sizeBytes: entry.sizeBytes,
      maxBytes: LARGEST_FILE_BYTES,
      entry,
      source: this.#source(entry.url),
    };
  }

  #metadataRequest(path: string, { project, entry }: ListedFile): FillRequest {
    if (entry.coreMetadata === false) throw new NotFoundError(`${entry.filename} has no core metadata beside it.`);
    return {
      upstream: this.#upstream.name,
      path,
      project,
      filename: `${entry.filename}${METADATA_SUFFIX}`,
      kind: 'metadata',
      hashes: entry.coreMetadata === true ? {} : entry.coreMetadata,
      sizeBytes: null,
      maxBytes: this.#maxMetadataBytes,
      entry: null,
      source: this.#source(`${entry.url}${METADATA_SUFFIX}`),
    };
  }

  #source(url: string): ByteSource {
    return {
      open: ({ offset, lastByte, ifRange, signal }) =>
        this.#upstream.openFile(url, {
          ...(offset > 0 || lastByte !== undefined ? { firstByte: offset } : {}),
          ...(lastByte === undefined ? {} : { lastByte }),
          ...(ifRange === undefined ? {} : { ifRange }),
          signal,
        }),
    };
  }
}
