/**
 * What lock files have in common: which packages they name for one environment, and by which files. Text
 * comes in, a model goes out; nothing is read from disk or network.
 */
import type { MarkerEnvironment } from '../environment.ts';

/** One file that a lock names. */
export interface LockedFile {
  readonly filename: string;
  /** Absolute, as the lock has it; `null` when it does not say. */
  readonly url: string | null;
  /** Lower-case hexadecimal; `null` when it does not say. */
  readonly sha256: string | null;
  readonly sizeBytes: number | null;
}

/** Where a package comes from: an index, an archive by its URL, a path, or version control. */
export type LockedSource = 'index' | 'url' | 'path' | 'vcs';

/** One package at one version. */
export interface LockedPackage {
  /** Normalized (PEP 503). */
  readonly name: string;
  /** `null` where the source alone decides it (some path, URL and VCS entries). */
  readonly version: string | null;
  /** Extras that are asked of it, normalized (PEP 685), sorted. */
  readonly extras: readonly string[];
  /** All files of this version that the lock names, for any machine; empty when it names none. */
  readonly files: readonly LockedFile[];
  /**
   * Digests that the lock allows without saying whose they are (Pipfile.lock, requirements files);
   * lower-case hexadecimal sha256.
   */
  readonly sha256s: readonly string[];
  readonly source: LockedSource;
  /** URL of the index it was found on; `null` when the lock does not say. */
  readonly index: string | null;
  /** URL, path or repository of a package that is on no index; `null` for those of an index. */
  readonly location: string | null;
}

/** Which optional parts are wanted beside what is always installed. */
export interface LockSelection {
  /**
   * Names of dependency groups (PEP 735), of poetry's and pdm's groups, or Pipfile categories, beside
   * what is always installed (`main`, `default`). Absent: those that the tool itself installs without
   * being told, as far as the lock and the project file beside it say (uv's and pdm's `dev`).
   */
  readonly groups?: readonly string[] | 'all';
  /** Extras of the locked project; none by default. */
  readonly extras?: readonly string[] | 'all';
}

/** What is to be installed. */
export interface LockedSet {
  /** In the order of their names. */
  readonly packages: readonly LockedPackage[];
  /** What could not be decided, or does not fit the environment; one sentence each. */
  readonly problems: readonly string[];
}

/** The formats that can be read. */
export type LockFormat = 'pylock' | 'uv' | 'poetry' | 'pdm' | 'pipfile';

/** A lock file that was read. */
export interface LockFile {
  readonly format: LockFormat;
  /** Version of the format as the file has it; `null` when it has none. */
  readonly formatVersion: string | null;
  /** `requires-python` of the whole; `null` when it does not say. */
  readonly requiresPython: string | null;
  /** Names that may be asked for, normalized; without what is always installed. */
  readonly groups: readonly string[];
  readonly extras: readonly string[];
  /** What the tool would install there. */
  packagesFor(environment: MarkerEnvironment, selection?: LockSelection): LockedSet;
}
