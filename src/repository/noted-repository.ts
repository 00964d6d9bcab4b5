import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile, ProjectList } from '../simple/model.ts';
import type { AwaitFillOptions } from '../store/fill/await-fill.ts';
import type {
  ByteRange,
  FileSource,
  OpenedFile,
  OpenFileOptions,
  Repository,
  RequestContext,
  Snapshot,
} from './repository.ts';

/** A page that was read, and the mirror path of each file that it showed. */
export interface NotedPage {
  readonly project: ProjectName;
  readonly files: ReadonlyMap<string, DistributionFile>;
}

const METADATA_SUFFIX = '.metadata';

/**
 * An index that notes what is asked of it: pages that were read, files whose bytes left, and files of which
 * the core metadata did. Only whoever asks here is noted, however many others use the same cache.
 */
export class NotedRepository implements Repository {
  readonly #inner: Repository;
  readonly #pages = new Map<ProjectName, NotedPage>();
  /** Mirror paths with the number of the request that asked for them last. */
  readonly #files = new Map<string, number>();
  readonly #described = new Map<string, number>();
  #requests = 0;

  constructor(inner: Repository) {
    this.#inner = inner;
  }

  /** What was read, in the order of the projects. A page that was read twice says what it said last. */
  get pages(): NotedPage[] {
    return [...this.#pages.values()].toSorted((a, b) => (a.project < b.project ? -1 : 1));
  }

  /** The files whose bytes left, by mirror path, and when: a higher number is later. */
  get files(): ReadonlyMap<string, number> {
    return this.#files;
  }

  /** The files whose core metadata left, as `files`. */
  get described(): ReadonlyMap<string, number> {
    return this.#described;
  }

  async projectList(context: RequestContext): Promise<ProjectList> {
    return await this.#inner.projectList(context);
  }

  async projectDetail(project: ProjectName, context: RequestContext): Promise<Snapshot> {
    const snapshot = await this.#inner.projectDetail(project, context);
    return {
      ...snapshot,
      load: async () => {
        const served = await snapshot.load();
        const files = new Map(served.detail.files.map((file) => [served.pathOf(file), file]));
        this.#pages.set(project, { project, files });
        return served;
      },
    };
  }

  async file(path: string, context: RequestContext): Promise<FileSource> {
    const source = await this.#inner.file(path, context);
    return new NotedSource(source, () => this.#note(path));
  }

  #note(path: string): void {
    this.#requests++;
    if (path.endsWith(METADATA_SUFFIX))
      this.#described.set(path.slice(0, -METADATA_SUFFIX.length), this.#requests);
    else this.#files.set(path, this.#requests);
  }
}

/** A file that tells when it is opened. */
class NotedSource implements FileSource {
  /** A door in front would answer the next request without asking here. */
  readonly keepable = null;
  readonly #source: FileSource;
  readonly #onOpen: () => void;

  constructor(source: FileSource, onOpen: () => void) {
    this.#source = source;
    this.#onOpen = onOpen;
  }

  get filename(): string {
    return this.#source.filename;
  }

  get kind(): FileSource['kind'] {
    return this.#source.kind;
  }

  get sizeBytes(): number | null {
    return this.#source.sizeBytes;
  }

  get etag(): string | null {
    return this.#source.etag;
  }

  get origin(): FileSource['origin'] {
    return this.#source.origin;
  }

  async learnSize(signal: AbortSignal): Promise<number | null> {
    return await this.#source.learnSize(signal);
  }

  async open(range: ByteRange | null, options: OpenFileOptions): Promise<OpenedFile> {
    this.#onOpen();
    return await this.#source.open(range, options);
  }

  async keep(options?: AwaitFillOptions): Promise<void> {
    this.#onOpen();
    await this.#source.keep(options);
  }

  async close(): Promise<void> {
    await this.#source.close();
  }
}
