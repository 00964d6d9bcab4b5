import type { LockedPackage } from '../packaging/lock/lock-model.ts';
import { parseProjectName } from '../packaging/names.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { Pin } from '../resolver/resolver.ts';

/** One package at one version, and which of its files may stand for it. */
export interface WantedPackage {
  readonly project: ProjectName;
  readonly version: string;
  /** Names of the only files that may be taken, with their digest where the lock has one; `null`: any. */
  readonly filenames: ReadonlyMap<string, string | null> | null;
  /** The only sha256 digests that may be taken; `null`: any. */
  readonly sha256s: ReadonlySet<string> | null;
}

/** A package that no index answers for. */
export interface ElsewherePackage {
  readonly name: string;
  readonly source: 'url' | 'path' | 'vcs';
  readonly location: string;
}

/** What a resolver found, held to the digests that the requirements name. */
export function wantedOfPin(
  { name, version }: Pin,
  sha256s: ReadonlyMap<string, readonly string[]>,
): WantedPackage {
  const allowed = sha256s.get(name);
  return {
    project: name,
    version,
    filenames: null,
    sha256s: allowed === undefined ? null : new Set(allowed),
  };
}

/** What a lock names: a package of an index, or one from elsewhere. */
export function wantedOfLocked(locked: LockedPackage): WantedPackage | ElsewherePackage {
  const { name, version, source, location, files, sha256s } = locked;
  const project = parseProjectName(name);
  if (source !== 'index' || version === null || project === undefined) {
    return { name, source: source === 'index' ? 'url' : source, location: location ?? '' };
  }
  return {
    project,
    version,
    filenames:
      files.length === 0 ? null : new Map(files.map((file) => [file.filename, file.sha256])),
    sha256s: sha256s.length === 0 ? null : new Set(sha256s),
  };
}

/** Whether it is one that no index answers for. */
export function isElsewhere(each: WantedPackage | ElsewherePackage): each is ElsewherePackage {
  return 'source' in each;
}
