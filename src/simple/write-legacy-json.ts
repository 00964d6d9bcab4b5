import type { MetadataFacts } from '../packaging/core-metadata.ts';
import {
  type DistributionKind,
  parseFilename,
  type ParsedFilename,
} from '../packaging/filenames.ts';
import { parseProjectName, type ProjectName } from '../packaging/names.ts';
import { isPrerelease, normalizeVersion, sortVersions } from '../packaging/versions.ts';
import type { DistributionFile, ProjectDetail } from './model.ts';
import { offeredFiles } from './page-facts.ts';
import { FILES_IN_STEP, finishInSlices, joinPieces, type Pieces, type Steps } from './slices.ts';

/** How a document of the legacy JSON API is written. */
export interface LegacyWriting {
  /** Only this release, in any spelling (PEP 440); all of them by default. */
  readonly version?: string | undefined;
  /**
   * The URL of a file as it shall stand in the document. pip-tools compares it with the URL that pip
   * made out of the index page, so it has to be absolute and percent-encoded the same way.
   */
  readonly linkTo: (file: DistributionFile) => string;
  /** Core metadata of the release that the document is about; that of another one is passed over. */
  readonly metadata?: MetadataFacts | undefined;
}

interface Release {
  readonly version: string;
  readonly files: readonly ReleaseFile[];
}

interface ReleaseFile {
  readonly file: DistributionFile;
  readonly parsed: ParsedFilename;
}

/** `packagetype` (docs.pypi.org, "JSON API"). Variants (PEP 817) are no packages. */
const PACKAGE_TYPES: Readonly<Record<Exclude<DistributionKind, 'variants'>, string>> = {
  wheel: 'bdist_wheel',
  sdist: 'sdist',
  egg: 'bdist_egg',
  dumb: 'bdist_dumb',
  wininst: 'bdist_wininst',
  msi: 'bdist_msi',
  rpm: 'bdist_rpm',
  deb: 'bdist_deb',
  dmg: 'bdist_dmg',
};

/**
 * A document of the legacy JSON API made of what the page and core metadata say, or `undefined` when the
 * project offers no file, or none of the asked version. What is not known is `null`; known
 * vulnerabilities are left out, since an empty list would say that there are none. Versions are in
 * normalized form: pip-tools looks for them so.
 */
export function writeLegacyJson(detail: ProjectDetail, writing: LegacyWriting): string | undefined {
  const text = joinPieces(legacyJsonPieces(detail, writing));
  return text === '' ? undefined : text;
}

/**
 * The version that a legacy document about the whole project describes: the newest final one that is not
 * yanked, else the newest pre-release, else the newest yanked one. `undefined` when no file is offered.
 * Its core metadata is what {@link writeLegacyJson} can use.
 */
export async function describedVersion(detail: ProjectDetail): Promise<string | undefined> {
  return newestRelease(await finishInSlices(releaseSteps(detail)))?.version;
}

/**
 * {@link writeLegacyJson}, piece by piece: none takes more than a few milliseconds. No piece at all stands
 * for "no such document".
 */
export function* legacyJsonPieces(detail: ProjectDetail, writing: LegacyWriting): Pieces {
  const releases = yield* releaseSteps(detail);
  const { version } = writing;
  const described =
    version === undefined
      ? newestRelease(releases)
      : releases.get(normalizeVersion(version) ?? version);
  if (described === undefined) return;
  const head = JSON.stringify({
    info: legacyInfo(detail, described, writing.metadata),
    last_serial: detail.lastSerial,
  });
  yield `${head.slice(0, -1)},`;
  if (version === undefined) yield* releasesPieces(releases.values(), writing);
  yield '"urls":[';
  yield* fileListPieces(described, writing);
  yield ']}';
}

function* releasesPieces(releases: Iterable<Release>, writing: LegacyWriting): Pieces {
  let text = '"releases":{';
  let handled = 0;
  for (const [index, release] of [...releases].entries()) {
    text += `${index === 0 ? '' : ','}${JSON.stringify(release.version)}:[`;
    if (release.files.length > FILES_IN_STEP) {
      yield text;
      yield* fileListPieces(release, writing);
      text = '';
    } else text += joinPieces(fileListPieces(release, writing));
    text += ']';
    handled += release.files.length;
    if (handled > FILES_IN_STEP) {
      yield text;
      text = '';
      handled = 0;
    }
  }
  yield `${text}},`;
}

/** Releases by version, oldest first. */
function* releaseSteps(detail: ProjectDetail): Steps<ReadonlyMap<string, Release>> {
  const found = new Map<string, ReleaseFile[]>();
  for (const [index, file] of offeredFiles(detail).entries()) {
    if (index > 0 && index % FILES_IN_STEP === 0) yield;
    const parsed = parseFilename(file.filename, detail.name);
    if (parsed === undefined || parsed.kind === 'variants') continue;
    const version = normalizeVersion(parsed.version) ?? parsed.version;
    const files = found.get(version) ?? [];
    files.push({ file, parsed });
    found.set(version, files);
  }
  return new Map(
    sortVersions(found.keys()).map((version) => [
      version,
      { version, files: found.get(version) ?? [] },
    ]),
  );
}

function newestRelease(releases: ReadonlyMap<string, Release>): Release | undefined {
  const newestFirst = [...releases.values()].reverse();
  const wanted = newestFirst.filter((release) => !isYanked(release));
  return (
    wanted.find(
      ({ version }) => normalizeVersion(version) !== undefined && !isPrerelease(version),
    ) ??
    wanted[0] ??
    newestFirst[0]
  );
}

function isYanked({ files }: Release): boolean {
  return files.every(({ file }) => file.yanked !== false);
}

function* fileListPieces({ files }: Release, writing: LegacyWriting): Pieces {
  for (let at = 0; at < files.length; at += FILES_IN_STEP) {
    const slice = files.slice(at, at + FILES_IN_STEP).map((file) => legacyFile(file, writing));
    yield (at === 0 ? '' : ',') + JSON.stringify(slice).slice(1, -1);
  }
}

function legacyFile({ file, parsed }: ReleaseFile, { linkTo }: LegacyWriting): object {
  const { hashes, uploadTime, yanked } = file;
  return {
    comment_text: null,
    digests: hashes,
    downloads: -1,
    filename: file.filename,
    has_sig: file.gpgSig ?? false,
    md5_digest: hashes['md5'] ?? null,
    packagetype: parsed.kind === 'variants' ? null : PACKAGE_TYPES[parsed.kind],
    python_version: pythonVersion(parsed, file.filename),
    requires_python: file.requiresPython,
    size: file.sizeBytes,
    upload_time: uploadTime === null ? null : uploadTime.slice(0, 'YYYY-MM-DDThh:mm:ss'.length),
    upload_time_iso_8601: uploadTime,
    url: linkTo(file),
    yanked: yanked !== false,
    yanked_reason: yanked === false || yanked === '' ? null : yanked,
  };
}

function pythonVersion({ kind, tags }: ParsedFilename, filename: string): string {
  if (tags !== undefined) return tags.python.join('.');
  if (kind === 'sdist') return 'source';
  return /-py(\d[\d.]*\d|\d)/.exec(filename)?.[1] ?? 'any';
}

function legacyInfo(
  { name }: ProjectDetail,
  release: Release,
  metadata: MetadataFacts | undefined,
): object {
  const { version, files } = release;
  const known = metadata !== undefined && isAbout(metadata, name, version) ? metadata : undefined;
  const yanked = isYanked(release) ? files.map(({ file }) => file.yanked) : [];
  const reason = yanked.find((why) => why !== false && why !== '');
  return {
    home_page: known?.homePage ?? null,
    name: known?.name ?? name,
    project_urls: known === undefined ? null : Object.fromEntries(known.projectUrls),
    provides_extra: known?.providesExtra ?? null,
    requires_dist: known?.requiresDist ?? null,
    requires_python: known?.requiresPython ?? files[0]?.file.requiresPython ?? null,
    summary: known?.summary ?? null,
    version,
    yanked: yanked.length > 0,
    yanked_reason: reason ?? null,
  };
}

function isAbout(metadata: MetadataFacts, name: ProjectName, version: string): boolean {
  const written = normalizeVersion(metadata.version) ?? metadata.version;
  return parseProjectName(metadata.name) === name && written === version;
}
