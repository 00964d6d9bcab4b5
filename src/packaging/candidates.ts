/**
 * Which file of a page pip takes, and why not each other one: the rules of pip's `PackageFinder`, in
 * its order (read in pip 26).
 */
import type { Interpreter } from './environment.ts';
import { parseFilename } from './filenames.ts';
import type { ParsedFilename } from './filenames.ts';
import type { ProjectName } from './names.ts';
import type { TagRanking } from './tags.ts';
import {
  compareVersions,
  isPrerelease,
  isValidSpecifier,
  isValidVersion,
  matchesSpecifier,
} from './versions.ts';

/** What the choice depends on in an index's entry. */
export interface CandidateFile {
  readonly filename: string;
  /** Specifier set; `null` when the index does not say. */
  readonly requiresPython: string | null;
  readonly yanked: false | string;
}

/**
 * Why a file is not taken: `format` (no wheel or sdist that pip installs), `name` (of another project, or
 * unreadable), `tags`, `requires-python`, `specifier`, `prerelease`, `yanked`, `worse` (it would do, but
 * another one is better).
 */
export type RejectionKind =
  | 'format'
  | 'name'
  | 'tags'
  | 'requires-python'
  | 'specifier'
  | 'prerelease'
  | 'yanked'
  | 'worse';

/** What becomes of one file. */
export interface Verdict<File extends CandidateFile> {
  readonly file: File;
  readonly version: string | null;
  /** `null` for the one that is taken. */
  readonly rejection: { readonly kind: RejectionKind; readonly reason: string } | null;
}

/** What is asked for. */
export interface Target {
  readonly project: ProjectName;
  readonly specifier: string;
  readonly interpreter: Interpreter;
  readonly ranking: TagRanking;
}

/** Extensions that pip installs from; the others of old days it passes by. */
const INSTALLABLE = /\.(?:whl|zip|tar\.gz|tgz|tar|tar\.bz2|tbz|tar\.xz|txz|tlz|tar\.lz|tar\.lzma)$/;
/** sdists come behind every wheel of their version. */
const RANK_OF_SDISTS = Number.MAX_SAFE_INTEGER;

interface Candidate<File extends CandidateFile> {
  readonly file: File;
  readonly version: string;
  readonly rank: number;
  readonly build: readonly [number, string];
}

type Reading<File extends CandidateFile> =
  | { readonly candidate: Candidate<File> }
  | { readonly verdict: Verdict<File> };

/** What becomes of each file, in the order of `files`. At most one is taken. */
export function judgeFiles<File extends CandidateFile>(
  files: readonly File[],
  target: Target,
): Verdict<File>[] {
  const readings = new Map(files.map((file) => [file, readFile(file, target)]));
  const candidates = [...readings.values()].flatMap((reading) =>
    'candidate' in reading ? [reading.candidate] : [],
  );
  const applicable = inSpecifier(candidates, target.specifier);
  const best = bestOf(applicable, target.specifier);
  return files.map((file) => {
    const reading = readings.get(file);
    if (reading === undefined || 'verdict' in reading)
      return reading?.verdict ?? { file, version: null, rejection: null };
    const { candidate } = reading;
    return {
      file,
      version: candidate.version,
      rejection:
        candidate === best ? null : rejectionOf(candidate, best, applicable, target.specifier),
    };
  });
}

function readFile<File extends CandidateFile>(file: File, target: Target): Reading<File> {
  const parsed = parseFilename(file.filename, target.project);
  const reject = (kind: RejectionKind, reason: string): Reading<File> => ({
    verdict: { file, version: parsed?.version ?? null, rejection: { kind, reason } },
  });
  if (!INSTALLABLE.test(file.filename) || parsed?.kind === 'dumb')
    return reject('format', 'is neither a wheel nor an sdist that installers take');
  if (parsed === undefined || parsed.project !== target.project)
    return reject('name', `is no file of ${target.project} by its name`);
  if (!isValidVersion(parsed.version))
    return reject('name', `${parsed.version} is no version (PEP 440)`);
  const rank = parsed.tags === undefined ? RANK_OF_SDISTS : target.ranking.rankOf(parsed.tags);
  if (rank === null) return reject('tags', tagReason(parsed));
  if (!fitsPython(file.requiresPython, target.interpreter))
    return reject('requires-python', `requires Python ${file.requiresPython}`);
  return { candidate: { file, version: parsed.version, rank, build: buildOf(parsed.build) } };
}

function tagReason({ tags }: ParsedFilename): string {
  if (tags === undefined) return '';
  const shown = [tags.python, tags.abi, tags.platform].map((part) => part.join('.')).join('-');
  return `is for ${shown}`;
}

/** An invalid specifier hinders nothing (as in pip). */
function fitsPython(requiresPython: string | null, { fullVersion }: Interpreter): boolean {
  if (requiresPython === null || !isValidSpecifier(requiresPython)) return true;
  return matchesSpecifier(fullVersion, requiresPython, { prereleases: true });
}

/** Digits first, then the rest (PEP 427). */
function buildOf(build: string | undefined): readonly [number, string] {
  const [, digits, rest] = /^(\d+)(.*)$/.exec(build ?? '') ?? [];
  return digits === undefined ? [-1, ''] : [Number(digits), rest ?? ''];
}

/** Pre-releases only if the specifier names one, or nothing else fits (PEP 440, "Handling of pre-releases"). */
function inSpecifier<File extends CandidateFile>(
  candidates: readonly Candidate<File>[],
  specifier: string,
): readonly Candidate<File>[] {
  const fitting = candidates.filter(({ version }) => fitsVersion(version, specifier));
  if (namesPrerelease(specifier)) return fitting;
  const finals = fitting.filter(({ version }) => !isPrerelease(version));
  return finals.length > 0 ? finals : fitting;
}

function fitsVersion(version: string, specifier: string): boolean {
  return specifier === '' || matchesSpecifier(version, specifier, { prereleases: true });
}

function namesPrerelease(specifier: string): boolean {
  return specifier.split(',').some((part) => {
    const [, op = '', version = ''] = /^\s*(===|==|~=|!=|<=|>=|<|>)\s*(.*?)\s*$/.exec(part) ?? [];
    return (
      ['==', '>=', '<=', '~=', '===', '>', '<'].includes(op) &&
      isPrerelease(version.replace(/\.\*$/, ''))
    );
  });
}

/** Yanked files only if all that fit are yanked and the specifier names a version (PEP 592). */
function bestOf<File extends CandidateFile>(
  applicable: readonly Candidate<File>[],
  specifier: string,
): Candidate<File> | undefined {
  const mayBeYanked =
    pinsVersion(specifier) && applicable.every(({ file }) => file.yanked !== false);
  const eligible = mayBeYanked
    ? applicable
    : applicable.filter(({ file }) => file.yanked === false);
  let best: Candidate<File> | undefined;
  for (const candidate of eligible) {
    // Of equal ones the last on the page, as in pip.
    if (best === undefined || comparePreference(candidate, best) >= 0) best = candidate;
  }
  return best;
}

function pinsVersion(specifier: string): boolean {
  return specifier.split(',').some((part) => /^\s*===|^\s*==(?!=).*(?<!\.\*)\s*$/.test(part));
}

/** Positive when `a` is preferred: newer version, better tag, later build. */
function comparePreference<File extends CandidateFile>(
  a: Candidate<File>,
  b: Candidate<File>,
): number {
  const byVersion = compareVersions(a.version, b.version);
  if (byVersion !== 0) return byVersion;
  if (a.rank !== b.rank) return b.rank - a.rank;
  if (a.build[0] !== b.build[0]) return a.build[0] - b.build[0];
  if (a.build[1] === b.build[1]) return 0;
  return a.build[1] < b.build[1] ? -1 : 1;
}

function rejectionOf<File extends CandidateFile>(
  candidate: Candidate<File>,
  best: Candidate<File> | undefined,
  applicable: readonly Candidate<File>[],
  specifier: string,
): { kind: RejectionKind; reason: string } {
  const { file, version } = candidate;
  if (!fitsVersion(version, specifier))
    return { kind: 'specifier', reason: `${version} is not ${specifier}` };
  if (!applicable.includes(candidate))
    return { kind: 'prerelease', reason: `${version} is a pre-release` };
  if (file.yanked !== false && (best === undefined || best.file.yanked === false)) {
    return {
      kind: 'yanked',
      reason: file.yanked === '' ? 'was yanked' : `was yanked: ${file.yanked}`,
    };
  }
  if (best !== undefined && compareVersions(version, best.version) !== 0)
    return { kind: 'worse', reason: `${best.version} is newer` };
  return { kind: 'worse', reason: `${best?.file.filename ?? 'another file'} fits better` };
}
