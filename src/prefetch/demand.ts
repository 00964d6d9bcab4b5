/** What a set is to hold, before anything is asked of an index: requirements, and what locks name. */
import { ConfigurationError, messageOf } from '../core/errors.ts';
import type { MarkerEnvironment } from '../packaging/environment.ts';
import { readLockFile } from '../packaging/lock/lock-file.ts';
import type { LockedPackage, LockedSet, LockSelection } from '../packaging/lock/lock-model.ts';
import { isWanted } from '../packaging/markers.ts';
import { projectRequirements } from '../packaging/project-file.ts';
import { parseRequirement, pinnedVersion } from '../packaging/requirement.ts';
import { isFullyLocked, readRequirementsFile } from '../packaging/requirements-file.ts';
import type { RequirementLine, RequirementsFile } from '../packaging/requirements-file.ts';

/** Packages that are known exactly, for one environment each time. */
export interface LockedDemand {
  /** Where it stands, for people. */
  readonly label: string;
  readonly packagesFor: (environment: MarkerEnvironment) => LockedSet;
}

/** All that is asked for. */
export interface Demand {
  /** Lines for a resolver, all to be satisfied together. */
  readonly requirements: readonly string[];
  readonly constraints: readonly string[];
  readonly prereleases: boolean;
  /** Digests that a project's files must have, by normalized name, where the lines say so. */
  readonly sha256s: ReadonlyMap<string, readonly string[]>;
  readonly locked: readonly LockedDemand[];
  readonly problems: readonly string[];
}

/** What the command line names; paths are absolute. */
export interface DemandSources {
  readonly requirements: readonly string[];
  readonly requirementFiles: readonly string[];
  readonly constraintFiles: readonly string[];
  readonly lockFiles: readonly string[];
  readonly selection: LockSelection;
  readonly installed: readonly LockedDemand[];
}

/** What reading depends on. */
export interface DemandReading {
  /** Reads a text file; throws an error with code `ENOENT` when there is none. */
  readonly readText: (path: string) => string;
  readonly variables: Readonly<Record<string, string | undefined>>;
}

/**
 * Reads everything that is named.
 *
 * @throws ConfigurationError for files that cannot be read and words that are no requirements
 */
export function readDemand(sources: DemandSources, reading: DemandReading): Demand {
  const requirements: string[] = [];
  const constraints: string[] = [];
  const problems: string[] = [];
  const sha256s = new Map<string, string[]>();
  const locked: LockedDemand[] = [...sources.installed];
  let prereleases = false;
  for (const text of sources.requirements) {
    if (parseRequirement(text) === undefined) {
      throw new ConfigurationError([`${JSON.stringify(text)} is no requirement.`], {
        hint: 'Such as flask, "flask>=3,<4" or "flask[async]"; files go behind -r or --lock.',
      });
    }
    requirements.push(text);
  }
  for (const path of sources.requirementFiles) {
    if (/(?:^|\/)pyproject\.toml$/.test(path)) {
      requirements.push(...readProject(path, sources.selection, reading));
      continue;
    }
    const file = readNamed(path, () =>
      readRequirementsFile(path, reading.readText, reading.variables),
    );
    problems.push(...file.problems, ...unheeded(path, file));
    if (isFullyLocked(file)) {
      locked.push(lockedLines(path, file.requirements));
      continue;
    }
    prereleases ||= file.prereleases;
    for (const line of [...file.requirements, ...file.constraints]) noteDigests(line, sha256s);
    for (const line of file.requirements) {
      const text = textFor(line, problems);
      if (text !== null) requirements.push(text);
    }
    constraints.push(...file.constraints.map(({ text }) => text));
    requirements.push(...binaryOptions(file));
  }
  for (const path of sources.constraintFiles) {
    const file = readNamed(path, () =>
      readRequirementsFile(path, reading.readText, reading.variables, true),
    );
    problems.push(...file.problems);
    constraints.push(...file.constraints.map(({ text }) => text));
  }
  for (const path of sources.lockFiles) locked.push(readLock(path, sources.selection, reading));
  return { requirements, constraints, prereleases, sha256s, locked, problems };
}

function readNamed<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    throw new ConfigurationError([`${path} cannot be read: ${messageOf(error)}.`], {
      cause: error,
    });
  }
}

function readProject(
  path: string,
  { groups = [], extras = [] }: LockSelection,
  { readText }: DemandReading,
): readonly string[] {
  const text = readNamed(path, () => readText(path));
  if (groups === 'all' || extras === 'all') {
    throw new ConfigurationError([`Of ${path} name the groups and extras one by one.`]);
  }
  return projectRequirements(path, text, { groups, extras });
}

function readLock(
  path: string,
  selection: LockSelection,
  { readText }: DemandReading,
): LockedDemand {
  const text = readNamed(path, () => readText(path));
  const beside = path.replace(/[^/]*$/, 'pyproject.toml');
  let project: string | null = null;
  try {
    project = readText(beside);
  } catch {
    // Locks are read without it, too.
  }
  const lock = readLockFile(path, text, project);
  return { label: path, packagesFor: (environment) => lock.packagesFor(environment, selection) };
}

/** Lines with one version and digests each: nothing is left to resolve. */
function lockedLines(label: string, lines: readonly RequirementLine[]): LockedDemand {
  return {
    label,
    packagesFor: (environment) => {
      const packages = lines.flatMap(({ requirement, sha256s }): LockedPackage[] => {
        if (requirement === null || !isWanted(requirement.marker, environment, [])) return [];
        const { name, extras, specifier } = requirement;
        const version = pinnedVersion(specifier) ?? null;
        return [
          {
            name,
            version,
            extras,
            files: [],
            sha256s,
            source: 'index',
            index: null,
            location: null,
          },
        ];
      });
      return { packages, problems: [] };
    },
  };
}

function noteDigests(
  { requirement, sha256s }: RequirementLine,
  found: Map<string, string[]>,
): void {
  if (requirement === null || sha256s.length === 0) return;
  found.set(requirement.name, [...(found.get(requirement.name) ?? []), ...sha256s]);
}

/** Paths are this machine's own: what they need cannot be asked of an index. */
function textFor(
  { text, requirement, isEditable, file, line }: RequirementLine,
  problems: string[],
): string | null {
  if (requirement !== null) return text;
  const kind = isEditable ? 'an editable project' : 'no requirement of an index';
  problems.push(`${file}:${line}: ${text} is ${kind}; neither it nor what it needs is looked at.`);
  return null;
}

function unheeded(path: string, { indexUrls, findLinks }: RequirementsFile): string[] {
  return [
    ...indexUrls.map(
      (url) => `${path}: the index ${withoutLogin(url)} is not asked; only the mirror's own are.`,
    ),
    ...findLinks.map((place) => `${path}: --find-links ${withoutLogin(place)} is not looked at.`),
  ];
}

function withoutLogin(url: string): string {
  return url.replace(/\/\/[^/@]*@/, '//');
}

function binaryOptions({ onlyBinary, noBinary }: RequirementsFile): string[] {
  return [
    ...onlyBinary.map((value) => `--only-binary ${value}`),
    ...noBinary.map((value) => `--no-binary ${value}`),
  ];
}
