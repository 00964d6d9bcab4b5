import type { Clock } from '../core/clock.ts';
import {
  IntegrityError,
  NotFoundError,
  NotHeldOfflineError,
  RefusedError,
} from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { candidateProjects, isMutableFilename } from '../packaging/filenames.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { HeldFile } from '../store/catalog.ts';
import type { ByteSource, FillRequest } from '../store/fill/byte-source.ts';
import type { Store } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { ColdFile } from './cold-file.ts';
import { openHeldSource } from './held-source.ts';
import { MetadataKeeper } from './metadata-keeper.ts';
import { MetadataLadder } from './metadata-ladder.ts';
import type { FileSource, RequestContext } from './repository.ts';
import type { UpstreamPages } from './upstream-pages.ts';

/** A page that was confirmed this recently names every file there is. */
const JUST_CONFIRMED_MS = 5_000;
/** Where an index lists no size, a file may have this many bytes. */
const LARGEST_FILE_BYTES = 64 * 1024 ** 3;

const METADATA_SUFFIX = '.metadata';

/** An entry of a page, the project whose page it is on, and where it lies in the mirror. */
interface ListedFile {
  readonly project: ProjectName;
  readonly entry: DistributionFile;
  readonly path: string;
}

/** What the files of an upstream are held to. */
export interface FileRules {
  /** Upper bound for core metadata, in bytes. */
  readonly maxMetadataBytes: number;
  /** Files without any listed digest: `first-use` holds them to what they were first, `refuse` never fetches them. */
  readonly withoutDigest: 'first-use' | 'refuse';
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
  readonly #rules: FileRules;
  readonly #clock: Clock;
  readonly #ladder: MetadataLadder;
  readonly #keeper: MetadataKeeper;

  constructor(
    upstream: Upstream,
    store: Store,
    pages: UpstreamPages,
    rules: FileRules,
    env: { readonly clock: Clock; readonly log: Logger },
  ) {
    this.#upstream = upstream;
    this.#store = store;
    this.#pages = pages;
    this.#rules = rules;
    this.#clock = env.clock;
    this.#ladder = new MetadataLadder(upstream, store, rules.maxMetadataBytes, env.log);
    this.#keeper = new MetadataKeeper(store, rules.maxMetadataBytes, env.log);
    store.onStored((request) => this.#stored(request));
  }

  /** See {@link MetadataLadder.isShort}. */
  get hasMetadata(): boolean {
    return this.#ladder.isShort;
  }

  /** @throws as Repository.file */
  async file(path: string, context: RequestContext): Promise<FileSource> {
    const held = this.#store.catalog.findFile(this.#upstream.name, path);
    if (held !== undefined && !(await this.#isOutdated(held, context))) {
      if (!held.listed && (await this.#pages.isQuarantined(held.project)))
        throw quarantined(held.project);
      const source = await openHeldSource(this.#store, held);
      if (source !== undefined) return source;
    }
    const underWay = this.#store.fills.find(this.#upstream.name, path);
    if (underWay !== undefined) return new ColdFile(this.#store, underWay.request, null);
    if (!this.#pages.mayAsk(context)) return await this.#returned(path);
    const isMetadata = path.endsWith(METADATA_SUFFIX);
    const distributionPath = isMetadata ? path.slice(0, -METADATA_SUFFIX.length) : path;
    const listed = await this.#find(distributionPath, context);
    if (listed === undefined)
      throw new NotFoundError(`${this.#upstream.name} lists no file ${path}.`);
    if (isMetadata) return await this.#metadataSource(listed);
    return new ColdFile(this.#store, this.#distributionRequest(listed), async (signal) => {
      return (await this.#upstream.headFile(listed.entry.url, signal)).totalBytes;
    });
  }

  /** Whether the index lists other bytes now for a file that may change. Its row is then gone. */
  async #isOutdated(held: HeldFile, context: RequestContext): Promise<boolean> {
    if (!isMutableFilename(held.filename) || !this.#pages.mayAsk(context)) return false;
    const listed = await this.#find(held.path, context).catch(() => undefined);
    const sha256 = listed?.entry.hashes['sha256']?.toLowerCase();
    if (sha256 === undefined || sha256 === held.sha256) return false;
    await this.#store.catalog.removeFiles([held], 0);
    return true;
  }

  /** Resolves when the work that follows stored files has ended. */
  async settled(): Promise<void> {
    await this.#keeper.settled();
  }

  async #returned(path: string): Promise<FileSource> {
    const back: HeldFile | undefined = await this.#store.catalog.returnFile(
      this.#upstream.name,
      path,
    );
    const source = back === undefined ? undefined : await openHeldSource(this.#store, back);
    if (source !== undefined) return source;
    throw new NotHeldOfflineError(
      `${path} is not in the cache, and ${this.#upstream.name} is not asked (offline).`,
      {
        hint: 'Install it once while online, or ask for it ahead of time.',
      },
    );
  }

  /** The entry whose URL leads to this path; pages are asked for again if they are not of just now. */
  async #find(path: string, context: RequestContext): Promise<ListedFile | undefined> {
    const filename = path.slice(path.lastIndexOf('/') + 1);
    const projects = candidateProjects(filename).filter((project) =>
      this.#upstream.serves(project),
    );
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
      if (checkedAt === undefined || this.#clock.now() - checkedAt < JUST_CONFIRMED_MS)
        return undefined;
      await this.#pages.refresh(project);
    }
    try {
      const snapshot = await this.#pages.snapshot(project, context);
      const { detail, pathOf } = await snapshot.load();
      const entry = detail.files.find(
        (file) => file.filename === filename && pathOf(file) === path,
      );
      if (entry !== undefined && detail.status === 'quarantined') throw quarantined(project);
      return entry && { project, entry, path };
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  #distributionRequest({ path, project, entry }: ListedFile): FillRequest {
    const hasDigest = Object.keys(entry.hashes).length > 0;
    if (!hasDigest && this.#rules.withoutDigest === 'refuse') {
      throw new RefusedError(`${this.#upstream.name} lists ${entry.filename} without a digest.`, {
        hint: 'index.without_digest: first-use accepts such files and holds them to what they were first.',
      });
    }
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
      confirm: (sha256, sizeBytes) => this.#confirm(path, entry.filename, { sha256, sizeBytes }),
      source: this.#source(entry.url),
    };
  }

  /** Of a file that no digest is listed for, what was seen first holds, whoever saw it. */
  async #confirm(
    path: string,
    filename: string,
    seen: { sha256: string; sizeBytes: number },
  ): Promise<void> {
    const first = await this.#store.records.seeFirst(this.#upstream.name, path, seen);
    if (first.sha256 !== seen.sha256) {
      throw new IntegrityError(
        `${filename} was first seen with sha256 ${first.sha256}, now it has ${seen.sha256}.`,
      );
    }
  }

  async #metadataSource(listed: ListedFile): Promise<FileSource> {
    if (listed.entry.coreMetadata === false) {
      throw new NotFoundError(`No core metadata is listed for ${listed.entry.filename}.`);
    }
    const request = this.#metadataRequest(listed);
    return new ColdFile(
      this.#store,
      request,
      async () => (await this.#store.fills.fetch(request).done).sizeBytes,
    );
  }

  #metadataRequest(listed: ListedFile): FillRequest {
    const { path, project, entry } = listed;
    const hashes = typeof entry.coreMetadata === 'object' ? entry.coreMetadata : {};
    return {
      upstream: this.#upstream.name,
      path: `${path}${METADATA_SUFFIX}`,
      project,
      filename: `${entry.filename}${METADATA_SUFFIX}`,
      kind: 'metadata',
      hashes,
      sizeBytes: null,
      maxBytes: this.#rules.maxMetadataBytes,
      entry: null,
      source: this.#ladder.source({
        project,
        path,
        entry,
        sha256: hashes['sha256'] ?? null,
        fetchWheel: () => this.#store.fills.fetch(this.#distributionRequest(listed)).done,
      }),
    };
  }

  #stored(request: FillRequest): void {
    const { upstream, kind, entry, path, project } = request;
    if (upstream !== this.#upstream.name || kind !== 'distribution' || entry === null) return;
    if (entry.filename.endsWith('.whl'))
      this.#keeper.wheelStored(request, this.#metadataRequest({ path, project, entry }));
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

function quarantined(project: ProjectName): RefusedError {
  return new RefusedError(`${project} is quarantined by its index; its files are not served.`);
}
