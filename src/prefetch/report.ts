/** What a set is, and what is missing of it. */
import {
  IntegrityError,
  InvalidUpstreamAnswerError,
  messageOf,
  NotFoundError,
  NotHeldOfflineError,
  RefusedError,
  UpstreamUnavailableError,
} from '../core/errors.ts';
import type { SetFile } from '../repository/fetch-set.ts';
import type { Choice } from './choice.ts';
import type { ElsewherePackage } from './wanted-package.ts';

/** A package on a target that is not as it should be. */
export interface CoverageGap {
  readonly project: string;
  readonly version: string;
  readonly reason: string;
}

/** How well one target is covered. */
export interface TargetCoverage {
  readonly python: string;
  readonly platform: string;
  readonly packages: number;
  readonly wheels: number;
  /** Packages that come as an sdist: whoever installs them there builds them. */
  readonly sdists: readonly CoverageGap[];
  /** Packages without any file that could be taken. */
  readonly missing: readonly CoverageGap[];
  /** The resolver's words when it found no versions; `null` when it did, or was not needed. */
  readonly unresolved: string | null;
}

/** One file of the set. */
export interface ReportedFile {
  readonly project: string;
  readonly version: string;
  readonly filename: string;
  /** `null` when nobody says. */
  readonly sizeBytes: number | null;
  readonly outcome: 'held' | 'fetched' | 'failed' | 'planned';
  readonly reason: string | null;
}

/** Which kind of thing is missing, for the exit status; the worst counts. */
export type Shortfall = 'none' | 'unresolved' | 'not-found' | 'unavailable' | 'integrity';

/** All that is told at the end. */
export interface SetReport {
  readonly isWhole: boolean;
  readonly shortfall: Shortfall;
  /** The resolver that was asked; `null` when everything was locked. */
  readonly resolver: string | null;
  readonly targets: readonly TargetCoverage[];
  readonly files: readonly ReportedFile[];
  /** Packages that no index answers for; those by URL or repository leave the set incomplete. */
  readonly elsewhere: readonly ElsewherePackage[];
  readonly problems: readonly string[];
  readonly totalBytes: number;
  readonly fetchedBytes: number;
}

const GRAVITY: readonly Shortfall[] = [
  'none',
  'unresolved',
  'not-found',
  'unavailable',
  'integrity',
];

/** The graver of two. */
export function graver(one: Shortfall, other: Shortfall): Shortfall {
  return GRAVITY.indexOf(one) >= GRAVITY.indexOf(other) ? one : other;
}

/** What an error means for the set. */
export function shortfallOf(error: unknown): Shortfall {
  if (error instanceof IntegrityError || error instanceof InvalidUpstreamAnswerError)
    return 'integrity';
  if (error instanceof NotHeldOfflineError || error instanceof UpstreamUnavailableError)
    return 'unavailable';
  if (error instanceof NotFoundError || error instanceof RefusedError) return 'not-found';
  return 'unavailable';
}

/** The coverage of one target by what was chosen for it. */
export function coverageOf(
  target: Pick<TargetCoverage, 'python' | 'platform'>,
  choices: readonly Choice[],
  unresolved: string | null,
): TargetCoverage {
  const gap = ({ wanted, reason }: Choice): CoverageGap => ({
    project: wanted.project,
    version: wanted.version,
    reason: reason ?? '',
  });
  return {
    python: target.python,
    platform: target.platform,
    packages: choices.length,
    wheels: choices.filter(({ kind }) => kind === 'wheel').length,
    sdists: choices.filter(({ kind }) => kind === 'sdist').map(gap),
    missing: choices.filter(({ kind }) => kind === null).map(gap),
    unresolved,
  };
}

/** What became of a chosen file; without a result it was only planned. */
export function reportedFile(
  choice: Choice,
  result: SetFile | undefined,
  learntBytes: number | null,
): ReportedFile | null {
  const { file, wanted } = choice;
  if (file === null) return null;
  return {
    project: wanted.project,
    version: wanted.version,
    filename: file.entry.filename,
    sizeBytes: file.entry.sizeBytes ?? (result?.bytes || learntBytes),
    outcome: result?.outcome ?? (file.isHeld ? 'held' : 'planned'),
    reason: result === undefined || result.error === null ? null : messageOf(result.error),
  };
}
