import { NotFoundError } from '../../src/core/errors.ts';
import { parseProjectName } from '../../src/packaging/names.ts';
import type { ProjectName } from '../../src/packaging/names.ts';
import type {
  ByteRange,
  FileSource,
  Freshness,
  OpenedFile,
  Repository,
  RequestContext,
  Snapshot,
} from '../../src/repository/repository.ts';
import type { DistributionFile, ProjectDetail, ProjectList } from '../../src/simple/model.ts';

/** A file of the fake: its bytes, or what happens instead. */
export interface FakeSource {
  readonly content: Buffer;
  readonly etag?: string | null;
  /** `null`: nobody knows the length before the end. */
  readonly sizeBytes?: number | null;
  /** The length that the opened file claims to have. */
  readonly totalBytes?: number;
  /** Bytes of one piece; all at once by default. */
  readonly pieceBytes?: number;
  /** Thrown by `open`. */
  readonly openError?: Error;
  /** Thrown after so many bytes. */
  readonly breakAfter?: number;
  /** After so many bytes nothing comes until the asker is gone. */
  readonly stallAfter?: number;
}

/** What became of the sources. */
export interface FakeCounts {
  opened: number;
  /** Bodies that were run to an end, whichever. */
  ended: number;
  /** Sources let go without being opened. */
  closed: number;
  loads: number;
}

/** A Repository of what it is told. */
export class FakeRepository implements Repository {
  readonly counts: FakeCounts = { opened: 0, ended: 0, closed: 0, loads: 0 };
  readonly #projects = new Map<string, { detail: ProjectDetail; revision: number }>();
  readonly #files = new Map<string, FakeSource>();
  readonly #failures = new Map<string, Error>();
  freshness: Freshness = { status: 'hit', detail: 'fake', freshForMs: 0 };

  /** A project with these filenames, each at `packages/aa/bb/<filename>`; again: a new revision. */
  setProject(name: string, filenames: readonly string[]): void {
    const revision = (this.#projects.get(name)?.revision ?? 0) + 1;
    this.#projects.set(name, { detail: detailOf(name, filenames), revision });
  }

  setFile(path: string, source: FakeSource): void {
    this.#files.set(path, source);
  }

  /** A project or a path that fails. */
  fail(what: string, error: Error): void {
    this.#failures.set(what, error);
  }

  async projectList(): Promise<ProjectList> {
    return { projects: [...this.#projects.values()].map(({ detail }) => detail.name) };
  }

  async projectDetail(project: ProjectName): Promise<Snapshot> {
    this.#throwFailure(project);
    const known = this.#projects.get(project);
    if (known === undefined) throw new NotFoundError(`No index has a project ${project}.`);
    return {
      revision: `fake-${known.revision}`,
      freshness: this.freshness,
      load: async () => {
        this.counts.loads++;
        const pathOf = (file: DistributionFile): string => `packages/aa/bb/${file.filename}`;
        return { detail: known.detail, pathOf };
      },
    };
  }

  async file(path: string, context: RequestContext): Promise<FileSource> {
    this.#throwFailure(path);
    const source = this.#files.get(path);
    if (source === undefined) throw new NotFoundError(`No index has a file ${path}.`);
    return this.#sourceOf(path, source, context);
  }

  #throwFailure(what: string): void {
    const failure = this.#failures.get(what);
    if (failure !== undefined) throw failure;
  }

  #sourceOf(path: string, source: FakeSource, context: RequestContext): FileSource {
    const etag = source.etag === undefined ? '"sha256-fake"' : source.etag;
    const sizeBytes = source.sizeBytes === undefined ? source.content.length : source.sizeBytes;
    return {
      filename: path.slice(path.lastIndexOf('/') + 1),
      kind: path.endsWith('.metadata') ? 'metadata' : 'distribution',
      sizeBytes,
      etag,
      origin: 'hit',
      learnSize: async () => sizeBytes,
      open: async (range): Promise<OpenedFile> => {
        if (source.openError !== undefined) throw source.openError;
        this.counts.opened++;
        const totalBytes = source.totalBytes ?? sizeBytes;
        return { totalBytes, etag, body: this.#body(source, range, context.signal) };
      },
      keep: async () => {
        if (source.openError !== undefined) throw source.openError;
      },
      close: async () => void this.counts.closed++,
    };
  }

  async *#body(
    source: FakeSource,
    range: ByteRange | null,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, void> {
    const { start, end } = range ?? { start: 0, end: source.content.length };
    const step = source.pieceBytes ?? source.content.length;
    try {
      for (let at = start; at < Math.min(end, source.content.length); at += step) {
        if (source.breakAfter !== undefined && at - start >= source.breakAfter) {
          throw new Error('the body broke');
        }
        if (source.stallAfter !== undefined && at - start >= source.stallAfter) await gone(signal);
        signal.throwIfAborted();
        yield source.content.subarray(at, Math.min(at + step, end));
      }
    } finally {
      this.counts.ended++;
    }
  }
}

function gone(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function detailOf(name: string, filenames: readonly string[]): ProjectDetail {
  const project = parseProjectName(name);
  if (project === undefined) throw new Error(`${name} is no project name`);
  return {
    name: project,
    status: 'active',
    statusReason: null,
    versions: null,
    files: filenames.map((filename) => ({
      filename,
      url: `https://files.example/${filename}`,
      hashes: { sha256: 'aa'.repeat(32) },
      requiresPython: null,
      sizeBytes: 10,
      uploadTime: null,
      coreMetadata: false,
      yanked: false,
      provenance: null,
      gpgSig: null,
      extra: {},
    })),
    lastSerial: 7,
    extra: {},
  };
}
