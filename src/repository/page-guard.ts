import { isMutableFilename } from '../packaging/filenames.ts';
import type { DistributionFile, ProjectDetail } from '../simple/model.ts';
import { FILES_IN_STEP, finishInSlices } from '../simple/slices.ts';
import type { Steps } from '../simple/slices.ts';

/** A known filename that is now listed with another digest. */
export interface ChangedDigest {
  readonly filename: string;
  readonly was: string;
  readonly now: string;
}

/** What to make of a new page in the light of the one that is stored. */
export interface PageJudgement {
  /** The new page, with the old entry wherever a digest has changed. */
  readonly detail: ProjectDetail;
  readonly changed: readonly ChangedDigest[];
  /**
   * Why the page looks older than the stored one; `null` when it does not. `serial`: its serial is lower.
   * `emptied`: all files vanished, without a quarantine or a higher serial.
   */
  readonly wentBack: { readonly kind: 'serial' | 'emptied'; readonly message: string } | null;
}

/**
 * Holds a new page against the stored one. Files (but for those of variants) never change under their name,
 * so a changed digest is an attack or an accident: the old entry stays. A content network that serves an old copy shows
 * by a serial that falls, or by files that are suddenly gone. Works in slices of a few milliseconds.
 */
export function judgePage(known: ProjectDetail, next: ProjectDetail): Promise<PageJudgement> {
  return finishInSlices(judgeSteps(known, next));
}

function* judgeSteps(known: ProjectDetail, next: ProjectDetail): Steps<PageJudgement> {
  const changed: ChangedDigest[] = [];
  const before = new Map<string, DistributionFile>();
  for (const [index, file] of known.files.entries()) {
    if (index > 0 && index % (4 * FILES_IN_STEP) === 0) yield;
    before.set(file.filename, file);
  }
  const files: DistributionFile[] = [];
  for (const [index, file] of next.files.entries()) {
    if (index > 0 && index % (4 * FILES_IN_STEP) === 0) yield;
    const old = before.get(file.filename);
    const was = old?.hashes['sha256'];
    const now = file.hashes['sha256'];
    const isSame = was === undefined || now === undefined || was === now;
    if (old === undefined || isSame || isMutableFilename(file.filename)) {
      files.push(file);
      continue;
    }
    changed.push({ filename: file.filename, was, now });
    files.push(withFactsOf(old, file));
  }
  return { detail: { ...next, files }, changed, wentBack: wentBack(known, next) };
}

/** The old file with what may change about it: whether it is yanked. */
function withFactsOf(old: DistributionFile, next: DistributionFile): DistributionFile {
  return { ...old, yanked: next.yanked };
}

function wentBack(known: ProjectDetail, next: ProjectDetail): PageJudgement['wentBack'] {
  const [was, now] = [known.lastSerial, next.lastSerial];
  if (was !== null && now !== null && now < was) {
    return { kind: 'serial', message: `its serial fell from ${was} to ${now}` };
  }
  const isExplained = next.status === 'quarantined' || (was !== null && now !== null && now > was);
  if (known.files.length > 0 && next.files.length === 0 && !isExplained) {
    return { kind: 'emptied', message: `all of its ${known.files.length} files are gone` };
  }
  return null;
}
