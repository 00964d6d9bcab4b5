import type { ProjectName } from '../../packaging/names.ts';

/**
 * What can be wrong.
 *
 * - files and core metadata: `missing`, `not-a-file` (a symbolic link, a folder), `wrong-size`,
 *   `wrong-digest`, `unreadable`, `wrong-mode` (others cannot read it, or it can be written);
 * - `wrong-metadata`: core metadata that is not what its wheel holds;
 * - `stranger`: lies below `mirror/packages` and no row names it;
 * - `page-missing`, `page-differs` (from what is held), `dead-link` (a page names what is not there),
 *   `page-left` (of a project of which nothing is held);
 * - `upstream-page`: a stored page of an index is gone or cannot be read;
 * - `folder-mode`: others cannot enter a folder of the mirror;
 * - `database`: SQLite finds a database damaged.
 */
export type Problem =
  | 'missing'
  | 'not-a-file'
  | 'wrong-size'
  | 'wrong-digest'
  | 'unreadable'
  | 'wrong-mode'
  | 'wrong-metadata'
  | 'stranger'
  | 'page-missing'
  | 'page-differs'
  | 'dead-link'
  | 'page-left'
  | 'upstream-page'
  | 'folder-mode'
  | 'database';

/**
 * What became of it: `mended`; `left-out` (taken out of the index, bytes kept in `withheld/`; to be
 * fetched again); `found` (nothing was changed).
 */
export type Outcome = 'mended' | 'left-out' | 'found';

/** One thing that is wrong. */
export interface Finding {
  readonly problem: Problem;
  /** Relative to the cache folder's `mirror/`, or to the cache folder for what lies beside it. */
  readonly path: string;
  readonly project: ProjectName | null;
  readonly upstream: string | null;
  /** What was expected and what was there, for people. */
  readonly detail: string;
  readonly outcome: Outcome;
}

/** What was looked at, and what was wrong. */
export interface VerifyReport {
  readonly files: number;
  /** Files whose bytes were read. */
  readonly digested: number;
  readonly bytes: number;
  readonly pages: number;
  readonly findings: readonly Finding[];
}

/** How to look. */
export interface VerifyOptions {
  /** The share of files whose bytes are read, 0 to 1; everything else is looked at in full. */
  readonly sample: number;
  /** Mend what can be mended without an upstream; otherwise only damaged files are taken out of the index. */
  readonly repair: boolean;
  readonly signal: AbortSignal;
  /** Hears how many steps of how many are done. */
  onProgress?(done: number, total: number): void;
}

/** Whether everything is in order, or was put in order. */
export function isMended(findings: readonly Finding[]): boolean {
  return findings.every((finding) => finding.outcome === 'mended');
}
