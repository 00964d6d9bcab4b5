/** What a bundle says of itself: every file with its size and sha256, and what the packages are. */
import { createHash } from 'node:crypto';
import { IntegrityError } from '../core/errors.ts';
import { fileBelongsTo, isSafeSegment } from '../packaging/filenames.ts';
import { parseProjectName } from '../packaging/names.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';

/** Its name at the top of every bundle; the first entry of an archive. */
export const MANIFEST_NAME = 'bundle.json';

/** A longer one is no manifest of ours: a million files take less. */
export const MOST_MANIFEST_BYTES: number = 512 * 1024 * 1024;
/** A page of 100,000 files is shorter. */
export const MOST_PAGE_BYTES: number = 128 * 1024 * 1024;
const MOST_FILES = 2_000_000;
const LONGEST_PATH = 1024;

/** A page or a script of the bundle. */
export interface BundledPart {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** A wheel or sdist, or core metadata beside its wheel. */
export interface BundledFile extends BundledPart {
  readonly project: ProjectName;
  /** The facts its index listed; `null` for core metadata. */
  readonly entry: DistributionFile | null;
}

/** The whole of `bundle.json`. */
export interface Manifest {
  readonly format: 1;
  /** sha256 of the manifest of the bundle that this one only adds to; `null` for a whole one. */
  readonly since: string | null;
  /** Pages, scripts: everything but the packages, sorted by path. */
  readonly parts: readonly BundledPart[];
  /** The packages that are in the bundle, sorted by path. */
  readonly files: readonly BundledFile[];
  /** The packages of the earlier bundle that belong to the set as well, sorted by path. */
  readonly needs: readonly BundledFile[];
}

/** `bundle.json`, the same bytes for the same content. */
export function writeManifest(manifest: Manifest): Buffer {
  const { files, needs, ...rest } = manifest;
  const document = { ...rest, files: files.map(withFacts), needs: needs.map(withFacts) };
  return Buffer.from(`${JSON.stringify(document, null, 1)}\n`);
}

/** Of what an index says, all that does not stand in the manifest anyway. */
function withFacts({ entry, ...file }: BundledFile): object {
  if (entry === null) return file;
  const { filename, url, requiresPython, uploadTime, yanked, gpgSig } = entry;
  return { ...file, entry: { filename, url, requiresPython, uploadTime, yanked, gpgSig } };
}

/** What tells one bundle from another: sha256 of `bundle.json`, hexadecimal. */
export function bundleDigest(manifest: Uint8Array): string {
  return createHash('sha256').update(manifest).digest('hex');
}

/** Whether it is core metadata, by its path. */
export function isMetadata({ path }: Pick<BundledPart, 'path'>): boolean {
  return path.endsWith('.metadata');
}

/** The last segment of a path. */
export function filenameOf({ path }: Pick<BundledPart, 'path'>): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** All packages of the set, here or in the earlier bundle. */
export function filesOfSet({ files, needs }: Pick<Manifest, 'files' | 'needs'>): BundledFile[] {
  return [...files, ...needs].toSorted(byPath);
}

/** In the order of an archive: by code units, the same on every machine. */
export function byPath(one: BundledPart, other: BundledPart): number {
  if (one.path === other.path) return 0;
  return one.path < other.path ? -1 : 1;
}

/**
 * Reads what a stranger may have written.
 *
 * @throws IntegrityError that names the first thing that is wrong
 */
export function readManifest(bytes: Uint8Array): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new IntegrityError(`${MANIFEST_NAME} is no JSON.`, { cause });
  }
  const manifest = objectAt(value, MANIFEST_NAME);
  if (manifest['format'] !== 1) {
    throw new IntegrityError(`${MANIFEST_NAME} has format ${shown(manifest['format'])}, not 1.`, {
      hint: 'It may come from a newer version of Wheelcellar.',
    });
  }
  const { since } = manifest;
  if (since !== null && !isDigest(since))
    throw new IntegrityError(`${MANIFEST_NAME}: "since" is no sha256.`);
  const seen = new Set<string>([MANIFEST_NAME]);
  const read: Manifest = {
    format: 1,
    since,
    parts: listAt(manifest, 'parts').map((part) => readPart(part, seen, isPartPath)),
    files: listAt(manifest, 'files').map((file) => readFile(file, seen)),
    needs: listAt(manifest, 'needs').map((file) => readFile(file, seen)),
  };
  if (since === null && read.needs.length > 0)
    throw new IntegrityError(`${MANIFEST_NAME} needs files, but names no earlier bundle.`);
  checkSet(read);
  return read;
}

/** Whether a path lies where it belongs: no `..`, nothing absolute, names that every file system takes. */
export function isSafePath(path: string): boolean {
  return path.length <= LONGEST_PATH && path.split('/').every((segment) => isSafeName(segment));
}

/** `-` and `@host:port` are folders of ours; the rest is as strict as names of files are. */
function isSafeName(segment: string): boolean {
  return segment === '-' || isSafeSegment(segment);
}

const PART_PATH = /^(?:bootstrap\.py|README\.txt|simple\/(?:([a-z0-9-]+)\/)?index\.(?:html|json))$/;

function isPartPath(path: string): boolean {
  return PART_PATH.test(path);
}

function readPart(
  value: unknown,
  seen: Set<string>,
  isPlace: (path: string) => boolean,
): BundledPart {
  const part = objectAt(value, 'an entry');
  const { path, sizeBytes, sha256 } = part;
  if (typeof path !== 'string' || !isSafePath(path) || !isPlace(path))
    throw new IntegrityError(
      `${MANIFEST_NAME} names ${shown(path)}, which is no place in a bundle.`,
    );
  if (typeof sizeBytes !== 'number' || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0)
    throw new IntegrityError(`${MANIFEST_NAME}: ${path} has no size.`);
  if (!isDigest(sha256)) throw new IntegrityError(`${MANIFEST_NAME}: ${path} has no sha256.`);
  if (seen.has(path)) throw new IntegrityError(`${MANIFEST_NAME} names ${path} twice.`);
  if (seen.size > MOST_FILES) throw new IntegrityError(`${MANIFEST_NAME} names too many files.`);
  seen.add(path);
  return { path, sizeBytes, sha256 };
}

function readFile(value: unknown, seen: Set<string>): BundledFile {
  const part = readPart(value, seen, (path) => /^packages\/[^/]+\/./.test(path));
  const { project: name, entry } = objectAt(value, part.path);
  const project = typeof name === 'string' ? parseProjectName(name) : undefined;
  if (project === undefined || project !== name)
    throw new IntegrityError(`${MANIFEST_NAME}: ${part.path} belongs to no project.`);
  const filename = filenameOf(part).replace(/\.metadata$/, '');
  if (!fileBelongsTo(filename, project))
    throw new IntegrityError(`${MANIFEST_NAME}: ${part.path} is no file of ${project}.`);
  if (isMetadata(part)) return { ...part, project, entry: null };
  return { ...part, project, entry: readEntry(entry, part) };
}

/** What a page says of a file; the digest is the manifest's own. */
function readEntry(value: unknown, part: BundledPart): DistributionFile {
  const entry = objectAt(value, part.path);
  const text = (name: string): string | null => {
    const found = entry[name] ?? null;
    if (found === null || typeof found === 'string') return found;
    throw new IntegrityError(`${MANIFEST_NAME}: ${part.path}: ${name} is no text.`);
  };
  const filename = filenameOf(part);
  const url = text('url') ?? '';
  if (!isAddress(url)) throw new IntegrityError(`${MANIFEST_NAME}: ${part.path}: a bad URL.`);
  const { yanked, gpgSig } = entry;
  if (text('filename') !== filename)
    throw new IntegrityError(`${MANIFEST_NAME}: ${part.path}: another filename in its facts.`);
  return {
    filename,
    url,
    hashes: { sha256: part.sha256 },
    requiresPython: text('requiresPython'),
    sizeBytes: part.sizeBytes,
    uploadTime: text('uploadTime'),
    coreMetadata: false,
    yanked: typeof yanked === 'string' ? yanked : false,
    provenance: null,
    gpgSig: typeof gpgSig === 'boolean' ? gpgSig : null,
    extra: {},
  };
}

/** An index's own address without credentials, or the mark of a file that people put in themselves. */
function isAddress(text: string): boolean {
  if (text.startsWith('file:packages/')) return true;
  if (!/^https?:\/\//.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return username === '' && password === '';
}

/** A page lists each name once; core metadata stands beside its wheel. */
function checkSet(manifest: Manifest): void {
  const all = filesOfSet(manifest);
  const projects = new Map(all.map(({ path, project }) => [path, project]));
  const names = new Set<string>();
  for (const file of all) {
    const name = `${file.project} ${filenameOf(file)}`;
    if (names.has(name))
      throw new IntegrityError(`${MANIFEST_NAME} has two files ${filenameOf(file)}.`);
    names.add(name);
  }
  for (const { path, project } of all.filter(isMetadata)) {
    if (projects.get(path.slice(0, -'.metadata'.length)) !== project)
      throw new IntegrityError(`${MANIFEST_NAME} names ${path} without its wheel.`);
  }
}

function objectAt(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>;
  throw new IntegrityError(`${MANIFEST_NAME}: ${where} is no object.`);
}

function listAt(object: Readonly<Record<string, unknown>>, name: string): readonly unknown[] {
  const value = object[name];
  if (Array.isArray(value)) return value;
  throw new IntegrityError(`${MANIFEST_NAME} has no list "${name}".`);
}

function isDigest(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 200);
}
