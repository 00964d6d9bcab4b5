import { InvalidUpstreamAnswerError } from '../core/errors.ts';
import { fileBelongsTo, isDistributionFilename } from '../packaging/filenames.ts';
import { parseProjectName, type ProjectName } from '../packaging/names.ts';
import { isWholeNumber, nonEmptyString, parseUploadTime } from './facts.ts';
import { hashesContradict, parseHashes } from './hashes.ts';
import { parseJsonSteps } from './json-steps.ts';
import { isJsonObject, type JsonObject } from './json-values.ts';
import type { LegacyFacts, LegacyFile } from './legacy-facts.ts';
import { readCoreMetadata } from './read-json.ts';
import { FILES_IN_STEP, finish, finishInSlices, type Steps } from './slices.ts';

export { enrich, enrichInSlices, type LegacyFacts } from './legacy-facts.ts';

/**
 * Reads a document of the legacy JSON API about `project`, of all its releases or of one. Entries that
 * cannot be used are left out.
 *
 * @throws InvalidUpstreamAnswerError when the text is no JSON object or is about another project
 */
export function readLegacyJson(text: string, project: ProjectName): LegacyFacts {
  return finish(readLegacySteps(Buffer.from(text), project));
}

/**
 * {@link readLegacyJson} of the bytes of a document, in slices of a few milliseconds.
 *
 * @throws InvalidUpstreamAnswerError as {@link readLegacyJson}, and when the bytes are not UTF-8
 */
export function readLegacyJsonInSlices(
  body: Uint8Array,
  project: ProjectName,
): Promise<LegacyFacts> {
  return finishInSlices(readLegacySteps(body, project));
}

function* readLegacySteps(body: Uint8Array, project: ProjectName): Steps<LegacyFacts> {
  const document = yield* parseDocument(body);
  const info = isJsonObject(document['info']) ? document['info'] : {};
  checkName(info['name'], project);
  yield;
  // `null` where the listings of one filename contradict each other.
  const files = new Map<string, LegacyFile | null>();
  let count = 0;
  for (const entry of entriesOf(document)) {
    if (++count % FILES_IN_STEP === 0) yield;
    if (!isJsonObject(entry)) continue;
    const { filename } = entry;
    if (typeof filename !== 'string' || !isFileOf(filename, project)) continue;
    const file = readEntry(entry);
    if (file === undefined) continue;
    const known = files.get(filename);
    if (known === undefined) files.set(filename, file);
    else if (known !== null && hashesContradict(known.hashes, file.hashes))
      files.set(filename, null);
  }
  const serial = document['last_serial'];
  yield;
  return {
    name: project,
    lastSerial: isWholeNumber(serial) ? serial : null,
    requires: readRequires(info['requires_dist']),
    files: withoutContradictions(files),
  };
}

function* parseDocument(body: Uint8Array): Steps<JsonObject> {
  let document: unknown;
  try {
    document = yield* parseJsonSteps(body, ['releases']);
  } catch (cause) {
    throw new InvalidUpstreamAnswerError('The legacy JSON is not valid JSON.', { cause });
  }
  if (isJsonObject(document)) return document;
  throw new InvalidUpstreamAnswerError('The legacy JSON is not an object.');
}

function readRequires(requires: unknown): readonly string[] | null {
  if (!Array.isArray(requires)) return null;
  return requires.filter((text): text is string => typeof text === 'string');
}

function checkName(name: unknown, project: ProjectName): void {
  if (name === undefined || name === null) return;
  if (typeof name === 'string' && parseProjectName(name) === project) return;
  throw new InvalidUpstreamAnswerError(
    `The legacy JSON for ${project} is about ${JSON.stringify(name).slice(0, 80)}.`,
  );
}

/** `releases` holds every file; a document about one version has `urls` only. */
function* entriesOf(document: JsonObject): Generator<unknown, void, undefined> {
  const { releases, urls } = document;
  if (isJsonObject(releases)) {
    for (const entries of Object.values(releases)) if (Array.isArray(entries)) yield* entries;
  }
  if (Array.isArray(urls)) yield* urls;
}

function isFileOf(filename: string, project: ProjectName): boolean {
  return isDistributionFilename(filename) && fileBelongsTo(filename, project);
}

function readEntry(entry: JsonObject): LegacyFile | undefined {
  const hashes = parseHashes(entry['digests']);
  if (hashes === undefined) return undefined;
  const { size } = entry;
  return {
    hashes,
    sizeBytes: isWholeNumber(size) ? size : null,
    uploadTime: readUploadTime(entry),
    requiresPython: wellFormed(nonEmptyString(entry['requires_python'])),
    yanked:
      entry['yanked'] === true ? (wellFormed(nonEmptyString(entry['yanked_reason'])) ?? '') : false,
    coreMetadata: readCoreMetadata(entry),
  };
}

/** The older of the two keys is in UTC without saying so. */
function readUploadTime(entry: JsonObject): string | null {
  const exact = parseUploadTime(entry['upload_time_iso_8601']);
  if (exact !== null) return exact;
  const time = entry['upload_time'];
  return typeof time === 'string' ? parseUploadTime(`${time}Z`) : null;
}

/** Half a character (a lone surrogate) could not be written as UTF-8. */
function wellFormed(text: string | null): string | null {
  return text === null || /\p{Cs}/u.test(text) ? null : text;
}

function withoutContradictions(
  files: ReadonlyMap<string, LegacyFile | null>,
): ReadonlyMap<string, LegacyFile> {
  const usable = new Map<string, LegacyFile>();
  for (const [filename, file] of files) if (file !== null) usable.set(filename, file);
  return usable;
}
