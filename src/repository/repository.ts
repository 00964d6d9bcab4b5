import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile, ProjectDetail, ProjectList } from '../simple/model.ts';
import type { AwaitFillOptions } from '../store/fill/await-fill.ts';
import type { HeldFile } from '../store/held-file.ts';

/** What every question carries. */
export interface RequestContext {
  /** Aborted when the asker is gone. Work that others share goes on. */
  readonly signal: AbortSignal;
  /** `offline`: answer from what is held, whatever the network could give. */
  readonly networkMode: 'normal' | 'offline';
}

/** A project's page as it is served, and where in the mirror each of its files lies. */
export interface ServedProject {
  readonly detail: ProjectDetail;
  /** The mirror path of one of `detail.files`: relative to `mirror/`, decoded. */
  readonly pathOf: (file: DistributionFile) => string;
}

/**
 * How an answer came about, in the terms of RFC 9211: `hit` (fresh or confirmed), `stale` (served
 * without confirmation), `fetched` (asked for just now), `held` (the index of what is held, because of
 * `offline` or `cut-off`).
 */
export interface Freshness {
  readonly status: 'hit' | 'stale' | 'fetched' | 'held';
  readonly detail: string | null;
  /**
   * How long the same answer may be given without asking here again, in milliseconds, as long as nothing of
   * the project changes: 0 for never, Infinity for always.
   */
  readonly freshForMs: number;
}

/** A version of a project's page that may not have been read yet. Same revision, same page. */
export interface Snapshot {
  readonly revision: string;
  /**
   * The revision before, whose page may be given for a moment, as a stale one, while this one is made
   * ready. Missing when it would be wrong.
   */
  readonly standIn?: string | undefined;
  readonly freshness: Freshness;
  load(): Promise<ServedProject>;
}

/** A byte range of a file, `end` exclusive. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Bytes on this machine's disk that can be read into a buffer of the reader's. */
export interface ReadableBytes {
  /** Reads up to `length` bytes from `position` on; tells how many came, 0 at the end. Not to be closed meanwhile. */
  readInto(
    buffer: Buffer,
    length: number,
    position: number,
    done: (error: Error | null, bytesRead: number) => void,
  ): void;
  /** What to say when the file ends before its length. */
  cutShort(): Error;
  close(): void;
}

/** A held file as it was when it was looked at; what a door in front may answer from until it changes. */
export interface KeepableFile {
  readonly file: HeldFile;
  readonly inode: number;
}

/** A file whose first byte may leave. */
export interface OpenedFile {
  /** Length of the whole file; `null` while nobody knows it. */
  readonly totalBytes: number | null;
  readonly etag: string | null;
  /** Ends early only by throwing: the client must then see a broken connection. */
  readonly body: AsyncGenerator<Uint8Array, void, void>;
  /** The same bytes for readers with buffers of their own, who close them; `body` is then left alone. */
  readonly bytes?: ReadableBytes;
}

/** How a file is to be sent. */
export interface OpenFileOptions {
  readonly signal: AbortSignal;
  /** Let nothing leave before all is verified: for clients that cannot see a cut (HTTP/1.0). */
  readonly holdAll?: boolean;
}

/** One file of an index, held or not. */
export interface FileSource {
  readonly filename: string;
  readonly kind: 'distribution' | 'metadata';
  /** Length of the whole file, if known without asking. */
  readonly sizeBytes: number | null;
  /** A strong entity tag made of the sha256; `null` when that is not known yet. */
  readonly etag: string | null;
  /** Whether the bytes are here (`hit`) or must be fetched. */
  readonly origin: 'hit' | 'miss';
  /** For a door in front; absent or `null`: every request must ask here. */
  readonly keepable?: KeepableFile | null;
  /** Asks for the length when it is not known. */
  learnSize(signal: AbortSignal): Promise<number | null>;
  /** Starts the transfer; resolves when the first byte may leave. A source is opened at most once. */
  open(range: ByteRange | null, options: OpenFileOptions): Promise<OpenedFile>;
  /**
   * Has the file fetched if it is not here; resolves when it is held. Instead of `open`, for whoever wants
   * none of its bytes. @throws as `open`; StorageError when it came and could not be kept
   */
  keep(options?: AwaitFillOptions): Promise<void>;
  /** Lets go of a source that is not opened. */
  close(): Promise<void>;
}

/**
 * An index: the one interface of this layer. Every decision is a Repository that wraps others.
 *
 * @throws NotFoundError only for a definite no; NotHeldOfflineError, UpstreamUnavailableError,
 *   InvalidUpstreamAnswerError, IntegrityError, RefusedError otherwise.
 */
export interface Repository {
  /** The names of which something is held. Never asks an upstream. */
  projectList(context: RequestContext): Promise<ProjectList>;
  projectDetail(project: ProjectName, context: RequestContext): Promise<Snapshot>;
  /** The file at a mirror path (decoded; core metadata by the path of its file and `.metadata`). */
  file(path: string, context: RequestContext): Promise<FileSource>;
}
