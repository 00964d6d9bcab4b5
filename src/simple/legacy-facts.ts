import type { ProjectName } from '../packaging/names.ts';
import { hashesAgree } from './hashes.ts';
import type { DistributionFile, Hashes, ProjectDetail } from './model.ts';
import { FILES_IN_STEP, finish, finishInSlices, type Steps } from './slices.ts';

/**
 * What the legacy JSON says about one file. `null` means "does not say"; the URL is left out on purpose:
 * some indexes give useless ones there.
 */
export interface LegacyFile {
  readonly hashes: Hashes;
  readonly sizeBytes: number | null;
  /** `YYYY-MM-DDThh:mm:ss[.ffffff]Z` (PEP 700). */
  readonly uploadTime: string | null;
  readonly requiresPython: string | null;
  /** `false`, or the reason, which may be empty (PEP 592). */
  readonly yanked: false | string;
  readonly coreMetadata: boolean | Hashes;
}

/** What a document of the legacy JSON API says (docs.pypi.org, "JSON API"). */
export interface LegacyFacts {
  readonly name: ProjectName;
  readonly lastSerial: number | null;
  /** What the document's own version requires (`info.requires_dist`); `null` when it does not say. */
  readonly requires: readonly string[] | null;
  /** By filename, without those whose listings contradict each other. */
  readonly files: ReadonlyMap<string, LegacyFile>;
}

/**
 * The page with what it leaves unsaid taken from the legacy JSON: sizes, upload times, `requires-python`,
 * digests of core metadata, reasons for a yank, the serial. What the page says stays, and a file is
 * completed only where its digests show that both mean the same bytes. Comes back as it is when there is
 * nothing to add.
 */
export function enrich(detail: ProjectDetail, facts: LegacyFacts): ProjectDetail {
  return finish(enrichSteps(detail, facts));
}

/** {@link enrich} in slices of a few milliseconds. */
export function enrichInSlices(detail: ProjectDetail, facts: LegacyFacts): Promise<ProjectDetail> {
  return finishInSlices(enrichSteps(detail, facts));
}

function* enrichSteps(detail: ProjectDetail, facts: LegacyFacts): Steps<ProjectDetail> {
  if (facts.name !== detail.name) return detail;
  const lastSerial = detail.lastSerial ?? facts.lastSerial;
  let isSame = lastSerial === detail.lastSerial;
  const files: DistributionFile[] = [];
  for (const [index, file] of detail.files.entries()) {
    if (index > 0 && index % FILES_IN_STEP === 0) yield;
    const enriched = enrichFile(file, facts.files.get(file.filename));
    if (enriched !== file) isSame = false;
    files.push(enriched);
  }
  return isSame ? detail : { ...detail, files, lastSerial };
}

function enrichFile(file: DistributionFile, facts: LegacyFile | undefined): DistributionFile {
  if (facts === undefined || !isSameFile(file.hashes, facts.hashes)) return file;
  const added = {
    sizeBytes: file.sizeBytes ?? facts.sizeBytes,
    uploadTime: file.uploadTime ?? facts.uploadTime,
    requiresPython: file.requiresPython ?? facts.requiresPython,
    coreMetadata:
      file.coreMetadata === false && facts.coreMetadata !== true
        ? facts.coreMetadata
        : file.coreMetadata,
    yanked: file.yanked === '' && facts.yanked !== false ? facts.yanked : file.yanked,
  };
  const isSame =
    added.sizeBytes === file.sizeBytes &&
    added.uploadTime === file.uploadTime &&
    added.requiresPython === file.requiresPython &&
    added.coreMetadata === file.coreMetadata &&
    added.yanked === file.yanked;
  return isSame ? file : { ...file, ...added };
}

/** Where the page gives a sha256, no weaker digest will do. */
function isSameFile(page: Hashes, legacy: Hashes): boolean {
  if (page['sha256'] !== undefined && legacy['sha256'] === undefined) return false;
  return hashesAgree(page, legacy);
}
