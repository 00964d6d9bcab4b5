import type { ProjectName } from '../packaging/names.ts';

/** Digests of a file by algorithm name (`sha256`, `md5`, …), values in lower-case hexadecimal. */
export type Hashes = Readonly<Record<string, string>>;

/**
 * One distribution file as an index lists it. All keys are always present; `null` means "the index
 * does not say".
 */
export interface DistributionFile {
  /** The last path segment of the URL, decoded (PEP 503). */
  readonly filename: string;
  /** Where the file can be had: absolute, without fragment and without credentials. */
  readonly url: string;
  /** May be empty. */
  readonly hashes: Hashes;
  /** Specifier set, unescaped (PEP 503, PEP 345). */
  readonly requiresPython: string | null;
  /** PEP 700. */
  readonly sizeBytes: number | null;
  /** `YYYY-MM-DDThh:mm:ss[.ffffff]Z`, as given (PEP 700). */
  readonly uploadTime: string | null;
  /**
   * Whether core metadata lies beside the file as `<url>.metadata`, and its digests: `false`, `true`
   * (no digest given) or the digests (PEP 658, PEP 714).
   */
  readonly coreMetadata: boolean | Hashes;
  /** `false`, or the reason, which may be empty (PEP 592). */
  readonly yanked: false | string;
  /** Absolute URL of the attestations (PEP 740). */
  readonly provenance: string | null;
  /** Whether a detached signature lies beside the file (PEP 503). */
  readonly gpgSig: boolean | null;
  /** Keys of the JSON form that this version does not know, verbatim. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** PEP 792. */
export type ProjectStatus = 'active' | 'archived' | 'quarantined' | 'deprecated';

/** One project's page. */
export interface ProjectDetail {
  readonly name: ProjectName;
  readonly status: ProjectStatus;
  readonly statusReason: string | null;
  /** Versions the index names, in its order; `null` when it names none (before API 1.1). PEP 700. */
  readonly versions: readonly string[] | null;
  readonly files: readonly DistributionFile[];
  /** `X-PyPI-Last-Serial` or `meta._last-serial`. */
  readonly lastSerial: number | null;
  /** Unknown keys of the JSON form beside `files`, verbatim; `meta` holds those of `meta`. */
  readonly extra: Readonly<Record<string, unknown>>;
}

/** The root page: the names an index has, normalized and sorted. */
export interface ProjectList {
  readonly projects: readonly ProjectName[];
}
