import { IntegrityError } from '../core/errors.ts';
import { parseFilename, type ParsedFilename } from './filenames.ts';
import { parseProjectName } from './names.ts';
import type { RandomAccess } from './random-access.ts';
import { compareVersions, isValidVersion } from './versions.ts';
import { readZipContent } from './zip-content.ts';
import { withZip, type ZipEntry } from './zip-directory.ts';

/** Bounds for what a wheel may make us do; all have defaults. */
export interface WheelLimits {
  /** Longest METADATA, inflated; 10 MB by default. */
  readonly maxMetadataBytes?: number;
  /** Inflated bytes for each compressed one; 100 by default. */
  readonly maxRatio?: number;
  /** Longest directory of the archive; 64 MB by default. */
  readonly maxDirectoryBytes?: number;
  /** 100,000 by default. */
  readonly maxEntries?: number;
}

const MEGABYTE = 1024 * 1024;
const MAX_METADATA_BYTES = 10 * MEGABYTE;
const MAX_RATIO = 100;
const MAX_DIRECTORY_BYTES = 64 * MEGABYTE;
const MAX_ENTRIES = 100_000;

/** A folder at the top of the archive, and what lies in it. */
const DIST_INFO_PATH = /^([^/]+)\.dist-info(?:\/(.*))?$/s;

/**
 * The bytes of `<name>-<version>.dist-info/METADATA` in the wheel `filename`, unchanged: their digest is
 * the one that an index lists (PEP 658). The folder must be the only one of its kind and agree with the
 * filename after normalization (PEP 427, 503, 440). Takes at most three reads, mostly one or two. Errors
 * of `access` pass through.
 *
 * @throws IntegrityError when there is no such document, more than one, or none that can be trusted
 */
export function readWheelMetadata(
  filename: string,
  access: RandomAccess,
  limits: WheelLimits = {},
): Promise<Uint8Array> {
  const wheel = parseFilename(filename);
  if (wheel?.kind !== 'wheel') {
    return Promise.reject(new IntegrityError(`${JSON.stringify(filename)} is no name of a wheel.`));
  }
  const directoryLimits = {
    wanted: '.dist-info',
    maxDirectoryBytes: limits.maxDirectoryBytes ?? MAX_DIRECTORY_BYTES,
    maxEntries: limits.maxEntries ?? MAX_ENTRIES,
  };
  return withZip(access, directoryLimits, (zip) =>
    readZipContent(zip, findMetadata(zip.entries, wheel), {
      maxBytes: limits.maxMetadataBytes ?? MAX_METADATA_BYTES,
      maxRatio: limits.maxRatio ?? MAX_RATIO,
    }),
  );
}

function findMetadata(entries: readonly ZipEntry[], wheel: ParsedFilename): ZipEntry {
  const stems = new Set<string>();
  const documents: ZipEntry[] = [];
  for (const entry of entries) {
    const [, stem, path] = DIST_INFO_PATH.exec(entry.name) ?? [];
    if (stem === undefined) continue;
    stems.add(stem);
    if (path === 'METADATA') documents.push(entry);
  }
  const [stem] = stems;
  if (stem === undefined) throw new IntegrityError('The wheel has no .dist-info folder.');
  if (stems.size > 1) throw new IntegrityError('The wheel has more than one .dist-info folder.');
  if (!isStemOf(stem, wheel)) {
    throw new IntegrityError(
      `The wheel of ${wheel.project} ${wheel.version} has the folder ${JSON.stringify(`${stem}.dist-info`)}.`,
    );
  }
  const [document] = documents;
  if (document === undefined) throw new IntegrityError('The wheel has no METADATA.');
  if (documents.length > 1) throw new IntegrityError('The wheel has two METADATA.');
  return document;
}

/** Old tools left hyphens in either part, so that each one may be the place where they meet. */
function isStemOf(stem: string, { project, version }: ParsedFilename): boolean {
  for (let at = stem.indexOf('-'); at !== -1; at = stem.indexOf('-', at + 1)) {
    if (parseProjectName(stem.slice(0, at)) !== project) continue;
    if (isSameVersion(stem.slice(at + 1), version)) return true;
  }
  return false;
}

function isSameVersion(written: string, version: string): boolean {
  const spellings = [written, written.replaceAll('_', '-')];
  return spellings.some(
    (spelling) =>
      spelling === version ||
      (isValidVersion(spelling) &&
        isValidVersion(version) &&
        compareVersions(spelling, version) === 0),
  );
}
