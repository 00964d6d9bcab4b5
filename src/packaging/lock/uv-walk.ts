import type { MarkerEnvironment } from '../environment.ts';
import type { LockedPackage, LockedSet, LockSelection } from './lock-model.ts';
import { chosenNames, LockedSetBuilder } from './locked-set.ts';
import type { Choice } from './locked-set.ts';

/** A dependency as `uv.lock` writes it: by name, and by version and source where that is not enough. */
export interface UvEdge {
  readonly name: string;
  readonly version: string | null;
  readonly sourceKey: string | null;
  readonly marker: string | null;
  /** Normalized. */
  readonly extras: readonly string[];
}

/** Where a walk begins. */
export interface UvRoot {
  /** `null` for requirements that belong to no project. */
  readonly itself: LockedPackage | null;
  readonly edges: readonly UvEdge[];
  readonly extras: ReadonlyMap<string, readonly UvEdge[]>;
  readonly groups: ReadonlyMap<string, readonly UvEdge[]>;
}

/** A package of `uv.lock`. */
export interface UvPackage extends UvRoot {
  readonly locked: LockedPackage;
  readonly itself: LockedPackage;
  readonly isInstalled: boolean;
  /** Whether it is the project in the lock's own folder. */
  readonly isRoot: boolean;
  readonly sourceKey: string;
  /** Markers of the forks of the resolution that it belongs to; empty for all. */
  readonly forks: readonly string[];
}

/** What a walk needs of the whole file. */
export interface UvLock {
  readonly packages: readonly UvPackage[];
  readonly roots: readonly UvRoot[];
  readonly requiresPython: string | null;
  /** Environments the lock was made for; empty for all. */
  readonly supported: readonly string[];
  /** Groups that are installed when nobody chooses. */
  readonly unasked: readonly string[] | 'all';
  readonly groups: readonly string[];
  readonly extras: readonly string[];
}

/** From the roots along every dependency whose marker holds, as `uv sync` goes. */
export function walkUvLock(
  lock: UvLock,
  environment: MarkerEnvironment,
  selection: LockSelection,
): LockedSet {
  const unasked = lock.unasked === 'all' ? lock.groups : lock.unasked;
  const extras = chosenNames('extra', selection.extras, lock.extras, []);
  const groups = chosenNames('group', selection.groups, lock.groups, unasked);
  const names = new Map<string, UvPackage[]>();
  for (const each of lock.packages)
    names.set(each.locked.name, [...(names.get(each.locked.name) ?? []), each]);
  // Markers may ask for extras that are reached only on the way (`conflicts`), so it goes on until
  // no new one is met. It begins with those of the roots, which decide nearly all.
  const begin = new Walk(names, { environment, groups, extras: new Set() });
  for (const root of lock.roots) begin.start(root, extras, groups);
  let active = begin.met;
  for (;;) {
    const walk = new Walk(names, { environment, groups, extras: active });
    for (const root of lock.roots) walk.start(root, extras, groups);
    walk.run();
    if (walk.met.size === active.size) {
      walk.set.checkPython(lock.requiresPython, environment);
      if (lock.supported.length > 0 && !lock.supported.some((marker) => walk.holds(marker)))
        walk.set.problem('The lock is not for this environment (its `supported-markers`).');
      return walk.set.finish();
    }
    active = walk.met;
  }
}

class Walk {
  readonly set: LockedSetBuilder = new LockedSetBuilder();
  /** What was asked for on the way, in the words of uv's conflict markers; never fewer than before. */
  readonly met: Set<string>;
  readonly #names: ReadonlyMap<string, readonly UvPackage[]>;
  readonly #choice: Choice;
  readonly #seen = new Map<UvPackage, Set<string>>();
  readonly #waiting: UvEdge[] = [];

  constructor(names: ReadonlyMap<string, readonly UvPackage[]>, choice: Choice) {
    this.#names = names;
    this.#choice = choice;
    this.met = new Set(choice.extras);
  }

  holds(marker: string | null): boolean {
    return this.set.holds(marker, this.#choice);
  }

  start(root: UvRoot, extras: ReadonlySet<string>, groups: ReadonlySet<string>): void {
    const name = root.itself?.name;
    if (name !== undefined) {
      this.met.add(`project-${name.length}-${name}`);
      const itself = (this.#names.get(name) ?? []).find((each) => each.itself === root.itself);
      if (itself !== undefined) this.#visit(itself, [...extras]);
    }
    if (name === undefined) this.#waiting.push(...root.edges);
    for (const [group, edges] of root.groups) {
      if (!groups.has(group)) continue;
      if (name !== undefined) this.met.add(`group-${name.length}-${name}-${group}`);
      this.#waiting.push(...edges);
    }
  }

  run(): void {
    for (let edge = this.#waiting.pop(); edge !== undefined; edge = this.#waiting.pop()) {
      if (!this.holds(edge.marker)) continue;
      const found = this.#find(edge);
      if (found !== undefined) this.#visit(found, edge.extras);
    }
  }

  #visit(found: UvPackage, extras: readonly string[]): void {
    const { locked } = found;
    const seen = this.#seen.get(found) ?? new Set<string>();
    if (!this.#seen.has(found)) this.#waiting.push(...found.edges);
    this.#seen.set(found, seen);
    for (const extra of extras) {
      if (seen.has(extra)) continue;
      seen.add(extra);
      this.met.add(`extra-${locked.name.length}-${locked.name}-${extra}`);
      // An extra that the version does not have is no error to installers.
      this.#waiting.push(...(found.extras.get(extra) ?? []));
    }
    if (found.isInstalled)
      this.set.add({ ...locked, extras: [...seen].filter((extra) => found.extras.has(extra)) });
  }

  #find(edge: UvEdge): UvPackage | undefined {
    const named = this.#names.get(edge.name) ?? [];
    const fitting = named.filter(
      (each) =>
        (edge.version === null || each.locked.version === edge.version) &&
        (edge.sourceKey === null || each.sourceKey === edge.sourceKey),
    );
    const here =
      fitting.length < 2
        ? fitting
        : fitting.filter(
            ({ forks }) => forks.length === 0 || forks.some((marker) => this.holds(marker)),
          );
    if (here.length !== 1) {
      const count = here.length === 0 ? 'no' : 'more than one';
      this.set.problem(`The lock has ${count} package ${edge.name} for this environment.`);
    }
    return here[0];
  }
}
