import type { ProjectName } from '../packaging/names.ts';
import type { ProjectDetail } from './model.ts';

/**
 * How files are laid out over pages: one page per project (`simple`, PEP 503), or one page with files
 * of many projects (`find-links`), of which only those of the asked project are kept.
 */
export type PageLayout = 'simple' | 'find-links';

/** Why an entry of a page was left out. */
export type DropReason =
  | 'bad-entry'
  | 'bad-hash'
  | 'bad-size'
  | 'bad-url'
  | 'duplicate'
  | 'filename-mismatch'
  | 'not-a-distribution'
  | 'other-project'
  | 'conflict';

/** Number of entries left out, by reason; only reasons that occurred. */
export type DropCounts = Readonly<Partial<Record<DropReason, number>>>;

/** What to know for reading a page. */
export interface PageContext {
  /** The project that was asked for. */
  readonly project: ProjectName;
  /** Where the page came from, after redirects; what its links are relative to. */
  readonly pageUrl: string;
  /** `simple` by default. */
  readonly layout?: PageLayout;
  /** `X-PyPI-Last-Serial` of the answer; beats a serial in the page. */
  readonly serial?: number | null;
}

/** A page that was read, and what was wrong with it. */
export interface PageReading {
  readonly detail: ProjectDetail;
  readonly dropped: DropCounts;
  /** Filenames that were listed more than once with different digests; none of these is in `detail`. */
  readonly conflicts: readonly string[];
  /**
   * Whether anything shows that this is an index page: its format, a `pypi:` meta element, or one link
   * to a distribution file of any project. If not, it may come from a captive portal.
   */
  readonly looksLikeIndex: boolean;
}
