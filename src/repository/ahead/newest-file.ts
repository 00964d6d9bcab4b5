import { parseFilename } from '../../packaging/filenames.ts';
import type { Installer } from '../../packaging/installer.ts';
import { compareVersions, isPrerelease, matchesSpecifier } from '../../packaging/versions.ts';
import type { DistributionFile, ProjectDetail } from '../../simple/model.ts';
import { FILES_IN_STEP } from '../../simple/slices.ts';
import type { Steps } from '../../simple/slices.ts';

/** Indexes list the newest files at one end of the page; the middle of a long one is not looked at. */
const LOOKED_AT_EACH_END = 400;

interface Candidate {
  readonly file: DistributionFile;
  readonly version: string;
  readonly rank: number;
}

/**
 * The wheel that an installer takes if nothing speaks against the newest: the best of the newest final
 * version that is not yanked, fits its machine and all `specifiers`. A guess: whoever needs the right answer
 * asks `judgeFiles`.
 */
export function* newestFile(
  { name, files }: ProjectDetail,
  { machine }: Installer,
  specifiers: ReadonlySet<string>,
): Steps<DistributionFile | undefined> {
  let best: Candidate | undefined;
  for (const [index, file] of atBothEnds(files).entries()) {
    if (index > 0 && index % FILES_IN_STEP === 0) yield;
    if (file.yanked !== false || !file.filename.endsWith('.whl')) continue;
    const parsed = parseFilename(file.filename, name);
    if (parsed?.tags === undefined || parsed.project !== name) continue;
    const { version, tags } = parsed;
    // Looked at first, as it costs least: most files are older than the best so far.
    const age = best === undefined ? 1 : compareVersions(version, best.version);
    if (age < 0) continue;
    const rank = machine === null ? 0 : machine.ranking.rankOf(tags);
    if (rank === null || (best !== undefined && age === 0 && rank >= best.rank)) continue;
    if (age > 0 && !fits(version, file, machine?.interpreter.fullVersion, specifiers)) continue;
    best = { file, version, rank };
  }
  return best?.file;
}

function atBothEnds(files: readonly DistributionFile[]): readonly DistributionFile[] {
  if (files.length <= 2 * LOOKED_AT_EACH_END) return files.toReversed();
  return [...files.slice(-LOOKED_AT_EACH_END).toReversed(), ...files.slice(0, LOOKED_AT_EACH_END)];
}

function fits(
  version: string,
  { requiresPython }: DistributionFile,
  python: string | undefined,
  specifiers: ReadonlySet<string>,
): boolean {
  if (isPrerelease(version)) return false;
  const prereleases = { prereleases: true };
  for (const specifier of specifiers) {
    if (specifier !== '' && !matchesSpecifier(version, specifier, prereleases)) return false;
  }
  return (
    python === undefined ||
    requiresPython === null ||
    matchesSpecifier(python, requiresPython, prereleases)
  );
}
