import { ConfigurationError } from '../../core/errors.ts';
import type { MarkerEnvironment } from '../environment.ts';
import { evaluateMarker, parseMarker } from '../markers.ts';
import { parseProjectName } from '../names.ts';
import { isValidSpecifier, matchesSpecifier } from '../versions.ts';
import { textAt } from './document.ts';
import type { Table } from './document.ts';
import type { LockedFile, LockedPackage, LockedSet } from './lock-model.ts';

/** The normalized form of a group's or extra's name (PEP 685, PEP 735). */
export function normalizeName(name: string): string {
  return name.replace(/[-_.]+/g, '-').toLowerCase();
}

/** What is chosen of groups and extras, and for which environment. */
export interface Choice {
  readonly environment: MarkerEnvironment;
  /** Normalized. */
  readonly extras: ReadonlySet<string>;
  readonly groups: ReadonlySet<string>;
}

/** Gathers packages and problems for one environment. */
export class LockedSetBuilder {
  readonly #packages = new Map<string, LockedPackage>();
  readonly #problems = new Set<string>();

  /** Adds a package; one that is there already gets the extras of both. */
  add(found: LockedPackage): void {
    const key = [found.name, found.version ?? '', found.location ?? ''].join('\n');
    const before = this.#packages.get(key);
    const merge = <T>(left: readonly T[], right: readonly T[]): T[] => [
      ...new Set([...left, ...right]),
    ];
    this.#packages.set(key, {
      ...found,
      extras: merge(before?.extras ?? [], found.extras).toSorted(),
      files: before === undefined || found.files.length > 0 ? found.files : before.files,
      sha256s: merge(before?.sha256s ?? [], found.sha256s),
    });
  }

  /** Notes a sentence, once. */
  problem(sentence: string): void {
    this.#problems.add(sentence);
  }

  /**
   * Whether a marker holds; the empty one does. One that cannot be read or decided counts as holding and
   * is a problem: nothing is left out for its sake.
   */
  holds(marker: string | null, choice: Choice): boolean {
    if (marker === null || marker.trim() === '') return true;
    const parsed = parseMarker(marker);
    const { environment, extras, groups } = choice;
    const context = { environment, extra: '', lock: { extras, groups } };
    const decided = parsed === undefined ? undefined : evaluateMarker(parsed, context);
    if (decided === undefined)
      this.problem(`The marker ${JSON.stringify(marker)} cannot be decided.`);
    return decided ?? true;
  }

  /** Whether a `requires-python` admits the environment; what is no specifier set hinders nothing. */
  admits(
    requiresPython: string | null,
    { python_full_version: version }: MarkerEnvironment,
  ): boolean {
    if (requiresPython === null || !isValidSpecifier(requiresPython)) return true;
    if (requiresPython.trim() === '') return true;
    return matchesSpecifier(version, requiresPython, { prereleases: true });
  }

  /** Notes it when the whole lock is not for this Python. */
  checkPython(requiresPython: string | null, environment: MarkerEnvironment): void {
    if (this.admits(requiresPython, environment)) return;
    this.problem(
      `The lock is for Python ${requiresPython}, not for ${environment.python_full_version}.`,
    );
  }

  /** Everything gathered; packages that are there in two versions are a problem. */
  finish(): LockedSet {
    const packages = [...this.#packages.values()].toSorted((left, right) =>
      left.name < right.name ? -1 : Number(left.name > right.name),
    );
    for (const [at, { name, version, source }] of packages.entries()) {
      if (version === null && source === 'index')
        this.problem(`The lock names no version of ${name}.`);
      const other = packages[at + 1];
      if (other?.name === name)
        this.problem(
          `${name} is locked twice here: ${version ?? '?'} and ${other.version ?? '?'}.`,
        );
    }
    return { packages, problems: [...this.#problems] };
  }
}

/**
 * The names that are chosen among those that exist.
 *
 * @param wanted absent: `unasked`
 * @param always what is installed in any case, and may be asked for
 * @throws ConfigurationError when one does not exist
 */
export function chosenNames(
  kind: 'group' | 'extra',
  wanted: readonly string[] | 'all' | undefined,
  known: readonly string[],
  unasked: readonly string[],
  always: readonly string[] = [],
): ReadonlySet<string> {
  if (wanted === undefined)
    return new Set([...always, ...unasked.filter((name) => known.includes(name))]);
  if (wanted === 'all') return new Set([...always, ...known]);
  const chosen = wanted.map(normalizeName);
  const unknown = chosen.find((name) => !known.includes(name) && !always.includes(name));
  if (unknown === undefined) return new Set([...always, ...chosen]);
  const list = known.length === 0 ? `The lock has no ${kind}s.` : `Known: ${known.join(', ')}.`;
  throw new ConfigurationError([`The lock has no ${kind} ${JSON.stringify(unknown)}.`], {
    hint: list,
  });
}

/** The name under `name`, normalized. @throws ConfigurationError when it is none */
export function nameOf(filename: string, table: Table): string {
  return projectName(filename, textAt(table, 'name') ?? '');
}

/** A project's name, normalized. @throws ConfigurationError when it is none */
export function projectName(filename: string, name: string): string {
  const normalized = parseProjectName(name);
  if (normalized !== undefined) return normalized;
  throw new ConfigurationError([
    `${filename} has a package without a valid name: ${JSON.stringify(name)}.`,
  ]);
}

/** The sha256 in `sha256:<hex>`, or `null` for anything else. */
export function sha256Of(hash: string | null): string | null {
  const [, digest] = /^sha256:([0-9a-f]{64})$/i.exec(hash ?? '') ?? [];
  return digest?.toLowerCase() ?? null;
}

/** The last segment of a URL or path, decoded. */
export function filenameOf(location: string): string {
  const path = location.replace(/[?#].*$/s, '');
  const last = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

/** A locked file by what a table says in the words of most formats. */
export function lockedFile(filename: string, facts: Partial<LockedFile>): LockedFile {
  return { url: null, sha256: null, sizeBytes: null, ...facts, filename };
}

/** An error for a version of a format that came after (or long before) this program. */
export function unknownVersion(
  filename: string,
  version: string | null,
  known: string,
): ConfigurationError {
  return new ConfigurationError(
    [`${filename} is of the unknown format version ${version ?? '(none)'}.`],
    { hint: `Known is ${known}. Lock again with a version of the tool that writes it.` },
  );
}
