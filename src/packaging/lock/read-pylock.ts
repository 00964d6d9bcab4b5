import type { MarkerEnvironment } from '../environment.ts';
import { countAt, readToml, tableAt, tablesAt, textAt, textsAt } from './document.ts';
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
  unknownVersion,
} from './locked-set.ts';

/** Reads `pylock.toml` (PEP 751). @throws ConfigurationError */
export function readPylock(filename: string, text: string): LockFile {
  const document = readToml(filename, text);
  const formatVersion = textAt(document, 'lock-version');
  if (formatVersion === null || !/^1\.\d+$/.test(formatVersion))
    throw unknownVersion(filename, formatVersion, '1.0');
  const extras = textsAt(document, 'extras').map(normalizeName);
  const unasked = textsAt(document, 'default-groups').map(normalizeName);
  const groups = [
    ...new Set([...textsAt(document, 'dependency-groups').map(normalizeName), ...unasked]),
  ];
  const requiresPython = textAt(document, 'requires-python');
  const entries = tablesAt(document, 'packages').map((table) => ({
    table,
    locked: packageOf(filename, table),
  }));

  function packagesFor(environment: MarkerEnvironment, selection: LockSelection = {}): LockedSet {
    const set = new LockedSetBuilder();
    const choice = {
      environment,
      extras: chosenNames('extra', selection.extras, extras, []),
      groups: chosenNames('group', selection.groups, groups, unasked),
    };
    // A later minor version may say things that this reader passes by.
    if (formatVersion !== '1.0')
      set.problem(`The lock is of version ${formatVersion}; what is newer than 1.0 is passed by.`);
    set.checkPython(requiresPython, environment);
    const environments = textsAt(document, 'environments');
    if (environments.length > 0 && !environments.some((marker) => set.holds(marker, choice)))
      set.problem('The lock is not for this environment (its `environments`).');
    for (const { table, locked } of entries) {
      if (!set.holds(textAt(table, 'marker'), choice)) continue;
      const needed = textAt(table, 'requires-python');
      if (!set.admits(needed, environment))
        set.problem(`${locked.name} ${locked.version ?? ''} is for Python ${needed}.`);
      set.add(locked);
    }
    return set.finish();
  }

  return { format: 'pylock', formatVersion, requiresPython, groups, extras, packagesFor };
}

function packageOf(filename: string, table: Table): LockedPackage {
  const common = {
    name: nameOf(filename, table),
    version: textAt(table, 'version'),
    extras: [],
    files: [],
    sha256s: [],
    index: textAt(table, 'index'),
  };
  if (table['vcs'] !== undefined) {
    const vcs = tableAt(table, 'vcs');
    const where = textAt(vcs, 'url') ?? textAt(vcs, 'path') ?? '';
    const location = `${textAt(vcs, 'type') ?? 'git'}+${where}@${textAt(vcs, 'commit-id') ?? ''}`;
    return { ...common, source: 'vcs', location };
  }
  if (table['directory'] !== undefined)
    return { ...common, source: 'path', location: textAt(tableAt(table, 'directory'), 'path') };
  if (table['archive'] !== undefined) {
    const archive = tableAt(table, 'archive');
    const url = textAt(archive, 'url');
    const location = url ?? textAt(archive, 'path');
    return {
      ...common,
      source: url === null ? 'path' : 'url',
      location,
      files: [fileOf(archive)],
    };
  }
  const sdist = table['sdist'] === undefined ? [] : [tableAt(table, 'sdist')];
  const files = [...sdist, ...tablesAt(table, 'wheels')].map(fileOf);
  return { ...common, source: 'index', location: null, files };
}

function fileOf(table: Table): LockedFile {
  const url = textAt(table, 'url');
  const filename = textAt(table, 'name') ?? filenameOf(url ?? textAt(table, 'path') ?? '');
  return lockedFile(filename, {
    url,
    sha256: textAt(tableAt(table, 'hashes'), 'sha256')?.toLowerCase() ?? null,
    sizeBytes: countAt(table, 'size'),
  });
}
