import { rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { MirrorSettings } from '../config/mirror-file.ts';
import { RefusedError, StorageError, WheelcellarError, messageOf } from '../core/errors.ts';
import { parseFilename } from '../packaging/filenames.ts';
import { parseProjectName } from '../packaging/names.ts';
import { compareVersions } from '../packaging/versions.ts';
import { fetchSet } from '../repository/fetch-set.ts';
import type { RequestContext } from '../repository/repository.ts';
import { sha256Of } from '../store/digest.ts';
import { upstreamOfPath } from '../store/mirror-path.ts';
import { closureOf } from './closure-files.ts';
import type { ClosureFile, TargetPins, WantedBuild } from './closure-files.ts';
import { describeFile, downloadDir, placeFile, wheelhouseDir } from './download-folders.ts';
import type { Ledger, LedgerFile, LedgerPin, LedgerSet } from './ledger.ts';
import type { LeftOut, RequirementSet } from './requirement-set.ts';
import type { Sandbox } from './sandbox.ts';
import type { RunOptions, RunSurroundings } from './surroundings.ts';
import { VcsStep } from './vcs-step.ts';
import type { MadeWheel, NotedBuild } from './vcs-step.ts';
import { buildWheel } from './wheel-build.ts';

/** What one branch brought. */
export interface BranchDownload extends LedgerSet {
  readonly leftOut: readonly LeftOut[];
  readonly fetched: readonly string[];
  readonly built: readonly string[];
  /** What did not hinder it, as sentences. */
  readonly problems: readonly string[];
}

/** The wheel of a version, as one target takes it. */
type WheelWish = Pick<WantedBuild, 'pin' | 'target'>;

/** What the old tool put into every wheelhouse, since installing from sdists needs it. */
const BUILD_TOOLS: readonly string[] = ['pip', 'setuptools', 'wheel', 'pbr'];

/**
 * Fills a mirror's download folders, branch by branch. Files come from the cache folder, which fetches
 * what it does not hold, and are linked into the folders.
 */
export class DownloadStep {
  readonly #mirror: MirrorSettings;
  readonly #cacheRoot: string;
  readonly #ledger: Ledger;
  readonly #env: RunSurroundings;
  readonly #buildTimeoutMs: number;
  readonly #context: RequestContext;
  readonly #vcs: VcsStep;
  #sandbox: Promise<Sandbox> | null = null;

  constructor(
    mirror: MirrorSettings,
    cacheRoot: string,
    ledger: Ledger,
    env: RunSurroundings,
    options: Pick<RunOptions, 'buildTimeoutMs' | 'isOffline'>,
  ) {
    this.#mirror = mirror;
    this.#cacheRoot = cacheRoot;
    this.#ledger = ledger;
    this.#env = env;
    this.#buildTimeoutMs = options.buildTimeoutMs;
    this.#context = {
      signal: env.signal,
      networkMode: options.isOffline ? 'offline' : 'normal',
    };
    this.#vcs = new VcsStep({
      mirrorName: mirror.name,
      cacheRoot,
      ledger,
      env,
      options,
      openSandbox: () => this.#openSandbox(),
      noting: (build) => this.#noting(build),
      wheelOf: (wanted, sdist) => this.#wheelOf(wanted, sdist),
    });
  }

  /** The sandbox, if it was needed. */
  async openedSandbox(): Promise<Sandbox | null> {
    return (await this.#sandbox?.catch(() => null)) ?? null;
  }

  /**
   * Resolves a set and fetches (or builds) all its files.
   *
   * @throws WheelcellarError when it cannot be had as a whole; what has come stays
   */
  async run(set: RequirementSet, mayBeLocal: boolean): Promise<BranchDownload> {
    const commits =
      this.#mirror.vcs === 'build' && set.vcs.length > 0
        ? await this.#vcs.run(set, mayBeLocal)
        : null;
    const resolved: TargetPins[] = [];
    for (const target of this.#env.targets) {
      const sandbox = await this.#sandboxForResolver();
      const { constraints } = set;
      const requirements = [...(commits?.lines ?? []), ...set.lines];
      const pins = await this.#env.resolve({ requirements, constraints, target, sandbox });
      resolved.push({ target, pins });
    }
    if (commits === null) return { ...(await this.#take(resolved)), leftOut: set.leftOut };
    const ours = new Set(commits.pins.map(keyOf));
    // No index has them.
    const others = resolved.map(({ target, pins }) => ({
      target,
      pins: pins.filter((pin) => !ours.has(keyOf(pin))),
    }));
    const taken = await this.#take(others);
    return {
      pins: uniquePins(resolved.flatMap(({ pins }) => pins)),
      files: [...new Set([...taken.files, ...commits.files])],
      fetched: [...new Set([...commits.fetched, ...taken.fetched])],
      built: [...commits.built, ...taken.built],
      problems: [...commits.problems, ...taken.problems],
      leftOut: commits.leftOut,
    };
  }

  /** The tools that installing from sdists needs; those that no index has are left out. */
  async runBuildTools(): Promise<BranchDownload> {
    const resolved: TargetPins[] = [];
    const constraints: string[] = [];
    for (const target of this.#env.targets) {
      for (const requirement of BUILD_TOOLS) {
        const question = { requirements: [requirement], constraints, target, sandbox: null };
        const pins = await this.#env.resolve(question).catch(() => []);
        resolved.push({ target, pins });
      }
    }
    const choice = { ...this.#mirror, wheels: 'fetch' } as const;
    return await this.#take(resolved, choice);
  }

  /** Without leave to run strangers' code the resolver gets wheels alone. */
  async #sandboxForResolver(): Promise<Sandbox | null> {
    if (this.#mirror.wheels === 'none') return null;
    try {
      return await this.#openSandbox();
    } catch (error) {
      if (error instanceof RefusedError && this.#mirror.wheels === 'fetch') return null;
      throw error;
    }
  }

  #openSandbox(): Promise<Sandbox> {
    this.#sandbox ??= this.#env.openSandbox();
    return this.#sandbox;
  }

  async #take(
    resolved: readonly TargetPins[],
    { wheels }: Pick<MirrorSettings, 'wheels'> = this.#mirror,
  ): Promise<BranchDownload> {
    const closure = await closureOf(this.#env.index.repository, resolved, wheels, this.#context);
    const files = new Set<string>();
    const fetched = await this.#fetch(closure.files, files);
    const pins = uniquePins(resolved.flatMap(({ pins: each }) => each));
    const build = await this.#buildAll(closure.builds, files, fetched);
    return { pins, files: [...files], fetched, leftOut: [], ...build };
  }

  /** Fetches files into the store and links them into the folders. @returns names of those that came just now */
  async #fetch(wanted: readonly ClosureFile[], into: Set<string>): Promise<string[]> {
    const fetched: string[] = [];
    const results = await fetchSet(
      this.#env.index.repository,
      wanted.map(({ path, entry }) => ({
        path,
        filename: entry.filename,
        sizeBytes: entry.sizeBytes,
      })),
      { signal: this.#env.signal },
    );
    const failures: string[] = [];
    for (const { path, filename, outcome, error } of results) {
      const file = wanted.find((each) => each.path === path);
      if (file === undefined) continue;
      if (outcome === 'failed') {
        failures.push(`${filename} could not be fetched: ${messageOf(error)}`);
        continue;
      }
      if (outcome === 'fetched') fetched.push(filename);
      await this.#link(file);
      into.add(filename);
    }
    this.#env.signal.throwIfAborted();
    if (failures.length > 0) throw new WheelcellarError(failures.join(' '));
    return fetched;
  }

  async #link({ project, version, kind, path, entry }: ClosureFile): Promise<void> {
    const { store } = this.#env.index;
    const held = store.catalog.findFile(upstreamOfPath(path) ?? '', path);
    if (held === undefined) throw new StorageError(`${path} was taken out of the cache meanwhile.`);
    const target = join(this.#dirOf(kind), entry.filename);
    await placeFile(store.layout.fileAt(path), target);
    const { size: sizeBytes, mtimeMs } = await stat(target);
    const known = this.#ledger.files.get(entry.filename);
    const isOther =
      known !== undefined &&
      known.origin !== 'fetched' &&
      known.sha256 !== held.sha256 &&
      known.mtimeMs === Math.floor(mtimeMs);
    // Something of that name lies there that was dropped or built: it is listed as what it is.
    if (isOther || sizeBytes !== held.sizeBytes) return;
    if (known === undefined && (await isUnlike(target, held.sha256))) return;
    this.#ledger.files.set(entry.filename, {
      filename: entry.filename,
      project,
      version,
      kind,
      origin: 'fetched',
      sha256: held.sha256,
      sizeBytes,
      mtimeMs: Math.floor(mtimeMs),
      requiresPython: entry.requiresPython,
      yanked: entry.yanked,
      uploadTime: entry.uploadTime,
      url: entry.url,
    });
  }

  async #buildAll(
    builds: readonly WantedBuild[],
    files: Set<string>,
    fetched: string[],
  ): Promise<{ readonly built: readonly string[]; readonly problems: readonly string[] }> {
    const built: string[] = [];
    const problems: string[] = [];
    for (const wanted of builds) {
      try {
        const made = await this.#wheelOf(wanted, wanted.sdist.entry.filename);
        for (const name of [made.wheel.filename, ...(made.wheel.builtWith ?? [])]) files.add(name);
        fetched.push(...made.fetched);
        if (made.isNew) built.push(made.wheel.filename);
      } catch (error) {
        this.#env.signal.throwIfAborted();
        // Where wheels are fetched, an sdist without one is better than nothing.
        if (this.#mirror.wheels === 'build') throw error;
        problems.push(
          `${wanted.pin.name}==${wanted.pin.version} has no wheel and is mirrored as sdist only: ${messageOf(error)}`,
        );
      }
    }
    return { built, problems };
  }

  /** A wheel of this version in the wheelhouse that this target takes, whoever has put it there. */
  #builtWheel({ pin, target }: WheelWish): LedgerFile | undefined {
    return [...this.#ledger.files.values()].find((file) => {
      if (file.kind !== 'wheel' || file.project !== pin.name || file.origin === 'fetched')
        return false;
      const tags = parseFilename(file.filename)?.tags;
      return (
        compareVersions(file.version, pin.version) === 0 &&
        tags !== undefined &&
        target.ranking.rankOf(tags) !== null
      );
    });
  }

  async #wheelOf(wish: WheelWish, sdist: string): Promise<MadeWheel> {
    const present = this.#builtWheel(wish);
    if (present !== undefined) return { wheel: present, isNew: false, fetched: [] };
    return await this.#build(wish, sdist);
  }

  async #build({ pin, target }: WheelWish, sdist: string): Promise<MadeWheel> {
    const sandbox = await this.#openSandbox();
    this.#env.say(`building ${pin.name} ${pin.version}`);
    const { name } = this.#mirror;
    const request = {
      source: join(downloadDir(this.#cacheRoot, name), sdist),
      python: pythonFor(target),
      timeoutMs: this.#buildTimeoutMs,
      onOutput: this.#env.pass,
    };
    const {
      result: wheel,
      needed,
      fetched,
    } = await this.#noting(() => buildWheel(sandbox, this.#env.builder, request));
    const said = parseFilename(basename(wheel));
    if (said?.project !== pin.name || compareVersions(said.version, pin.version) !== 0)
      throw new WheelcellarError(`${basename(wheel)} is no wheel of ${pin.name} ${pin.version}.`);
    const path = join(wheelhouseDir(this.#cacheRoot, name), basename(wheel));
    // What was fetched under that name was not built; whoever wants it has it in the cache folder.
    const isFetched = this.#ledger.files.get(basename(wheel))?.origin === 'fetched';
    if (isFetched) await rm(path, { force: true });
    await placeFile(wheel, path);
    // A person's file of that name stays, and is listed as what it is.
    const isOurs = (await sha256Of(path)) === (await sha256Of(wheel));
    const described = await describeFile(path, isOurs ? 'built' : 'dropped');
    if (described === undefined) throw new WheelcellarError(`${basename(wheel)} is no wheel.`);
    const file: LedgerFile = isOurs ? { ...described, builtWith: needed } : described;
    this.#ledger.files.set(file.filename, file);
    return { wheel: file, isNew: isOurs, fetched };
  }

  /** What a build needed is needed again by whoever installs from the sdist. */
  async #noting<T>(build: () => Promise<T>): Promise<NotedBuild<T>> {
    const { result, paths } = await this.#env.index.watch(build);
    const needed = new Set<string>();
    const fetched = await this.#fetch(await this.#listedAt(paths), needed);
    return { result, needed: [...needed], fetched };
  }

  /** The files of the mirror at these paths, as their pages list them. */
  async #listedAt(paths: readonly string[]): Promise<ClosureFile[]> {
    const { repository } = this.#env.index;
    const found: ClosureFile[] = [];
    for (const path of new Set(paths)) {
      const parsed = parseFilename(basename(path));
      if (parsed === undefined || (parsed.kind !== 'wheel' && parsed.kind !== 'sdist')) continue;
      const project = parseProjectName(parsed.project);
      if (project === undefined) continue;
      const snapshot = await repository
        .projectDetail(project, this.#context)
        .catch(() => undefined);
      const served = await snapshot?.load();
      const entry = served?.detail.files.find((file) => served.pathOf(file) === path);
      if (entry === undefined) continue;
      found.push({ project, version: parsed.version, kind: parsed.kind, path, entry });
    }
    return found;
  }

  #dirOf(kind: LedgerFile['kind']): string {
    const folder = kind === 'sdist' ? downloadDir : wheelhouseDir;
    return folder(this.#cacheRoot, this.#mirror.name);
  }
}

function keyOf({ name, version }: LedgerPin): string {
  return `${name}==${version}`;
}

/** As uv names an interpreter; any patch version of it builds the same wheels. */
function pythonFor({ interpreter }: WantedBuild['target']): string {
  const { implementation, major, minor, isFreeThreaded } = interpreter;
  const version = `${major}.${minor}${isFreeThreaded ? 't' : ''}`;
  return implementation === 'pypy' ? `pypy@${version}` : version;
}

async function isUnlike(path: string, sha256: string): Promise<boolean> {
  return (await describeFile(path, 'dropped'))?.sha256 !== sha256;
}

function uniquePins(pins: readonly LedgerPin[]): LedgerPin[] {
  const byKey = new Map(pins.map((pin) => [keyOf(pin), pin]));
  return [...byKey.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}
