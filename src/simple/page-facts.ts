import { parseFilename } from '../packaging/filenames.ts';
import { normalizeVersion, sortVersions } from '../packaging/versions.ts';
import type { DistributionFile, Hashes, ProjectDetail } from './model.ts';
import { FILES_IN_STEP, type Steps } from './slices.ts';

/** How a page is written. */
export interface PageWriting {
  /** The link to a file as it shall stand in the page: a URL reference, already percent-encoded. */
  readonly linkTo: (file: DistributionFile) => string;
  /**
   * The core metadata to advertise for a file; by default what the file says. An advertised document
   * that is missing or differs is fatal for pip and uv.
   */
  readonly coreMetadataOf?: (file: DistributionFile) => boolean | Hashes;
  /**
   * Whether HTML advertises core metadata by the misnomer of PEP 658, too; `true` by default. pip 22.3 to
   * 23.1 know only that one, and stumble over names that are not normalized (PEP 714): pages that are
   * read without a server to negotiate JSON with do better without.
   */
  readonly withOldMetadataName?: boolean;
}

/** The version of the Simple API that a page of ours declares (PEP 629). */
export type ApiVersion = '1.0' | '1.4';

/** `1.4` if every file has the size that 1.1 and later demand (PEP 700), else `1.0`. */
export function apiVersionOf(files: readonly DistributionFile[]): ApiVersion {
  return files.every((file) => file.sizeBytes !== null) ? '1.4' : '1.0';
}

/** The files that a page offers: of a quarantined project none (PEP 792; no installer checks that). */
export function offeredFiles({ status, files }: ProjectDetail): readonly DistributionFile[] {
  return status === 'quarantined' ? [] : files;
}

/** The versions that an index names, else those of its files, normalized and sorted (PEP 700). */
export function* versionSteps({ name, versions, files }: ProjectDetail): Steps<readonly string[]> {
  if (versions !== null) return versions;
  const spellings = new Set<string>();
  const normalized = new Set<string>();
  for (const [index, { filename }] of files.entries()) {
    if (index > 0 && index % FILES_IN_STEP === 0) yield;
    const spelling = parseFilename(filename, name)?.version;
    if (spelling === undefined || spellings.has(spelling)) continue;
    spellings.add(spelling);
    const version = normalizeVersion(spelling);
    if (version !== undefined) normalized.add(version);
  }
  return sortVersions(normalized);
}
