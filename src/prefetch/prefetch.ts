/** Fetches everything that a demand comes to on some targets into the store. */
import { messageOf } from '../core/errors.ts';
import { buildRequirements } from '../packaging/build-system.ts';
import { parseProjectName } from '../packaging/names.ts';
import { readSdistDocument } from '../packaging/sdist-content.ts';
import { fetchSet } from '../repository/fetch-set.ts';
import type { SetFile, WantedFile } from '../repository/fetch-set.ts';
import type { Repository, RequestContext } from '../repository/repository.ts';
import type { Resolution } from '../resolver/resolver.ts';
import { UnresolvableError } from '../resolver/resolver.ts';
import { upstreamOfPath } from '../store/mirror-path.ts';
import type { Store } from '../store/store.ts';
import { FileChooser } from './choice.ts';
import type { Choice } from './choice.ts';
import type { Demand } from './demand.ts';
import { coverageOf, graver, reportedFile, shortfallOf } from './report.ts';
import type { ReportedFile, SetReport, Shortfall } from './report.ts';
import { nameOfTarget } from './targets.ts';
import type { Target } from './targets.ts';
import { isElsewhere, wantedOfLocked, wantedOfPin } from './wanted-package.ts';
import type { ElsewherePackage, WantedPackage } from './wanted-package.ts';

/** A question to a resolver, for one target. */
export interface ResolverQuestion {
  readonly requirements: readonly string[];
  readonly constraints: readonly string[];
  readonly prereleases: boolean;
  readonly target: Target;
}

/** Asks the resolver that is at hand. @throws UnresolvableError */
export type AskResolver = (question: ResolverQuestion) => Promise<Resolution>;

/** How a set is gathered. */
export interface PrefetchOptions {
  readonly onlyBinary: boolean;
  readonly withBuildDependencies: boolean;
  /** Nothing is fetched but pages and what resolvers ask for. */
  readonly isDryRun: boolean;
  /** `offline`: what is not held does not exist. */
  readonly networkMode: RequestContext['networkMode'];
  readonly atATime: number;
  readonly signal: AbortSignal;
  /** What goes on, for people: files done, files known so far, bytes that came. */
  readonly onProgress?: (filesDone: number, files: number, bytes: number) => void;
  /** One file's fate. */
  readonly onFile?: (file: SetFile) => void;
}

/** Where a set is gathered. */
export interface PrefetchPlace {
  readonly repository: Repository;
  readonly store: Store;
  readonly ask: AskResolver;
}

/** Targets are resolved so many at a time: each is a process of its own. */
const RESOLVERS_AT_A_TIME = 2;

/** Builds that need builds that need builds: deeper ones are circles. */
const DEEPEST_BUILDS = 12;

/** Gathers the set of one demand. */
export class Prefetch {
  readonly #place: PrefetchPlace;
  readonly #options: PrefetchOptions;
  readonly #chooser: FileChooser;
  readonly #results = new Map<string, SetFile>();
  readonly #choices = new Map<string, Choice>();
  readonly #elsewhere = new Map<string, ElsewherePackage>();
  readonly #problems = new Set<string>();
  readonly #sizes = new Map<string, number>();
  readonly #questions = new Map<string, Promise<Resolution>>();
  #resolver: string | null = null;
  #shortfall: Shortfall = 'none';
  #bytes = 0;
  #files = 0;

  constructor(place: PrefetchPlace, options: PrefetchOptions) {
    this.#place = place;
    this.#options = options;
    const { signal, networkMode } = options;
    const context = { signal, networkMode };
    this.#chooser = new FileChooser(place, context, options.onlyBinary);
  }

  /** Gathers; rejects only for the signal and for what makes every target impossible. */
  async gather(demand: Demand, targets: readonly Target[]): Promise<SetReport> {
    for (const problem of demand.problems) this.#problems.add(problem);
    const plans = await inTurns(targets, RESOLVERS_AT_A_TIME, (target) =>
      this.#plan(demand, target),
    );
    await this.#fetch(plans.flatMap(({ choices }) => choices));
    if (this.#options.withBuildDependencies) await this.#addBuilds(plans);
    const files = this.#reportedFiles();
    const sum = (outcomes: readonly ReportedFile[]): number =>
      outcomes.reduce((total, { sizeBytes }) => total + (sizeBytes ?? 0), 0);
    return {
      isWhole: this.#shortfall === 'none',
      shortfall: this.#shortfall,
      resolver: this.#resolver,
      targets: plans.map(({ target, choices, unresolved }) =>
        coverageOf(target, choices, unresolved),
      ),
      files,
      elsewhere: [...this.#elsewhere.values()],
      problems: [...this.#problems],
      totalBytes: sum(files),
      fetchedBytes: [...this.#results.values()].reduce((total, { bytes }) => total + bytes, 0),
    };
  }

  async #plan(demand: Demand, target: Target): Promise<TargetPlan> {
    const wanted = new Map<string, WantedPackage>();
    const add = (each: WantedPackage | ElsewherePackage): void => {
      if (isElsewhere(each)) this.#addElsewhere(each);
      else wanted.set(keyOf(each), each);
    };
    for (const { packagesFor, label } of demand.locked) {
      const set = packagesFor(target.environment);
      for (const problem of set.problems) this.#problems.add(`${label}: ${problem}`);
      for (const locked of set.packages) add(wantedOfLocked(locked));
    }
    let unresolved: string | null = null;
    if (demand.requirements.length > 0) {
      try {
        for (const each of await this.#resolve(demand, target)) add(each);
      } catch (error) {
        unresolved = this.#noteUnresolved(error);
      }
    }
    return { target, choices: await this.#choose([...wanted.values()], target), unresolved };
  }

  async #choose(wanted: readonly WantedPackage[], target: Target): Promise<Choice[]> {
    const choices = await inTurns(wanted, this.#options.atATime, (each) =>
      this.#chooser.choose(each, target),
    );
    for (const choice of choices) {
      if (choice.file !== null) this.#choices.set(choice.file.path, choice);
      else this.#note(choice.error === null ? 'not-found' : shortfallOf(choice.error));
    }
    return choices;
  }

  /** The same question for the same target is asked once. */
  async #resolve(
    { requirements, constraints, prereleases, sha256s }: Omit<Demand, 'locked' | 'problems'>,
    target: Target,
  ): Promise<(WantedPackage | ElsewherePackage)[]> {
    const question = { requirements, constraints, prereleases, target };
    const key = JSON.stringify([requirements, constraints, nameOfTarget(target)]);
    const asked = this.#questions.get(key) ?? this.#place.ask(question);
    this.#questions.set(key, asked);
    const { pins, direct, tool } = await asked;
    this.#resolver = tool;
    return [
      ...pins.map((pin) => wantedOfPin(pin, sha256s)),
      ...direct.map(({ name, url }) => ({ name, source: sourceOf(url), location: url })),
    ];
  }

  #noteUnresolved(error: unknown): string {
    this.#options.signal.throwIfAborted();
    if (!(error instanceof UnresolvableError)) throw error;
    this.#note('unresolved');
    return error.words.trim();
  }

  async #fetch(choices: readonly Choice[]): Promise<void> {
    const { isDryRun, atATime, networkMode, signal, onFile, onProgress } = this.#options;
    const files = new Map<string, WantedFile>();
    for (const { file } of choices) {
      if (file === null || this.#results.has(file.path)) continue;
      const { filename, sizeBytes } = file.entry;
      files.set(file.path, { path: file.path, filename, sizeBytes });
    }
    if (isDryRun) return await this.#learnSizes(files);
    this.#files += files.size;
    const tell = (): void => onProgress?.(this.#results.size, this.#files, this.#bytes);
    tell();
    await fetchSet(this.#place.repository, [...files.values()], {
      atATime,
      networkMode,
      signal,
      onBytes: (bytes) => {
        this.#bytes += bytes;
        tell();
      },
      onFile: (result) => {
        this.#results.set(result.path, result);
        if (result.outcome === 'failed') this.#note(shortfallOf(result.error));
        onFile?.(result);
        tell();
      },
    });
    signal.throwIfAborted();
  }

  /** Some indexes list no sizes. */
  async #learnSizes(files: ReadonlyMap<string, WantedFile>): Promise<void> {
    const { signal, networkMode, atATime } = this.#options;
    const unknown = [...files.values()].filter(({ sizeBytes }) => sizeBytes === null);
    await inTurns(unknown, atATime, async ({ path }) => {
      try {
        const { repository } = this.#place;
        const source = await repository.file(path, { signal, networkMode });
        const sizeBytes = await source.learnSize(signal);
        await source.close();
        if (sizeBytes !== null) this.#sizes.set(path, sizeBytes);
      } catch {
        signal.throwIfAborted();
      }
    });
  }

  /** What the builds of chosen sdists need, with what the builds of these need, and so on. */
  async #addBuilds(plans: readonly TargetPlan[]): Promise<void> {
    let level = plans.map(({ target, choices }) => ({ target, choices }));
    const seen = new Set<string>();
    for (let depth = 0; depth < DEEPEST_BUILDS && level.length > 0; depth++) {
      const next: typeof level = [];
      for (const { target, choices } of level) {
        for (const { file, kind } of choices) {
          const key = `${nameOfTarget(target)} ${file?.path}`;
          if (kind !== 'sdist' || file === null || seen.has(key)) continue;
          seen.add(key);
          const found = await this.#choicesForBuild(file.path, file.entry.filename, target);
          if (found.length > 0) next.push({ target, choices: found });
        }
      }
      await this.#fetch(next.flatMap(({ choices }) => choices));
      level = next;
    }
  }

  async #choicesForBuild(path: string, filename: string, target: Target): Promise<Choice[]> {
    const { store } = this.#place;
    const held = store.catalog.findFile(upstreamOfPath(path) ?? '', path);
    if (held === undefined) {
      this.#problems.add(`${filename} is not here, so what its build needs is not known.`);
      return [];
    }
    try {
      const text = await store.held.readIn(held, (access) =>
        readSdistDocument(filename, access, 'pyproject.toml'),
      );
      const requirements = buildRequirements(text);
      if (requirements.length === 0) return [];
      const demand = { requirements, constraints: [], prereleases: false, sha256s: new Map() };
      const wanted = await this.#resolve(demand, target);
      const ofIndexes = wanted.filter((each): each is WantedPackage => !isElsewhere(each));
      return await this.#choose(ofIndexes, target);
    } catch (error) {
      this.#options.signal.throwIfAborted();
      this.#note(error instanceof UnresolvableError ? 'unresolved' : 'unavailable');
      const words = error instanceof UnresolvableError ? error.words.trim() : messageOf(error);
      this.#problems.add(
        `What the build of ${filename} needs is not here (${nameOfTarget(target)}): ${words}`,
      );
      return [];
    }
  }

  #addElsewhere(each: ElsewherePackage): void {
    this.#elsewhere.set(`${each.name} ${each.location}`, each);
    // A path is the caller's own; the others would have to be fetched from where nobody mirrors.
    if (each.source !== 'path') this.#note('not-found');
  }

  #note(shortfall: Shortfall): void {
    this.#shortfall = graver(this.#shortfall, shortfall);
  }

  #reportedFiles(): ReportedFile[] {
    const files = [...this.#choices].flatMap(
      ([path, choice]) =>
        reportedFile(choice, this.#results.get(path), this.#sizes.get(path) ?? null) ?? [],
    );
    return files.toSorted((a, b) => (a.filename < b.filename ? -1 : 1));
  }
}

interface TargetPlan {
  readonly target: Target;
  readonly choices: readonly Choice[];
  readonly unresolved: string | null;
}

function keyOf({ project, version }: WantedPackage): string {
  return `${parseProjectName(project) ?? project}==${version}`;
}

function sourceOf(url: string): ElsewherePackage['source'] {
  if (/^(?:git|hg|svn|bzr)\+/.test(url)) return 'vcs';
  return /^https?:/.test(url) ? 'url' : 'path';
}

/** Like `map`, so many at a time; the results in the order of `items`. */
async function inTurns<T, R>(
  items: readonly T[],
  atATime: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const at = next++;
      const item = items[at];
      if (item !== undefined) results[at] = await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atATime, items.length) }, worker));
  return results;
}
