import type { DistributionFile, Hashes } from '../../simple/model.ts';
import type { ProjectName } from '../../packaging/names.ts';

/** Where a fill's bytes come from; the layer above makes it out of an upstream's file client. */
export interface ByteSource {
  /**
   * Opens the bytes from `offset` on. No retries inside: the fill owns retry and resume.
   *
   * @throws NotFoundError, UpstreamUnavailableError, InvalidUpstreamAnswerError, NotHeldOfflineError
   */
  open(request: SourceRequest): Promise<SourceAnswer>;
}

/** Which bytes a fill asks its source for. */
export interface SourceRequest {
  /** First byte wanted. */
  readonly offset: number;
  /** Last byte wanted, inclusive; absent means to the end. */
  readonly lastByte?: number;
  /** Strong ETag of the bytes that are already here (RFC 9110 §13.1.5); only with an offset. */
  readonly ifRange?: string;
  readonly signal: AbortSignal;
}

/** What a source has: the bytes, from where, and what they belong to. */
export interface SourceAnswer {
  /** `whole`: from byte 0 whatever was asked; `part`: from `offset`; `beyond-end`: nothing at or after `offset`. */
  readonly kind: 'whole' | 'part' | 'beyond-end';
  readonly offset: number;
  readonly totalBytes: number | null;
  /** Strong validators only. */
  readonly etag: string | null;
  /** Throws when the connection breaks before the announced end. */
  readonly body: AsyncIterable<Uint8Array>;
  cancel(): void;
}

/** One file to be fetched, verified and stored. */
export interface FillRequest {
  readonly upstream: string;
  /** Mirror path: relative to `mirror/`, decoded. */
  readonly path: string;
  readonly project: ProjectName;
  readonly filename: string;
  readonly kind: 'distribution' | 'metadata';
  /** What the index lists; without a usable digest the file is accepted by length and archive end only. */
  readonly hashes: Hashes;
  readonly sizeBytes: number | null;
  /** Upper bound when no size is listed; a longer body is refused. */
  readonly maxBytes: number;
  /**
   * Called with what arrived when nothing is listed to hold it against; throws IntegrityError when it is
   * not what was seen first.
   */
  readonly confirm?: (sha256: string, sizeBytes: number) => Promise<void>;
  /** Facts to record with the file. */
  readonly entry: DistributionFile | null;
  readonly source: ByteSource;
}
