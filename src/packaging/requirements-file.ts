/**
 * Requirements files as pip reads them: continued lines, comments, `${VARIABLES}`, nested files,
 * constraints, options for the whole and for one line.
 */
import { dirname, isAbsolute, join } from 'node:path/posix';
import { messageOf } from '../core/errors.ts';
import { pinnedVersion, parseRequirement } from './requirement.ts';
import type { Requirement } from './requirement.ts';

/** One line that asks for something. */
export interface RequirementLine {
  readonly file: string;
  /** Counted from 1; of a continued line its first. */
  readonly line: number;
  /** The requirement without hashes and options. */
  readonly text: string;
  /** `null` for a bare path, URL or repository. */
  readonly requirement: Requirement | null;
  /** Digests that are allowed, lower-case hexadecimal; only sha256. */
  readonly sha256s: readonly string[];
  /** Whether any `--hash` was given, of whatever algorithm. */
  readonly hasHashes: boolean;
  readonly isEditable: boolean;
}

/** All that a requirements file says, with the files it leads to. */
export interface RequirementsFile {
  readonly requirements: readonly RequirementLine[];
  readonly constraints: readonly RequirementLine[];
  /** URLs of `--index-url` and `--extra-index-url`. */
  readonly indexUrls: readonly string[];
  readonly findLinks: readonly string[];
  readonly prereleases: boolean;
  /** Values of `--only-binary`, `:all:` or names. */
  readonly onlyBinary: readonly string[];
  readonly noBinary: readonly string[];
  /** What could not be read or is not honoured, one sentence each. */
  readonly problems: readonly string[];
}

/** Reads a text file; throws when there is none. */
export type ReadText = (path: string) => string;

/** Deeper nesting is a circle. */
const DEEPEST = 20;

interface Collector {
  readonly requirements: RequirementLine[];
  readonly constraints: RequirementLine[];
  readonly indexUrls: string[];
  readonly findLinks: string[];
  prereleases: boolean;
  readonly onlyBinary: string[];
  readonly noBinary: string[];
  readonly problems: string[];
}

interface Place {
  readonly file: string;
  readonly isConstraint: boolean;
  readonly depth: number;
}

/**
 * Reads a requirements file and those it includes, whose paths are relative to the including one.
 *
 * @param variables for `${NAME}`; an unknown one stays as it is, as in pip
 * @throws what `readText` throws for `path` itself; included files that fail are problems
 */
export function readRequirementsFile(
  path: string,
  readText: ReadText,
  variables: Readonly<Record<string, string | undefined>> = {},
  isConstraint: boolean = false,
): RequirementsFile {
  const found: Collector = {
    requirements: [],
    constraints: [],
    indexUrls: [],
    findLinks: [],
    prereleases: false,
    onlyBinary: [],
    noBinary: [],
    problems: [],
  };
  const read = (text: string, place: Place): void => {
    for (const { line, content } of logicalLines(text)) {
      readLine(expand(content, variables), line, place, found, include);
    }
  };
  const include = (target: string, place: Place, asConstraint: boolean): void => {
    const file = isAbsolute(target) ? target : join(dirname(place.file), target);
    if (/^[a-z+]+:\/\//i.test(target)) {
      found.problems.push(`${place.file}: ${target} is not read, since it is no file.`);
      return;
    }
    if (place.depth >= DEEPEST) {
      found.problems.push(`${place.file}: ${target} is included too deeply.`);
      return;
    }
    let text: string;
    try {
      text = readText(file);
    } catch (error) {
      found.problems.push(`${place.file}: ${target} cannot be read: ${messageOf(error)}.`);
      return;
    }
    read(text, { file, isConstraint: asConstraint, depth: place.depth + 1 });
  };
  read(readText(path), { file: path, isConstraint, depth: 0 });
  return found;
}

/** Whether every requirement names one version and digests, so that nothing is left to resolve. */
export function isFullyLocked({ requirements }: RequirementsFile): boolean {
  return (
    requirements.length > 0 &&
    requirements.every(
      ({ requirement, sha256s }) =>
        requirement !== null &&
        requirement.url === null &&
        pinnedVersion(requirement.specifier) !== undefined &&
        sha256s.length > 0,
    )
  );
}

/** Lines with continuations joined and comments gone; empty ones left out. */
function* logicalLines(text: string): Generator<{ line: number; content: string }> {
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\r|\n/);
  let joined = '';
  let first = 0;
  for (const [index, raw] of lines.entries()) {
    const isComment = /^\s*#/.test(raw);
    if (joined === '') first = index + 1;
    if (!isComment && raw.endsWith('\\')) {
      joined += `${raw.slice(0, -1)} `;
      continue;
    }
    const content = `${joined}${isComment ? '' : raw}`.replace(/(^|\s+)#.*$/, '').trim();
    joined = '';
    if (content !== '') yield { line: first, content };
  }
  const rest = joined.replace(/(^|\s+)#.*$/, '').trim();
  if (rest !== '') yield { line: first, content: rest };
}

function expand(text: string, variables: Readonly<Record<string, string | undefined>>): string {
  return text.replace(/\$\{([A-Z0-9_]+)\}/g, (whole, name: string) => variables[name] ?? whole);
}

function readLine(
  content: string,
  line: number,
  place: Place,
  found: Collector,
  include: (target: string, place: Place, asConstraint: boolean) => void,
): void {
  const { text, words } = splitOptions(content);
  if (text !== '') {
    addRequirement(text, words, { line, isEditable: false }, place, found);
    return;
  }
  const [{ name, value }, ...rest] = [...readOptions(words), { name: '', value: '' }];
  switch (name) {
    case '-r':
    case '--requirement':
      include(value, place, place.isConstraint);
      return;
    case '-c':
    case '--constraint':
      include(value, place, true);
      return;
    case '-e':
    case '--editable':
      addRequirement(value, [], { line, isEditable: true }, place, found);
      return;
    default:
      for (const option of [{ name, value }, ...rest])
        if (option.name !== '') readOption(option, line, place, found);
  }
}

function readOption(
  { name, value }: { name: string; value: string },
  line: number,
  { file }: Place,
  found: Collector,
): void {
  switch (name) {
    case '-i':
    case '--index-url':
    case '--pypi-url':
    case '--extra-index-url':
      found.indexUrls.push(value);
      return;
    case '-f':
    case '--find-links':
      found.findLinks.push(value);
      return;
    case '--pre':
      found.prereleases = true;
      return;
    case '--only-binary':
      found.onlyBinary.push(...value.split(','));
      return;
    case '--no-binary':
      found.noBinary.push(...value.split(','));
      return;
    case '--no-index':
    case '--require-hashes':
    case '--trusted-host':
    case '--prefer-binary':
    case '--use-feature':
      return;
    default:
      found.problems.push(`${file}:${line}: ${name} is not understood and passed over.`);
  }
}

function addRequirement(
  text: string,
  words: readonly string[],
  { line, isEditable }: { readonly line: number; readonly isEditable: boolean },
  place: Place,
  found: Collector,
): void {
  const hashes = readOptions(words).filter(({ name }) => name === '--hash');
  const sha256s = hashes.flatMap(
    ({ value }) => /^sha256:([0-9a-fA-F]{64})$/.exec(value)?.[1] ?? [],
  );
  const requirement = isEditable ? null : (parseRequirement(text) ?? null);
  const looksLikePlace = /[/\\]|^\.|\.(?:whl|zip|tar\.\w+)$/.test(text);
  if (requirement === null && !isEditable && !looksLikePlace) {
    found.problems.push(`${place.file}:${line}: ${JSON.stringify(text)} is no requirement.`);
    return;
  }
  const list = place.isConstraint ? found.constraints : found.requirements;
  list.push({
    file: place.file,
    line,
    text,
    requirement,
    sha256s: sha256s.map((digest) => digest.toLowerCase()),
    hasHashes: hashes.length > 0,
    isEditable,
  });
}

/** What stands before the first word that begins with a hyphen, and the words from there on. */
function splitOptions(content: string): { text: string; words: readonly string[] } {
  const at = content.search(/(?:^|\s)--?[A-Za-z]/);
  if (at === -1) return { text: content, words: [] };
  const words = content.slice(at).match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return {
    text: content.slice(0, at).trim(),
    words: words.map((word) => word.replace(/["']/g, '')),
  };
}

const SWITCHES: ReadonlySet<string> = new Set([
  '--pre',
  '--no-index',
  '--require-hashes',
  '--prefer-binary',
]);

/** `--name=value`, `--name value`, `-rvalue`. */
function readOptions(words: readonly string[]): { name: string; value: string }[] {
  const options: { name: string; value: string }[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const [, long, value] = /^(--[^=]+)=(.*)$/s.exec(word) ?? [];
    const [, short, attached] = /^(-[A-Za-z])=?(.+)$/s.exec(word) ?? [];
    if (long !== undefined) options.push({ name: long, value: value ?? '' });
    else if (!word.startsWith('--') && short !== undefined)
      options.push({ name: short, value: attached ?? '' });
    else if (SWITCHES.has(word)) options.push({ name: word, value: '' });
    else if (word.startsWith('-')) options.push({ name: word, value: words[++at] ?? '' });
  }
  return options;
}
