import type { ProjectName } from '../packaging/names.ts';
import type { ProjectDetail } from '../simple/model.ts';

/** How an index lays out its pages: one a project (PEP 503), or one page with all links. */
export type IndexLayout = 'simple' | 'find-links';

/** What a stored page can be revalidated with (RFC 9110 §8.8). */
export interface PageValidators {
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** What the reader of a page found. */
export interface ReadPage {
  readonly detail: ProjectDetail;
  /** Whether it bears the marks of an index page, unlike a captive portal's. */
  readonly looksLikeIndex: boolean;
  /** Entries left out, counted by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Filenames listed more than once with different digests, none of which is in `detail`. */
  readonly conflicts?: readonly string[];
}

/** A page's bytes after content decoding, and what is needed to understand them. */
export interface PageInput {
  readonly body: Uint8Array;
  /** The `Content-Type` as sent; empty when absent. */
  readonly contentType: string;
  readonly project: ProjectName;
  /** After redirects: relative links start here. */
  readonly pageUrl: string;
  readonly layout: IndexLayout;
  /** `X-PyPI-Last-Serial`. */
  readonly serial: number | null;
}

/**
 * Turns a page's bytes into the model.
 *
 * @throws InvalidUpstreamAnswerError when the bytes are no index page of that project.
 */
export type PageReader = (input: PageInput) => Promise<ReadPage>;

/** A page as the upstream has it now. */
export interface FetchedPage extends ReadPage {
  readonly kind: 'page';
  /** After redirects, without credentials. */
  readonly url: string;
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** How long it stays fresh, in milliseconds from now; `null` when the upstream does not say. */
  readonly maxAgeMs: number | null;
  /** The header's serial, else the page's own. */
  readonly lastSerial: number | null;
  /** SHA-256 of the decoded body, hexadecimal. The truth about change: validators can lie. */
  readonly bodyDigest: string;
  readonly conflicts: readonly string[];
}

/** The page that the validators belong to is still the current one. */
export interface UnchangedPage {
  readonly kind: 'not-modified';
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** See {@link FetchedPage.maxAgeMs}. */
  readonly maxAgeMs: number | null;
}

/** The upstream says definitely that it has no such project: 404, 410, 451. */
export interface AbsentPage {
  readonly kind: 'absent';
}

/** Every answer about a project that is not a failure. */
export type PageAnswer = FetchedPage | UnchangedPage | AbsentPage;

/** Which bytes of a file are wanted. Without a key: all. */
export interface OpenFileOptions {
  readonly firstByte?: number;
  /** Inclusive. */
  readonly lastByte?: number;
  /** The last so many bytes; not together with the other two. */
  readonly suffixBytes?: number;
  /** A strong ETag: the whole file comes instead of a part when it has changed (RFC 9110 §13.1.5). */
  readonly ifRange?: string;
  readonly signal?: AbortSignal;
}

/** An answer to a request for a file. Either read the body to its end or call `cancel`. */
export interface FileAnswer {
  /** `beyond-end` is a 416, with an empty body. A `whole` may answer a request for a part. */
  readonly kind: 'whole' | 'part' | 'beyond-end';
  /** Offset in the file of the body's first byte. */
  readonly offset: number;
  /** Length of the whole file, when told. */
  readonly totalBytes: number | null;
  /** Strong ETag only; a weak one cannot resume anything. */
  readonly etag: string | null;
  readonly lastModified: string | null;
  /**
   * The bytes, never content-decoded. Can be read once. Throws UpstreamUnavailableError when it is
   * cut or stalls, InvalidUpstreamAnswerError when more comes than was announced.
   */
  readonly body: AsyncIterable<Uint8Array>;
  /** Gives up the rest of the body. Harmless afterwards and more than once. */
  cancel(): void;
}

/** What a HEAD request tells about a file. */
export interface FileFacts {
  readonly totalBytes: number | null;
  /** Strong ETag only. */
  readonly etag: string | null;
  readonly acceptsRanges: boolean;
}

/** A small document: legacy JSON, provenance, core metadata. */
export interface SmallAnswer {
  /** 404 stands for 410 and 451, too; its body is empty. */
  readonly status: 200 | 404;
  /** Content-decoded. */
  readonly body: Uint8Array;
  readonly contentType: string;
}

/** Counters since the start. */
export interface UpstreamStats {
  readonly pageFetches: number;
  /** Of the page fetches, those answered with "not modified". */
  readonly pagesNotModified: number;
  readonly fileFetches: number;
  readonly smallFetches: number;
  /** Body bytes as they came over the wire. */
  readonly bytesReceived: number;
  /** Calls that ended in an error, "not found" not counted. */
  readonly failures: number;
  /** Message of the latest failure. */
  readonly lastError: string | null;
  /** Epoch milliseconds of the latest failure. */
  readonly lastErrorAt: number | null;
}
