import type { MarkerEnvironment } from '../environment.ts';
import { readToml, tableAt, tablesAt, textAt, textsAt } from './document.ts';
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
import { projectSettings } from './project-settings.ts';

/** What `pdm sync` always installs. */
const ALWAYS: readonly string[] = ['default'];

/** Reads `pdm.lock` of format 4. @throws ConfigurationError */
export function readPdmLock(filename: string, text: string, project: string | null): LockFile {
  const document = readToml(filename, text);
  const metadata = tableAt(document, 'metadata');
  const formatVersion = textAt(metadata, 'lock_version');
  if (formatVersion === null || !/^4(?:\.\d+)*$/.test(formatVersion))
    throw unknownVersion(filename, formatVersion, '4.0 to 4.5');
  const groups = textsAt(metadata, 'groups')
    .map(normalizeName)
    .filter((name) => !ALWAYS.includes(name));
  const strategy = textsAt(metadata, 'strategy');
  const targets = tablesAt(metadata, 'targets');
  const development = projectSettings(project)?.pdmDevelopmentGroups ?? ['dev'];
  const entries = tablesAt(document, 'package').map((table) => ({
    table,
    locked: packageOf(filename, table, tableAt(metadata, 'files')),
    groups: textsAt(table, 'groups').map(normalizeName),
  }));

  function packagesFor(environment: MarkerEnvironment, selection: LockSelection = {}): LockedSet {
    const set = new LockedSetBuilder();
    // pdm keeps extras of the project among its groups; told nothing at all, it installs all that is locked.
    const unasked = selection.extras === undefined ? groups : development;
    const asked = chosenNames('group', selection.groups, groups, unasked, ALWAYS);
    const extras = chosenNames('extra', selection.extras, groups, []);
    const chosen = new Set([...asked, ...extras]);
    const choice = { environment, groups: chosen, extras };
    if (targets.length > 0 && !targets.some((target) => fitsTarget(set, target, environment)))
      set.problem('The lock is not for this environment (its `targets`).');
    if (!strategy.includes('inherit_metadata'))
      set.problem('The lock does not say what each package is for (it lacks inherit_metadata).');
    for (const entry of entries) {
      if (entry.groups.length > 0 && !entry.groups.some((group) => chosen.has(group))) continue;
      if (!set.holds(textAt(entry.table, 'marker'), choice)) continue;
      // pdm installs it all the same.
      const needed = textAt(entry.table, 'requires_python');
      if (!set.admits(needed, environment))
        set.problem(`${entry.locked.name} ${entry.locked.version ?? ''} is for Python ${needed}.`);
      set.add(entry.locked);
    }
    return set.finish();
  }

  return {
    format: 'pdm',
    formatVersion,
    requiresPython: null,
    groups,
    extras: groups,
    packagesFor,
  };
}

/** Systems by the first word of pdm's platforms (`manylinux_2_17_x86_64`, `windows_amd64`). */
const SYSTEMS: readonly (readonly [platform: RegExp, system: string])[] = [
  [/^(?:linux|manylinux|musllinux|alpine)/, 'Linux'],
  [/^macos/, 'Darwin'],
  [/^win/, 'Windows'],
];
const ARCHITECTURES: Readonly<Record<string, string>> = { amd64: 'x86_64', aarch64: 'arm64' };

function fitsTarget(set: LockedSetBuilder, target: Table, environment: MarkerEnvironment): boolean {
  if (!set.admits(textAt(target, 'requires_python'), environment)) return false;
  const implementation = textAt(target, 'implementation');
  if (implementation !== null && implementation !== environment.implementation_name) return false;
  const platform = textAt(target, 'platform');
  if (platform === null) return true;
  const system = SYSTEMS.find(([pattern]) => pattern.test(platform))?.[1];
  if (system !== undefined && system !== environment.platform_system) return false;
  const sameArchitecture = (machine: string): string =>
    ARCHITECTURES[machine.toLowerCase()] ?? machine.toLowerCase();
  const [architecture] = /(?:x86_64|amd64|arm64|aarch64)$/.exec(platform) ?? [];
  if (architecture === undefined) return true;
  return sameArchitecture(architecture) === sameArchitecture(environment.platform_machine);
}

/** `older`: files as format 4.0 to 4.2 kept them, under `name version` in the metadata. */
function packageOf(filename: string, table: Table, older: Table): LockedPackage {
  const name = nameOf(filename, table);
  const version = textAt(table, 'version');
  const own = tablesAt(table, 'files');
  const listed =
    own.length > 0 ? own : tablesAt(older, `${textAt(table, 'name') ?? ''} ${version ?? ''}`);
  const common = {
    name,
    version,
    extras: textsAt(table, 'extras').map(normalizeName).toSorted(),
    files: listed.map(fileOf),
    sha256s: [],
    index: null,
  };
  for (const kind of ['git', 'hg', 'svn', 'bzr']) {
    const repository = textAt(table, kind);
    if (repository === null) continue;
    const location = `${kind}+${repository}@${textAt(table, 'revision') ?? textAt(table, 'ref') ?? ''}`;
    return { ...common, source: 'vcs', location };
  }
  const path = textAt(table, 'path');
  if (path !== null) return { ...common, source: 'path', location: path };
  const url = textAt(table, 'url');
  if (url !== null) {
    const files = common.files.map((file) =>
      file.filename === filenameOf(url) ? { ...file, url } : file,
    );
    return { ...common, files, source: 'url', location: url };
  }
  return { ...common, source: 'index', location: null };
}

function fileOf(table: Table): LockedFile {
  const url = textAt(table, 'url');
  return lockedFile(textAt(table, 'file') ?? filenameOf(url ?? ''), {
    url,
    sha256: sha256Of(textAt(table, 'hash')),
  });
}
