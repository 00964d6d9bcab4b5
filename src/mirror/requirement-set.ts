import { readFile, realpath } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { ConfigurationError, WheelcellarError, codeOf } from '../core/errors.ts';
import { parseVcsRequirement } from './vcs-requirement.ts';

/** Requirements of one branch, and what of its files is no requirement of an index. */
export interface RequirementSet {
  /** Lines as pip reads them: requirements, and options that change what they mean. */
  readonly lines: readonly string[];
  /** Lines of constraints (`-c`). */
  readonly constraints: readonly string[];
  /** What was left out, and why. */
  readonly leftOut: readonly LeftOut[];
  /** Those of `leftOut` that ask for a commit: requirements (not constraints) with a `git+` URL. */
  readonly vcs: readonly LeftOut[];
}

/** A line that names no file of an index. */
export interface LeftOut {
  readonly line: string;
  readonly file: string;
  /** `url`: something that lies elsewhere; `path`: a part of the project itself; `option`: leads to another index. */
  readonly kind: 'url' | 'path' | 'option';
}

/** The one file that, when it is there, is read alone. */
const GLOBAL_FILE = 'global-requirements.txt';
/** Else those of these that are there, taken together. */
const USUAL_FILES: readonly string[] = [
  'requirements.txt',
  'test-requirements.txt',
  'tools/pip-requires',
  'tools/test-requires',
];

/** Options that say how to choose, not where to look. */
const CHOICE_OPTIONS =
  /^--(?:pre|prefer-binary|no-binary|only-binary|require-hashes|use-feature)\b/;
const INCLUDE = /^(?:-r|--requirement|-c|--constraint)[\s=]*(.+)$/;
/** Includes of includes; more is a circle or nonsense. */
const MOST_FILES = 100;

/**
 * The requirement files of a work tree: the named ones, all of which must be there; else
 * `global-requirements.txt` alone; else the usual ones that exist. Empty when there are none.
 *
 * @throws ConfigurationError when a named one is missing
 */
export async function requirementFilesOf(
  workTree: string,
  named: readonly string[],
): Promise<readonly string[]> {
  if (named.length > 0) {
    const missing = [];
    for (const file of named) if (!(await isThere(join(workTree, file)))) missing.push(file);
    if (missing.length === 0) return named;
    throw new ConfigurationError(missing.map((file) => `There is no ${file} in the work tree.`));
  }
  if (await isThere(join(workTree, GLOBAL_FILE))) return [GLOBAL_FILE];
  const found = [];
  for (const file of USUAL_FILES) if (await isThere(join(workTree, file))) found.push(file);
  return found;
}

/**
 * Reads requirement files into one set, their includes too. Lines with `http://` or `https://` are left
 * out, as are paths, editable ones, and options that lead to another index.
 *
 * @param root folder that no include may leave
 * @throws WheelcellarError for a file that cannot be read, or an include that leaves the folder
 */
export async function readRequirementFiles(
  root: string,
  files: readonly string[],
): Promise<RequirementSet> {
  const reading = { root: await realpath(root), read: new Set<string>() };
  const set = emptySet();
  for (const file of files) await readInto(set, set.lines, reading, resolve(reading.root, file));
  return set;
}

/** The set of requirements that stand in the settings themselves. */
export function requirementsOf(lines: readonly string[], file: string): RequirementSet {
  const set = emptySet();
  for (const line of lines) sort(line.trim(), set, set.lines, file);
  return set;
}

/** Several sets as one. */
export function joinSets(sets: readonly RequirementSet[]): RequirementSet {
  return {
    lines: sets.flatMap(({ lines }) => lines),
    constraints: sets.flatMap(({ constraints }) => constraints),
    leftOut: sets.flatMap(({ leftOut }) => leftOut),
    vcs: sets.flatMap(({ vcs }) => vcs),
  };
}

interface MutableSet {
  readonly lines: string[];
  readonly constraints: string[];
  readonly leftOut: LeftOut[];
  readonly vcs: LeftOut[];
}

function emptySet(): MutableSet {
  return { lines: [], constraints: [], leftOut: [], vcs: [] };
}

interface Reading {
  readonly root: string;
  readonly read: Set<string>;
}

async function readInto(
  set: MutableSet,
  into: string[],
  reading: Reading,
  file: string,
): Promise<void> {
  const real = await realpath(file).catch(() => file);
  const name = reading.root === sep ? real : relative(reading.root, real);
  // A repository is a stranger: its files may not lead to those of this machine.
  if (name === '..' || name.startsWith(`..${sep}`))
    throw new WheelcellarError(`${file} lies outside ${reading.root} and is not read.`);
  const key = `${into === set.constraints ? 'c' : 'r'} ${real}`;
  if (reading.read.has(key)) return;
  reading.read.add(key);
  if (reading.read.size > MOST_FILES)
    throw new WheelcellarError(`More than ${MOST_FILES} requirement files include each other.`);
  for (const line of logicalLines(await readText(real, name))) {
    const included = INCLUDE.exec(line)?.[1]?.trim();
    if (included === undefined) {
      sort(line, set, into, name);
    } else if (/^[a-z]+:\/\//i.test(included)) {
      set.leftOut.push({ line, file: name, kind: 'url' });
    } else {
      const isConstraint = into === set.constraints || /^(?:-c|--constraint)/.test(line);
      const target = isConstraint ? set.constraints : into;
      await readInto(set, target, reading, resolve(dirname(real), unquoted(included)));
    }
  }
}

function sort(line: string, set: MutableSet, into: string[], file: string): void {
  if (line === '') return;
  const leave = (kind: LeftOut['kind']): void => {
    const left: LeftOut = { line, file, kind };
    set.leftOut.push(left);
    if (into === set.lines && parseVcsRequirement(line) !== undefined) set.vcs.push(left);
  };
  if (/https?:\/\//.test(line) || /(?:^|@\s*|\s)(?:git|hg|svn|bzr)\+/.test(line)) leave('url');
  else if (/^(?:-e|--editable)\b/.test(line) || /^(?:\.|\/|file:|~\/)/.test(line)) leave('path');
  else if (/\s@\s*file:/.test(line)) leave('path');
  else if (line.startsWith('-') && !CHOICE_OPTIONS.test(line)) leave('option');
  else into.push(line);
}

/** Lines joined at a backslash, without comments and blanks (pip, "Requirements file format"). */
function* logicalLines(text: string): Generator<string, void, undefined> {
  const joined = text.replace(/^\uFEFF/, '').replace(/\\\r?\n/g, '');
  for (const raw of joined.split(/\r\n|\r|\n/)) {
    const line = raw.replace(/(?:^|\s+)#.*$/, '').trim();
    if (line !== '') yield line;
  }
}

function unquoted(path: string): string {
  return path.replace(/^(["'])(.*)\1$/, '$2');
}

async function readText(path: string, name: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const why = codeOf(error) === 'ENOENT' ? 'there is no such file' : codeOf(error);
    throw new WheelcellarError(`${name} cannot be read: ${why}.`, { cause: error });
  }
}

async function isThere(path: string): Promise<boolean> {
  return await readFile(path).then(
    () => true,
    () => false,
  );
}
