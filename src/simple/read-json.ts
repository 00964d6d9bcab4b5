import { InvalidUpstreamAnswerError } from '../core/errors.ts';
import { parseProjectName } from '../packaging/names.ts';
import {
  checkApiVersion,
  isWholeNumber,
  nonEmptyString,
  parseStatus,
  parseUploadTime,
} from './facts.ts';
import { FileGathering } from './file-gathering.ts';
import { hashesContradict, parseHashes } from './hashes.ts';
import type { DistributionFile, Hashes, ProjectDetail } from './model.ts';
import type { PageContext, PageReading } from './page-reading.ts';
import { FILES_IN_STEP, finish, type Steps } from './slices.ts';
import { parseJsonSteps } from './json-steps.ts';
import { hasLoneSurrogate, isJsonObject, type JsonObject, unknownKeys } from './json-values.ts';

/** Keys of a file that this version reads; the last two are old or mistaken names of `core-metadata`. */
const FILE_KEYS: ReadonlySet<string> = new Set([
  'filename',
  'url',
  'hashes',
  'requires-python',
  'size',
  'upload-time',
  'yanked',
  'gpg-sig',
  'provenance',
  'core-metadata',
  'dist-info-metadata',
  'data-dist-info-metadata',
]);
const PAGE_KEYS: ReadonlySet<string> = new Set([
  'meta',
  'name',
  'project-status',
  'versions',
  'files',
]);
const META_KEYS: ReadonlySet<string> = new Set(['api-version', '_last-serial']);

/**
 * Reads a project page in its JSON form (PEP 691, 700, 714, 740, 792). Entries that cannot be used are
 * left out and counted; keys that are not known are kept.
 *
 * @throws InvalidUpstreamAnswerError when the text is no JSON object with an array of files, speaks
 *   another major version, holds a lone surrogate, or is about another project
 */
export function readJsonPage(text: string, context: PageContext): PageReading {
  return finish(readJsonSteps(text, context));
}

/**
 * {@link readJsonPage} in steps, of a text or of the bytes of one.
 *
 * @throws InvalidUpstreamAnswerError as {@link readJsonPage}, and when the bytes are not UTF-8
 */
export function* readJsonSteps(
  source: string | Uint8Array,
  context: PageContext,
): Steps<PageReading> {
  const page = yield* parsePage(source);
  const meta = isJsonObject(page['meta']) ? page['meta'] : {};
  checkApiVersion(meta['api-version']);
  checkName(page['name'], context);
  const entries: unknown = page['files'];
  if (!Array.isArray(entries))
    throw new InvalidUpstreamAnswerError('The JSON page has no array of files.');
  yield;
  const gathering = new FileGathering(context);
  for (const [index, entry] of entries.entries()) {
    if (index > 0 && index % FILES_IN_STEP === 0) yield;
    const file = readFile(entry, gathering);
    if (file !== undefined) gathering.add(file);
  }
  return {
    detail: readDetail(page, meta, context, gathering.files()),
    dropped: gathering.dropped(),
    conflicts: gathering.conflicts(),
    looksLikeIndex: true,
  };
}

function* parsePage(source: string | Uint8Array): Steps<JsonObject> {
  let page: unknown;
  try {
    page = yield* parseSource(source);
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof TypeError)) throw cause;
    const what = cause instanceof SyntaxError ? 'valid JSON' : 'UTF-8';
    throw new InvalidUpstreamAnswerError(`The JSON page is not ${what}.`, { cause });
  }
  if (!isJsonObject(page)) throw new InvalidUpstreamAnswerError('The JSON page is not an object.');
  return page;
}

function* parseSource(source: string | Uint8Array): Steps<unknown> {
  if (typeof source !== 'string') return yield* parseJsonSteps(source, ['files'], checkCharacters);
  const page: unknown = JSON.parse(source);
  checkCharacters(source, page);
  return page;
}

function checkCharacters(text: string, value: unknown): void {
  if (!hasLoneSurrogate(text, value)) return;
  throw new InvalidUpstreamAnswerError('The JSON page holds half a character (a lone surrogate).');
}

/** A page about another project would poison that name for everybody. */
function checkName(name: unknown, { project }: PageContext): void {
  if (name === undefined) return;
  if (typeof name === 'string' && parseProjectName(name) === project) return;
  throw new InvalidUpstreamAnswerError(
    `The JSON page for ${project} is about ${JSON.stringify(name)?.slice(0, 80)}.`,
  );
}

function readDetail(
  page: JsonObject,
  meta: JsonObject,
  { project, serial }: PageContext,
  files: readonly DistributionFile[],
): ProjectDetail {
  const marker = page['project-status'];
  const { status, reason } = isJsonObject(marker) ? marker : { status: marker, reason: undefined };
  const versions = page['versions'];
  const extraMeta = unknownKeys(meta, META_KEYS);
  const extra = unknownKeys(page, PAGE_KEYS);
  return {
    name: project,
    status: parseStatus(status),
    statusReason: nonEmptyString(reason),
    versions: Array.isArray(versions)
      ? versions.filter((version): version is string => typeof version === 'string')
      : null,
    files,
    lastSerial: serial ?? (isWholeNumber(meta['_last-serial']) ? meta['_last-serial'] : null),
    extra: Object.keys(extraMeta).length === 0 ? extra : { ...extra, meta: extraMeta },
  };
}

function readFile(entry: unknown, gathering: FileGathering): DistributionFile | undefined {
  if (!isJsonObject(entry)) return gathering.drop('bad-entry');
  const { filename, url, size } = entry;
  if (typeof filename !== 'string' || typeof url !== 'string') return gathering.drop('bad-entry');
  const link = gathering.follow(url);
  if (link === undefined) return undefined;
  if (link.filename !== filename) return gathering.drop('filename-mismatch');
  const hashes = parseHashes(entry['hashes']);
  if (hashes === undefined || hashesContradict(hashes, link.hashes))
    return gathering.drop('bad-hash');
  if (size !== undefined && size !== null && !isWholeNumber(size))
    return gathering.drop('bad-size');
  const provenance = nonEmptyString(entry['provenance']);
  return {
    filename,
    url: link.url,
    hashes: { ...link.hashes, ...hashes },
    requiresPython: nonEmptyString(entry['requires-python']),
    sizeBytes: size ?? null,
    uploadTime: parseUploadTime(entry['upload-time']),
    coreMetadata: readCoreMetadata(entry),
    yanked: readYanked(entry['yanked']),
    provenance: provenance === null ? null : (gathering.resolve(provenance) ?? null),
    gpgSig: typeof entry['gpg-sig'] === 'boolean' ? entry['gpg-sig'] : null,
    extra: unknownKeys(entry, FILE_KEYS),
  };
}

/**
 * What a file's entry says about its core metadata (PEP 714). The new name of the key wins; PyPI itself
 * writes the HTML attribute's name beside it.
 */
export function readCoreMetadata(entry: JsonObject): boolean | Hashes {
  const value =
    entry['core-metadata'] ?? entry['dist-info-metadata'] ?? entry['data-dist-info-metadata'];
  if (!isJsonObject(value)) return value === true;
  const hashes = parseHashes(value);
  if (hashes === undefined) return false;
  return Object.keys(hashes).length === 0 ? true : hashes;
}

/** An empty string is falsy, and so not yanked (PEP 691). */
function readYanked(value: unknown): false | string {
  if (value === true) return '';
  return nonEmptyString(value) ?? false;
}
