import { parseProjectName, type ProjectName } from './names.ts';
import { isValidVersion } from './versions.ts';

/** What a distribution file is, by its name. `dumb` and everything after it is no longer uploaded. */
export type DistributionKind =
  | 'wheel'
  | 'sdist'
  | 'variants'
  | 'egg'
  | 'dumb'
  | 'wininst'
  | 'msi'
  | 'rpm'
  | 'deb'
  | 'dmg';

/** The compatibility tags of a wheel, compressed sets taken apart (`py2.py3` → two entries). */
export interface WheelTags {
  readonly python: readonly string[];
  readonly abi: readonly string[];
  readonly platform: readonly string[];
}

/** What a filename says about the file. */
export interface ParsedFilename {
  readonly kind: DistributionKind;
  readonly project: ProjectName;
  /** As written, except that `_` stands for `-` again where only that makes it a version. */
  readonly version: string;
  /** Only wheels. */
  readonly tags?: WheelTags;
  /** Only wheels, and only those with a build tag. */
  readonly build?: string;
}

/** Extensions by which a file counts as a distribution, lower-case. Longer ones stand first. */
const EXTENSIONS: readonly (readonly [extension: string, kind: DistributionKind])[] = [
  ['-variants.json', 'variants'],
  ['.tar.bz2', 'sdist'],
  ['.tar.gz', 'sdist'],
  ['.tar.xz', 'sdist'],
  ['.tar.z', 'sdist'],
  ['.whl', 'wheel'],
  ['.tgz', 'sdist'],
  ['.tar', 'sdist'],
  ['.zip', 'sdist'],
  ['.egg', 'egg'],
  ['.exe', 'wininst'],
  ['.msi', 'msi'],
  ['.rpm', 'rpm'],
  ['.deb', 'deb'],
  ['.dmg', 'dmg'],
];

/** Longest name that common file systems take, in bytes. */
const LONGEST_FILENAME = 255;

/** How many projects a file of an ambiguous name is looked for in. */
const MOST_CANDIDATES = 4;

/**
 * Control and format characters (bidirectional overrides among them), lone surrogates, line
 * separators, and the replacement character, which several invalid byte sequences would share.
 */
const UNSAFE_CHARACTER = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffd/\\]/u;

/** Ordinary names, which need no look at Unicode properties or byte length. */
const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9._+!-]*$/;

/**
 * Whether `name` can be one path segment on any file system: no separators, control characters,
 * leading dot or space, trailing dot or space; at most 255 bytes.
 */
export function isSafeSegment(name: string): boolean {
  if (name.length === 0 || name.length > LONGEST_FILENAME) return false;
  if (/^[. ]|[. ]$/.test(name)) return false;
  if (PLAIN_NAME.test(name)) return true;
  return !UNSAFE_CHARACTER.test(name) && Buffer.byteLength(name) <= LONGEST_FILENAME;
}

/** Whether `filename` is a safe path segment with the extension of a distribution file. */
export function isDistributionFilename(filename: string): boolean {
  return isSafeSegment(filename) && splitExtension(filename) !== undefined;
}

/**
 * What `filename` says, or `undefined` when it names no distribution file. Where a hyphen may belong
 * to the name or to the version (sdists before PEP 625), `project` decides; without it, or when it
 * does not fit, the likeliest reading wins.
 *
 * @example parseFilename('flask-3.0.0-py3-none-any.whl') // wheel, 'flask', '3.0.0', tags
 */
export function parseFilename(filename: string, project?: ProjectName): ParsedFilename | undefined {
  const readings = readFilename(filename);
  return readings.find((reading) => reading.project === project) ?? readings[0];
}

/** All projects that `filename` could belong to, likeliest first, at most four. */
export function candidateProjects(filename: string): readonly ProjectName[] {
  const projects = new Set(readFilename(filename).map((reading) => reading.project));
  return [...projects].slice(0, MOST_CANDIDATES);
}

/** Whether the bytes under this filename may change: of all files, those of variants alone (PEP 825 draft). */
export function isMutableFilename(filename: string): boolean {
  return filename.endsWith('-variants.json');
}

/** Whether `filename` can be a file of `project`. */
export function fileBelongsTo(filename: string, project: ProjectName): boolean {
  return readFilename(filename).some((reading) => reading.project === project);
}

function readFilename(filename: string): readonly ParsedFilename[] {
  if (!isSafeSegment(filename)) return [];
  const split = splitExtension(filename);
  if (split === undefined) return [];
  const { stem, kind } = split;
  if (kind === 'wheel') return listOf(readWheelStem(stem));
  if (kind === 'egg') return listOf(readEggStem(stem));
  if (kind === 'deb') return readSplits(stem.replace(/_[a-z0-9]+$/i, ''), kind, '_');
  if (kind === 'rpm') return readSplits(stem.replace(/(?:-\d+)?\.\w+$/, ''), kind);
  if (kind === 'sdist' || kind === 'variants') return readArchiveStem(stem, kind);
  return readSplits(withoutPlatform(stem), kind);
}

function listOf<T>(value: T | undefined): readonly T[] {
  return value === undefined ? [] : [value];
}

function splitExtension(
  filename: string,
): { readonly stem: string; readonly kind: DistributionKind } | undefined {
  const lower = filename.toLowerCase();
  const found = EXTENSIONS.find(([extension]) => lower.endsWith(extension));
  if (found === undefined || found[0].length === filename.length) return undefined;
  return { stem: filename.slice(0, -found[0].length), kind: found[1] };
}

/** `name-version(-build)?-python-abi-platform` (packaging.python.org, "Binary distribution format"). */
function readWheelStem(stem: string): ParsedFilename | undefined {
  const parts = stem.split('-');
  if (parts.length < 5 || parts.length > 6 || parts.includes('')) return undefined;
  const build = parts.length === 6 ? parts[2] : undefined;
  const version = unescapeVersion(parts[1] ?? '');
  // A hyphen left in the name looks like a build tag: foo-bar-1.0-py3-none-any.whl is no file of foo.
  if (build !== undefined && !(/^\d/.test(build) && isValidVersion(version))) return undefined;
  const [python, abi, platform] = parts.slice(-3) as [string, string, string];
  const project = parseProjectName(parts[0] ?? '');
  if (project === undefined) return undefined;
  const tags = { python: python.split('.'), abi: abi.split('.'), platform: platform.split('.') };
  const wheel = { kind: 'wheel', project, version, tags } as const;
  return build === undefined ? wheel : { ...wheel, build };
}

/** `name-version(-pyX.Y(-platform)?)?`, hyphens of name and version written as `_`. */
function readEggStem(stem: string): ParsedFilename | undefined {
  const [name = '', version = ''] = stem.split('-');
  const project = parseProjectName(name);
  if (project === undefined || version === '') return undefined;
  return { kind: 'egg', project, version: unescapeVersion(version) };
}

function unescapeVersion(version: string): string {
  return isValidVersion(version) ? version : version.replaceAll('_', '-');
}

/** An archive with the name of a platform in it holds an old built distribution, not a source. */
function readArchiveStem(stem: string, kind: 'sdist' | 'variants'): readonly ParsedFilename[] {
  const bare = withoutPlatform(stem);
  return bare === stem ? readSplits(stem, kind) : readSplits(bare, 'dumb');
}

/**
 * Takes `.win32-py2.7`, `.linux-x86_64`, `-macosx10.3` and the like off the end, but only behind a
 * version: `pywin32` and `my-linux-tools` are names.
 */
function withoutPlatform(stem: string): string {
  return stem
    .replace(/-py\d[\d.]*$/, '')
    .replace(
      /(-\d[A-Za-z0-9.!+]*)(?:\.(?:win32|win-|linux-|macosx)|-macosx)[A-Za-z0-9_.-]*$/i,
      '$1',
    );
}

/**
 * Every place where the name may end, likeliest first: before a valid version (leftmost first, since
 * `1.0-2` is a post release); before a digit; and, only when nothing else fits, before any hyphen,
 * rightmost first.
 */
function readSplits(
  stem: string,
  kind: DistributionKind,
  separator = '-',
): readonly ParsedFilename[] {
  const valid: ParsedFilename[] = [];
  const numeric: ParsedFilename[] = [];
  const other: ParsedFilename[] = [];
  let at = stem.indexOf(separator);
  for (; at !== -1; at = stem.indexOf(separator, at + 1)) {
    const version = stem.slice(at + 1);
    const project = parseProjectName(stem.slice(0, at));
    if (project === undefined || version === '') continue;
    const reading = { kind, project, version };
    if (isValidVersion(version)) valid.push(reading);
    else if (/^\d/.test(version)) numeric.push(reading);
    else other.unshift(reading);
  }
  const likely = [...valid, ...numeric];
  return likely.length > 0 ? likely : other;
}
