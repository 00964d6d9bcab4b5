import type { MarkerEnvironment } from '../environment.ts';
import { isTable, readToml, tableAt, tablesAt, textAt, textsAt } from './document.ts';
import type { Table } from './document.ts';
import type {
  LockedFile,
  LockedPackage,
  LockedSet,
  LockFile,
  LockSelection,
} from './lock-model.ts';
import {
  chosenNames,
  filenameOf,
  lockedFile,
  LockedSetBuilder,
  nameOf,
  normalizeName,
  sha256Of,
  unknownVersion,
} from './locked-set.ts';
import { admitsPython } from './poetry-constraint.ts';
import { walkPoetryLock } from './poetry-walk.ts';
import type { PoetryPackage } from './poetry-walk.ts';
import { projectSettings } from './project-settings.ts';
import type { ProjectSettings } from './project-settings.ts';

/** What `poetry install` always installs. */
const ALWAYS: readonly string[] = ['main'];

/** Reads `poetry.lock` of formats 1.0 to 2.1. @throws ConfigurationError */
export function readPoetryLock(filename: string, text: string, project: string | null): LockFile {
  const document = readToml(filename, text);
  const metadata = tableAt(document, 'metadata');
  const formatVersion = textAt(metadata, 'lock-version');
  if (formatVersion === null || !/^(?:1\.[0-2]|2\.\d+)$/.test(formatVersion))
    throw unknownVersion(filename, formatVersion, '1.0 to 2.1');
  const packages = tablesAt(document, 'package').map((table) => ({
    table,
    locked: packageOf(filename, table, tableAt(metadata, 'files')),
    groups: groupsOf(table),
  }));
  const settings = projectSettings(project);
  const extras = new Map(
    Object.keys(tableAt(document, 'extras')).map((name) => [
      normalizeName(name),
      textsAt(tableAt(document, 'extras'), name),
    ]),
  );
  const saysMarkers = /^2\.[1-9]/.test(formatVersion);
  const groups = knownGroups(packages, settings, saysMarkers);
  const optional = settings?.poetryOptionalGroups ?? [];
  const unasked = groups.filter((group) => !optional.includes(group));
  const python = textAt(metadata, 'python-versions');

  function packagesFor(environment: MarkerEnvironment, selection: LockSelection = {}): LockedSet {
    const set = new LockedSetBuilder();
    const choice = {
      environment,
      extras: chosenNames('extra', selection.extras, [...extras.keys()], []),
      groups: chosenNames('group', selection.groups, groups, unasked, ALWAYS),
    };
    if (!admitsPython(python, environment.python_full_version)) {
      const here = environment.python_full_version;
      set.problem(`The lock is for Python ${python}, not for ${here}.`);
    }
    if (!saysMarkers) {
      walkPoetryLock(set, { packages, extras, roots: settings?.poetryRoots ?? null }, choice);
      return set.finish();
    }
    for (const { table, locked, groups: own } of packages) {
      const markers = table['markers'];
      const markerIn = (group: string): string | null =>
        isTable(markers)
          ? (Object.entries(markers)
              .filter(([name]) => normalizeName(name) === group)
              .map(([, value]) => (typeof value === 'string' ? value : null))[0] ?? null)
          : textAt(table, 'markers');
      const asking = (own ?? []).filter((group) => choice.groups.has(group));
      if (asking.some((group) => set.holds(markerIn(group), choice))) set.add(locked);
    }
    return set.finish();
  }

  const requiresPython = python === '*' ? null : python;
  return {
    format: 'poetry',
    formatVersion,
    requiresPython,
    groups,
    extras: [...extras.keys()],
    packagesFor,
  };
}

function groupsOf(table: Table): readonly string[] | null {
  if (table['groups'] !== undefined) return textsAt(table, 'groups').map(normalizeName);
  const category = textAt(table, 'category');
  return category === null ? null : [normalizeName(category)];
}

function knownGroups(
  packages: readonly PoetryPackage[],
  settings: ProjectSettings | null,
  saysMarkers: boolean,
): readonly string[] {
  const named = packages.flatMap(({ groups }) => groups ?? []);
  const asked = saysMarkers ? [] : (settings?.poetryRoots ?? []).map(({ group }) => group);
  return [...new Set([...named, ...asked])].filter((name) => !ALWAYS.includes(name));
}

/** `older`: files as poetry before 1.3 kept them, in the metadata. */
function packageOf(filename: string, table: Table, older: Table): LockedPackage {
  const source = tableAt(table, 'source');
  const name = nameOf(filename, table);
  const own = tablesAt(table, 'files');
  const files = own.length > 0 ? own : tablesAt(older, textAt(table, 'name') ?? '');
  const url = textAt(source, 'url') ?? '';
  const common = {
    name,
    version: textAt(table, 'version'),
    extras: [],
    files: files.map(fileOf),
    sha256s: [],
    index: null,
  };
  const kind = textAt(source, 'type');
  if (kind === 'file' || kind === 'directory') return { ...common, source: 'path', location: url };
  if (kind === 'url') {
    const atUrl = common.files.map((file) =>
      file.filename === filenameOf(url) ? { ...file, url } : file,
    );
    return { ...common, files: atUrl, source: 'url', location: url };
  }
  if (kind === 'git' || kind === 'hg') {
    const reference = textAt(source, 'resolved_reference') ?? textAt(source, 'reference') ?? '';
    return { ...common, source: 'vcs', location: `${kind}+${url}@${reference}` };
  }
  return { ...common, source: 'index', index: url === '' ? null : url, location: null };
}

function fileOf(table: Table): LockedFile {
  return lockedFile(textAt(table, 'file') ?? filenameOf(textAt(table, 'url') ?? ''), {
    url: textAt(table, 'url'),
    sha256: sha256Of(textAt(table, 'hash')),
  });
}
