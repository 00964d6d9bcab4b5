import { isTable, readToml, tableAt, tableEntries, textsAt } from './document.ts';
import type { Table } from './document.ts';
import { normalizeName } from './locked-set.ts';

/** One thing that a project asks for in poetry's own tables. */
export interface PoetryRoot {
  /** Normalized. */
  readonly name: string;
  /** Normalized; `main` for what is always needed. */
  readonly group: string;
  /** `markers`, `python`, `optional`, `extras`; empty for a mere constraint. */
  readonly table: Table;
}

/** What a project's `pyproject.toml` tells tools and their lock files do not. */
export interface ProjectSettings {
  /** Groups that `uv sync` installs unasked; `null` when it is left to uv. */
  readonly uvDefaultGroups: readonly string[] | 'all' | null;
  /** Groups that `poetry install` leaves out unless they are named, normalized. */
  readonly poetryOptionalGroups: readonly string[];
  /** `null` when the project does not use them. */
  readonly poetryRoots: readonly PoetryRoot[] | null;
  /** Groups that `pdm sync` installs unasked, normalized. */
  readonly pdmDevelopmentGroups: readonly string[];
}

/** Reads them; `null` without a project file. @throws ConfigurationError */
export function projectSettings(text: string | null): ProjectSettings | null {
  if (text === null) return null;
  const document = readToml('pyproject.toml', text);
  const tool = tableAt(document, 'tool');
  const uv = tableAt(tool, 'uv');
  const optional = tableEntries(tableAt(tableAt(tool, 'poetry'), 'group'))
    .filter(([, group]) => group['optional'] === true)
    .map(([name]) => normalizeName(name));
  return {
    uvDefaultGroups: defaultGroups(uv),
    poetryOptionalGroups: optional,
    poetryRoots: poetryRoots(tableAt(tool, 'poetry')),
    pdmDevelopmentGroups: [
      ...Object.keys(tableAt(document, 'dependency-groups')),
      ...Object.keys(tableAt(tableAt(tool, 'pdm'), 'dev-dependencies')),
    ].map(normalizeName),
  };
}

function defaultGroups(uv: Table): readonly string[] | 'all' | null {
  if (uv['default-groups'] === 'all') return 'all';
  if (uv['default-groups'] === undefined) return null;
  return textsAt(uv, 'default-groups').map(normalizeName);
}

function poetryRoots(poetry: Table): readonly PoetryRoot[] | null {
  if (poetry['dependencies'] === undefined) return null;
  const groups: [group: string, dependencies: Table][] = [
    ['main', tableAt(poetry, 'dependencies')],
    ['dev', tableAt(poetry, 'dev-dependencies')],
    ...tableEntries(tableAt(poetry, 'group')).map(([name, group]): [string, Table] => [
      normalizeName(name),
      tableAt(group, 'dependencies'),
    ]),
  ];
  return groups.flatMap(([group, dependencies]) =>
    Object.entries(dependencies)
      .filter(([name]) => name !== 'python')
      .flatMap(([name, value]) => {
        const each = Array.isArray(value) ? (value as readonly unknown[]) : [value];
        return each.map((one) => ({
          name: normalizeName(name),
          group,
          table: isTable(one) ? one : {},
        }));
      }),
  );
}
