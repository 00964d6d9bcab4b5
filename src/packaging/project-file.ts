/** What a project's `pyproject.toml` asks for: PEP 621 dependencies and extras, PEP 735 groups. */
import { ConfigurationError } from '../core/errors.ts';
import { isTable, listAt, readToml, tableAt, textAt, textsAt } from './lock/document.ts';
import type { Table } from './lock/document.ts';
import { parseRequirement } from './requirement.ts';

/** Which optional parts are wanted. */
export interface ProjectSelection {
  /** Names of dependency groups. */
  readonly groups: readonly string[];
  readonly extras: readonly string[];
}

const normalized = (name: string): string => name.replace(/[-_.]+/g, '-').toLowerCase();

/**
 * The requirements of a project with those of the extras and groups that are wanted, as written. A
 * requirement on the project itself (`app[all]`) stands for the extras it names.
 *
 * @throws ConfigurationError for text that is no TOML, unknown extras and groups, circles of groups
 */
export function projectRequirements(
  filename: string,
  text: string,
  selection: ProjectSelection,
): readonly string[] {
  const document = readToml(filename, text);
  const project = tableAt(document, 'project');
  const own = normalized(textAt(project, 'name') ?? '');
  const extras = byName(tableAt(project, 'optional-dependencies'));
  const groups = byName(tableAt(document, 'dependency-groups'));
  const found = new Set<string>(textsAt(project, 'dependencies'));
  const seen = new Set<string>();
  const addExtra = (name: string): void => {
    if (seen.has(normalized(name))) return;
    seen.add(normalized(name));
    for (const each of valueOf(filename, 'extra', extras, name)) {
      if (typeof each !== 'string') continue;
      const requirement = parseRequirement(each);
      if (requirement?.name === own && own !== '') requirement.extras.forEach(addExtra);
      else found.add(each);
    }
  };
  selection.extras.forEach(addExtra);
  const addGroup = (name: string, path: readonly string[]): void => {
    if (path.includes(normalized(name))) {
      throw new ConfigurationError([
        `${filename}: the dependency group ${name} includes itself (${[...path, name].join(' → ')}).`,
      ]);
    }
    for (const each of valueOf(filename, 'dependency group', groups, name)) {
      if (typeof each === 'string') found.add(each);
      else if (isTable(each)) {
        const included = textAt(each, 'include-group');
        if (included !== null) addGroup(included, [...path, normalized(name)]);
      }
    }
  };
  for (const name of selection.groups) addGroup(name, []);
  return [...found];
}

function byName(table: Table): ReadonlyMap<string, readonly unknown[]> {
  return new Map(Object.keys(table).map((name) => [normalized(name), listAt(table, name)]));
}

function valueOf(
  filename: string,
  kind: string,
  table: ReadonlyMap<string, readonly unknown[]>,
  name: string,
): readonly unknown[] {
  const value = table.get(normalized(name));
  if (value !== undefined) return value;
  const known = [...table.keys()].join(', ');
  throw new ConfigurationError([`${filename} has no ${kind} ${JSON.stringify(name)}.`], {
    hint: known === '' ? `It has no ${kind} at all.` : `Known: ${known}.`,
  });
}
