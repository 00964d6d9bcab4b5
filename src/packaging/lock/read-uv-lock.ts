import { countAt, readToml, tableAt, tablesAt, textAt, textsAt } from './document.ts';
import type { Table } from './document.ts';
import type { LockedFile, LockedPackage, LockFile } from './lock-model.ts';
import {
  filenameOf,
  lockedFile,
  nameOf,
  normalizeName,
  sha256Of,
  unknownVersion,
} from './locked-set.ts';
import { projectSettings } from './project-settings.ts';
import { walkUvLock } from './uv-walk.ts';
import type { UvEdge, UvLock, UvPackage, UvRoot } from './uv-walk.ts';

/** What uv installs unasked when the project does not say (its `default-groups`). */
const DEFAULT_GROUPS: readonly string[] = ['dev'];

/** Reads `uv.lock` of version 1, with whatever revision. @throws ConfigurationError */
export function readUvLock(filename: string, text: string, project: string | null): LockFile {
  const document = readToml(filename, text);
  const version = countAt(document, 'version');
  if (version !== 1)
    throw unknownVersion(filename, version === null ? null : String(version), 'version 1');
  const packages = tablesAt(document, 'package').map((table) => packageOf(filename, table));
  const roots = rootsOf(filename, document, packages);
  const lock: UvLock = {
    packages,
    roots,
    requiresPython: textAt(document, 'requires-python'),
    supported: textsAt(document, 'supported-markers'),
    unasked: projectSettings(project)?.uvDefaultGroups ?? DEFAULT_GROUPS,
    groups: namesOf(roots.flatMap(({ groups }) => [...groups.keys()])),
    extras: namesOf(roots.flatMap(({ extras }) => [...extras.keys()])),
  };
  return {
    format: 'uv',
    formatVersion: `${version}.${countAt(document, 'revision') ?? 0}`,
    requiresPython: lock.requiresPython,
    groups: lock.groups,
    extras: lock.extras,
    packagesFor: (environment, selection = {}) => walkUvLock(lock, environment, selection),
  };
}

function namesOf(names: readonly string[]): readonly string[] {
  return [...new Set(names)].toSorted();
}

/**
 * Where uv begins: at the project in the lock's own folder; without one (a workspace that is no project
 * itself) at all members; for scripts, at the requirements in the manifest.
 */
function rootsOf(
  filename: string,
  document: Table,
  packages: readonly UvPackage[],
): readonly UvRoot[] {
  const manifest = tableAt(document, 'manifest');
  const own = packages.filter(({ isRoot }) => isRoot);
  const members = textsAt(manifest, 'members').map(normalizeName);
  const projects =
    own.length > 0 ? own : packages.filter(({ locked }) => members.includes(locked.name));
  const groups = tableAt(manifest, 'dependency-groups');
  const loose: UvRoot = {
    itself: null,
    edges: edgesAt(filename, manifest, 'requirements'),
    extras: new Map(),
    groups: new Map(
      Object.keys(groups).map((name) => [normalizeName(name), edgesAt(filename, groups, name)]),
    ),
  };
  return [...projects, loose];
}

function packageOf(filename: string, table: Table): UvPackage {
  const source = tableAt(table, 'source');
  const name = nameOf(filename, table);
  const version = textAt(table, 'version');
  const folder =
    textAt(source, 'virtual') ?? textAt(source, 'editable') ?? textAt(source, 'directory');
  const locked = lockedOf(name, version, table, source);
  const lists = (key: string): Map<string, readonly UvEdge[]> =>
    new Map(
      Object.keys(tableAt(table, key)).map((each) => [
        normalizeName(each),
        edgesAt(filename, tableAt(table, key), each),
      ]),
    );
  return {
    locked,
    itself: locked,
    // A virtual one is not installed, only what it asks for.
    isInstalled: textAt(source, 'virtual') === null,
    isRoot: folder === '.',
    sourceKey: sourceKeyOf(source),
    forks: textsAt(table, 'resolution-markers'),
    edges: edgesAt(filename, table, 'dependencies'),
    extras: lists('optional-dependencies'),
    groups: lists('dev-dependencies'),
  };
}

function edgesAt(filename: string, table: Table, key: string): readonly UvEdge[] {
  return tablesAt(table, key).map((edge) => ({
    name: nameOf(filename, edge),
    version: textAt(edge, 'version'),
    sourceKey: edge['source'] === undefined ? null : sourceKeyOf(tableAt(edge, 'source')),
    marker: textAt(edge, 'marker'),
    extras: [...textsAt(edge, 'extra'), ...textsAt(edge, 'extras')].map(normalizeName),
  }));
}

function sourceKeyOf(source: Table): string {
  const facts = Object.entries(source).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return facts.toSorted().join(' ');
}

function lockedOf(
  name: string,
  version: string | null,
  table: Table,
  source: Table,
): LockedPackage {
  const common = { name, version, extras: [], sha256s: [], index: null, location: null };
  const sdist = table['sdist'] === undefined ? [] : [tableAt(table, 'sdist')];
  const archiveUrl = textAt(source, 'url');
  const location = archiveUrl ?? textAt(source, 'path');
  const files = [...sdist, ...tablesAt(table, 'wheels')].map((file) =>
    fileOf(file, archiveUrl, location),
  );
  const git = textAt(source, 'git');
  if (git !== null) return { ...common, files, source: 'vcs', location: `git+${git}` };
  if (archiveUrl !== null) return { ...common, files, source: 'url', location };
  const registry = textAt(source, 'registry');
  if (registry !== null) return { ...common, files, source: 'index', index: registry };
  const places = ['virtual', 'editable', 'directory', 'path'].map((key) => textAt(source, key));
  const place = places.find((each) => each !== null) ?? null;
  return { ...common, files, source: 'path', location: place };
}

/** The sdist of a source that is one archive is that archive, and says only its digest. */
function fileOf(table: Table, archiveUrl: string | null, location: string | null): LockedFile {
  const url = textAt(table, 'url');
  const named = textAt(table, 'filename') ?? url ?? textAt(table, 'path') ?? location ?? '';
  const isArchive = url === null && textAt(table, 'filename') === null;
  return lockedFile(filenameOf(named), {
    url: url ?? (isArchive ? archiveUrl : null),
    sha256: sha256Of(textAt(table, 'hash')),
    sizeBytes: countAt(table, 'size'),
  });
}
