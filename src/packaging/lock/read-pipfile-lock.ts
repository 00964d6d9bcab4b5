import type { MarkerEnvironment } from '../environment.ts';
import { countAt, readJson, tableAt, tableEntries, tablesAt, textAt, textsAt } from './document.ts';
import type { Table } from './document.ts';
import type { LockedPackage, LockedSet, LockFile, LockSelection } from './lock-model.ts';
import {
  chosenNames,
  filenameOf,
  lockedFile,
  LockedSetBuilder,
  normalizeName,
  projectName,
  sha256Of,
  unknownVersion,
} from './locked-set.ts';

/** What `pipenv sync` always installs. */
const ALWAYS: readonly string[] = ['default'];

/** Reads `Pipfile.lock` (`pipfile-spec` 6); its categories are what is called groups here. @throws ConfigurationError */
export function readPipfileLock(filename: string, text: string): LockFile {
  const document = readJson(filename, text);
  const meta = tableAt(document, '_meta');
  const version = countAt(meta, 'pipfile-spec');
  if (version !== 6)
    throw unknownVersion(filename, version === null ? null : String(version), 'pipfile-spec 6');
  const indexes = new Map(
    tablesAt(meta, 'sources').map((source) => [textAt(source, 'name'), textAt(source, 'url')]),
  );
  const categories = tableEntries(document).filter(([name]) => name !== '_meta');
  const groups = categories
    .map(([name]) => normalizeName(name))
    .filter((name) => !ALWAYS.includes(name));
  const requires = tableAt(meta, 'requires');
  const python = textAt(requires, 'python_full_version') ?? textAt(requires, 'python_version');
  const requiresPython = python === null ? null : requirementOf(python);

  function packagesFor(environment: MarkerEnvironment, selection: LockSelection = {}): LockedSet {
    const set = new LockedSetBuilder();
    const chosen = chosenNames('group', selection.groups, groups, [], ALWAYS);
    const choice = { environment, groups: chosen, extras: new Set<string>() };
    chosenNames('extra', selection.extras, [], []);
    set.checkPython(requiresPython, environment);
    for (const [category, packages] of categories) {
      if (!chosen.has(normalizeName(category))) continue;
      for (const [name, table] of tableEntries(packages)) {
        if (set.holds(textAt(table, 'markers'), choice))
          set.add(packageOf(projectName(filename, name), table, indexes));
      }
    }
    return set.finish();
  }

  return {
    format: 'pipfile',
    formatVersion: String(version),
    requiresPython,
    groups,
    extras: [],
    packagesFor,
  };
}

/** `*` stands for what was not locked, since the machine that locked does not need it. */
function versionOf(specifier: string | null): string | null {
  return specifier === '*' ? null : (specifier?.replace(/^===?\s*/, '') ?? null);
}

/** `3.11` stands for every release of it. */
function requirementOf(python: string): string {
  return /^\d+\.\d+$/.test(python) ? `==${python}.*` : `==${python}`;
}

function packageOf(
  name: string,
  table: Table,
  indexes: ReadonlyMap<string | null, string | null>,
): LockedPackage {
  const sha256s = textsAt(table, 'hashes')
    .map(sha256Of)
    .filter((digest) => digest !== null);
  const common = {
    name,
    version: versionOf(textAt(table, 'version')),
    extras: textsAt(table, 'extras').map(normalizeName).toSorted(),
    files: [],
    sha256s,
    index: null,
  };
  for (const kind of ['git', 'hg', 'svn', 'bzr']) {
    const repository = textAt(table, kind);
    if (repository === null) continue;
    const location = `${kind}+${repository}@${textAt(table, 'ref') ?? ''}`;
    return { ...common, source: 'vcs', location };
  }
  const path = textAt(table, 'path');
  if (path !== null) return { ...common, source: 'path', location: path };
  const file = textAt(table, 'file');
  if (file === null) {
    const index = indexes.get(textAt(table, 'index')) ?? null;
    return { ...common, source: 'index', index, location: null };
  }
  const url = /^https?:/i.test(file) ? file : null;
  const sha256 = sha256s.length === 1 ? (sha256s[0] ?? null) : null;
  return {
    ...common,
    files: [lockedFile(filenameOf(file), { url, sha256 })],
    source: url === null ? 'path' : 'url',
    location: file,
  };
}
