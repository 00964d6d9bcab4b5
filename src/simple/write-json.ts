import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile, ProjectDetail } from './model.ts';
import {
  type ApiVersion,
  apiVersionOf,
  offeredFiles,
  type PageWriting,
  versionSteps,
} from './page-facts.ts';
import { FILES_IN_STEP, joinPieces, type Pieces } from './slices.ts';

/**
 * A project page in its JSON form (PEP 691, 700, 714, 740, 792), without keys whose absence says the
 * same. One line; the order of keys is stable.
 */
export function writeJsonPage(detail: ProjectDetail, writing: PageWriting): string {
  return joinPieces(jsonPagePieces(detail, writing));
}

/** The root page in its JSON form (PEP 691). */
export function writeJsonList(names: Iterable<ProjectName>): string {
  const projects = Array.from(names, (name) => ({ name }));
  return JSON.stringify({ meta: { 'api-version': '1.4' }, projects });
}

/** {@link writeJsonPage}, piece by piece: none takes more than a few milliseconds. */
export function* jsonPagePieces(detail: ProjectDetail, writing: PageWriting): Pieces {
  const files = offeredFiles(detail);
  const apiVersion = apiVersionOf(files);
  const versions = apiVersion === '1.0' ? undefined : yield* versionSteps(detail);
  // The files go in last, behind all other keys.
  yield `${JSON.stringify(jsonHead(detail, apiVersion, versions)).slice(0, -1)},"files":[`;
  for (let at = 0; at < files.length; at += FILES_IN_STEP) {
    const slice = files.slice(at, at + FILES_IN_STEP).map((file) => jsonFile(file, writing));
    yield (at === 0 ? '' : ',') + JSON.stringify(slice).slice(1, -1);
  }
  yield ']}';
}

function jsonHead(
  detail: ProjectDetail,
  apiVersion: ApiVersion,
  versions: readonly string[] | undefined,
): object {
  const { name, status, statusReason, lastSerial, extra } = detail;
  const { meta: extraMeta, ...extraKeys } = extra;
  return {
    meta: withExtra(
      {
        'api-version': apiVersion,
        '_last-serial': lastSerial ?? undefined,
      },
      extraMeta,
    ),
    name,
    ...withExtra(
      {
        'project-status':
          status === 'active' ? undefined : { status, reason: statusReason ?? undefined },
        versions,
      },
      extraKeys,
      ['meta', 'name', 'files'],
    ),
  };
}

function jsonFile(file: DistributionFile, { linkTo, coreMetadataOf }: PageWriting): object {
  const coreMetadata = coreMetadataOf === undefined ? file.coreMetadata : coreMetadataOf(file);
  const known = {
    filename: file.filename,
    url: linkTo(file),
    hashes: file.hashes,
    'requires-python': file.requiresPython ?? undefined,
    size: file.sizeBytes ?? undefined,
    'upload-time': file.uploadTime ?? undefined,
    'core-metadata': coreMetadata === false ? undefined : coreMetadata,
    yanked: file.yanked === '' ? true : file.yanked === false ? undefined : file.yanked,
    provenance: file.provenance ?? undefined,
    'gpg-sig': file.gpgSig === true ? true : undefined,
  };
  return withExtra(known, file.extra);
}

/**
 * The known keys, then those of `extra` that they do not name, not even as undefined: an upstream's key
 * never overrides what we found out. `JSON.stringify` leaves the undefined ones out.
 */
function withExtra(
  known: Readonly<Record<string, unknown>>,
  extra: unknown,
  reserved: readonly string[] = [],
): Readonly<Record<string, unknown>> {
  if (typeof extra !== 'object' || extra === null || Object.keys(extra).length === 0) return known;
  const merged: Record<string, unknown> = { ...known };
  for (const [key, value] of Object.entries(extra)) {
    if (!Object.hasOwn(known, key) && !reserved.includes(key) && key !== '__proto__')
      merged[key] = value;
  }
  return merged;
}
