import { isTable, tableAt, textAt, textsAt } from './document.ts';
import type { Table } from './document.ts';
import { normalizeName } from './locked-set.ts';
import type { Choice, LockedSetBuilder } from './locked-set.ts';
import type { LockedPackage } from './lock-model.ts';
import { admitsPython } from './poetry-constraint.ts';
import type { PoetryRoot } from './project-settings.ts';

/** A package of `poetry.lock`, with the table it was read from. */
export interface PoetryPackage {
  readonly table: Table;
  readonly locked: LockedPackage;
  /** Normalized; `null` in locks of poetry 1, which do not say (but for `category`, until 1.4). */
  readonly groups: readonly string[] | null;
}

/** What a walk through a lock of poetry 1 needs. */
interface PoetryWalk {
  readonly packages: readonly PoetryPackage[];
  /** Extras of the project, normalized, and what each one asks for. */
  readonly extras: ReadonlyMap<string, readonly string[]>;
  /** What the project asks for; `null` when that is not known. */
  readonly roots: readonly PoetryRoot[] | null;
}

interface Demand {
  readonly name: string;
  /** Extras asked of it, normalized. */
  readonly extras: readonly string[];
}

/**
 * Locks of poetry 1 leave to a resolution what is needed: from what the project asks for along every
 * dependency whose marker holds. Without the project everything may be asked for that is not optional.
 */
export function walkPoetryLock(set: LockedSetBuilder, walk: PoetryWalk, choice: Choice): void {
  const here = walk.packages.filter(({ table }) =>
    admitsPython(textAt(table, 'python-versions'), choice.environment.python_full_version),
  );
  const waiting = [...demandsOf(set, walk, here, choice)];
  const seen = new Map<PoetryPackage, Set<string>>();
  for (let demand = waiting.pop(); demand !== undefined; demand = waiting.pop()) {
    const { name, extras } = demand;
    const found = here.filter(({ locked }) => locked.name === name);
    for (const each of found) {
      const before = seen.get(each);
      const fresh = extras.filter((extra) => before?.has(extra) !== true);
      if (before !== undefined && fresh.length === 0) continue;
      const all = new Set([...(before ?? []), ...extras]);
      seen.set(each, all);
      waiting.push(...dependenciesOf(set, each.table, { ...choice, extras: all }));
    }
  }
  for (const [each, extras] of seen) set.add({ ...each.locked, extras: [...extras].toSorted() });
}

function demandsOf(
  set: LockedSetBuilder,
  { extras, roots }: PoetryWalk,
  here: readonly PoetryPackage[],
  choice: Choice,
): readonly Demand[] {
  const named = [...choice.extras]
    .flatMap((extra) => extras.get(extra) ?? [])
    .map((requirement) => normalizeName(/^[A-Za-z0-9._-]+/.exec(requirement)?.[0] ?? ''));
  const byExtra = named.map((name) => ({ name, extras: [] }));
  if (roots === null) {
    set.problem(
      'A lock of poetry 1 does not say what is asked for: without its pyproject.toml everything that is not optional counts.',
    );
    const unasked = here.filter(
      ({ table, groups }) =>
        table['optional'] !== true &&
        (groups === null || groups.some((group) => choice.groups.has(group))),
    );
    return [...unasked.map(({ locked }) => ({ name: locked.name, extras: [] })), ...byExtra];
  }
  const asked = roots.filter(
    ({ name, group, table }) =>
      choice.groups.has(group) &&
      (table['optional'] !== true || named.includes(name)) &&
      holds(set, table, choice),
  );
  return asked.map(({ name, table }) => ({
    name,
    extras: textsAt(table, 'extras').map(normalizeName),
  }));
}

function dependenciesOf(set: LockedSetBuilder, table: Table, choice: Choice): readonly Demand[] {
  const dependencies = tableAt(table, 'dependencies');
  const lists = Object.entries(dependencies).flatMap(([name, value]) => {
    const each = Array.isArray(value) ? (value as readonly unknown[]) : [value];
    return each.map((one): [string, Table] => [name, isTable(one) ? one : {}]);
  });
  return lists
    .filter(([, one]) => holds(set, one, choice))
    .filter(([name, one]) => one['optional'] !== true || isAskedFor(table, name, choice.extras))
    .map(([name, one]) => ({
      name: normalizeName(name),
      extras: textsAt(one, 'extras').map(normalizeName),
    }));
}

/** Whether one of the extras names an optional dependency. */
function isAskedFor(table: Table, name: string, chosen: ReadonlySet<string>): boolean {
  const extras = tableAt(table, 'extras');
  return Object.keys(extras).some(
    (extra) =>
      chosen.has(normalizeName(extra)) &&
      textsAt(extras, extra).some(
        (requirement) =>
          normalizeName(/^[A-Za-z0-9._-]+/.exec(requirement)?.[0] ?? '') === normalizeName(name),
      ),
  );
}

function holds(set: LockedSetBuilder, table: Table, choice: Choice): boolean {
  return (
    set.holds(textAt(table, 'markers'), choice) &&
    admitsPython(textAt(table, 'python'), choice.environment.python_full_version)
  );
}
