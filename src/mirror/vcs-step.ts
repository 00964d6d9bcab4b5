import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { WheelcellarError, messageOf } from '../core/errors.ts';
import { commitSdist } from '../packaging/commit-sdist.ts';
import { writeAtomically } from '../store/atomic-file.ts';
import type { WantedBuild } from './closure-files.ts';
import { describeFile, downloadDir, wheelhouseDir } from './download-folders.ts';
import { shownUrl } from './git.ts';
import type { Ledger, LedgerFile, LedgerPin } from './ledger.ts';
import type { LeftOut, RequirementSet } from './requirement-set.ts';
import type { Sandbox } from './sandbox.ts';
import { buildSdist } from './sdist-build.ts';
import type { RunOptions, RunSurroundings } from './surroundings.ts';
import { REMOTE_PROTOCOLS, isLocal, parseVcsRequirement } from './vcs-requirement.ts';
import type { VcsRequirement } from './vcs-requirement.ts';
import { WorkTree, folderNames } from './work-tree.ts';

/** What the lines with git URLs came to. */
export interface VcsDownload {
  /** For the resolver, in place of the lines: exact versions, and where they are. */
  readonly lines: readonly string[];
  readonly pins: readonly LedgerPin[];
  /** Names of all files: sdists, wheels, and what their builds took. */
  readonly files: readonly string[];
  readonly built: readonly string[];
  readonly fetched: readonly string[];
  readonly problems: readonly string[];
  /** What is left out after all. */
  readonly leftOut: readonly LeftOut[];
}

/** What it needs of the download step. */
export interface VcsSurroundings {
  readonly mirrorName: string;
  readonly cacheRoot: string;
  readonly ledger: Ledger;
  readonly env: RunSurroundings;
  readonly options: Pick<RunOptions, 'buildTimeoutMs' | 'isOffline'>;
  readonly openSandbox: () => Promise<Sandbox>;
  /** Runs a build, and fetches into the download folders what it has taken from the mirror. */
  readonly noting: <T>(build: () => Promise<T>) => Promise<NotedBuild<T>>;
  /** The wheel of an sdist of the download folder: there already, or built now. */
  readonly wheelOf: (
    wanted: Pick<WantedBuild, 'pin' | 'target'>,
    sdist: string,
  ) => Promise<MadeWheel>;
}

/** A wheel of the wheelhouse that was built here, or dropped. */
export interface MadeWheel {
  readonly wheel: LedgerFile;
  /** Whether it was built just now. */
  readonly isNew: boolean;
  /** Names of files that its build has brought into the cache folder. */
  readonly fetched: readonly string[];
}

/** A build and what it took. */
export interface NotedBuild<T> {
  readonly result: T;
  /** Names of files. */
  readonly needed: readonly string[];
  readonly fetched: readonly string[];
}

/** One line that came to something. */
interface Made {
  readonly line: string;
  readonly pin: LedgerPin;
  readonly sdist: LedgerFile;
  readonly wheels: readonly LedgerFile[];
  readonly built: readonly string[];
  readonly fetched: readonly string[];
}

/**
 * Makes sdists of the commits that requirement lines name (`name-version+g<commit>`), and their wheels.
 * git runs as we are and with what it knows; the code runs in the sandbox.
 */
export class VcsStep {
  readonly #env: VcsSurroundings;
  readonly #trees = new Map<string, Promise<WorkTree>>();

  constructor(env: VcsSurroundings) {
    this.#env = env;
  }

  /**
   * Takes the lines with git URLs; one that fails is left out, named, and hinders no other.
   *
   * @param mayBeLocal whether the lines may lead to folders of this machine
   */
  async run({ leftOut, vcs }: RequirementSet, mayBeLocal: boolean): Promise<VcsDownload> {
    const made: Made[] = [];
    const problems: string[] = [];
    const taken = new Set<LeftOut>();
    for (const each of vcs) {
      const requirement = parseVcsRequirement(each.line);
      if (requirement === undefined) continue;
      try {
        if (isLocal(requirement) && !mayBeLocal)
          throw new WheelcellarError('a project may not lead to folders of this machine');
        made.push(await this.#make(requirement, mayBeLocal));
        taken.add(each);
      } catch (error) {
        this.#env.env.signal.throwIfAborted();
        problems.push(
          `${shownUrl(requirement.url)} (${each.file}) is left out: ${messageOf(error)}`,
        );
      }
    }
    return {
      lines: made.length === 0 ? [] : [await this.#offer(made), ...made.map(({ line }) => line)],
      pins: made.map(({ pin }) => pin),
      files: made.flatMap(({ sdist, wheels }) =>
        [sdist, ...wheels].flatMap(({ filename, builtWith = [] }) => [filename, ...builtWith]),
      ),
      built: made.flatMap(({ built }) => built),
      fetched: made.flatMap(({ fetched }) => fetched),
      problems,
      leftOut: leftOut.filter((each) => !taken.has(each)),
    };
  }

  async #make(requirement: VcsRequirement, mayBeLocal: boolean): Promise<Made> {
    const { env, options, ledger } = this.#env;
    // Before anything is cloned for a build that may not be.
    const sandbox = await this.#env.openSandbox();
    const tree = await this.#treeOf(requirement, mayBeLocal);
    const commit = await tree.checkOutRequired(requirement.ref, !options.isOffline);
    const { url, subdirectory, name, extras, marker } = requirement;
    const source = `${shownUrl(url)}@${commit}${subdirectory === '' ? '' : `#${subdirectory}`}`;
    const fetched: string[] = [];
    const built: string[] = [];
    let sdist = this.#known(source);
    if (sdist === undefined) {
      env.say(`building the sdist of ${source}`);
      const noted = await this.#buildSdist(sandbox, tree, requirement, commit, source);
      sdist = noted.result;
      built.push(sdist.filename);
      fetched.push(...noted.fetched);
    }
    const { filename, project, version } = sdist;
    if (name !== null && project !== name)
      throw new WheelcellarError(`it is ${project}, not ${name}`);
    const pin = { name: project, version };
    const wheels: LedgerFile[] = [];
    try {
      for (const target of env.targets.filter(({ platform }) => platform === null)) {
        const made = await this.#env.wheelOf({ pin, target }, filename);
        wheels.push(made.wheel);
        if (made.isNew) built.push(made.wheel.filename);
        fetched.push(...made.fetched);
      }
    } catch (error) {
      // Nobody could install from it.
      ledger.files.delete(filename);
      await rm(this.#sdistPath(filename), { force: true });
      throw error;
    }
    const line = `${project}${extras}==${version}${marker === '' ? '' : ` ; ${marker}`}`;
    return { line, pin, sdist, wheels, built, fetched };
  }

  #treeOf({ url }: VcsRequirement, mayBeLocal: boolean): Promise<WorkTree> {
    const known = this.#trees.get(url);
    if (known !== undefined) return known;
    const { env, options, cacheRoot } = this.#env;
    const digest = createHash('sha256').update(url).digest('hex').slice(0, 12);
    const tree = new WorkTree(url, `${folderNames([url]).get(url) ?? 'project'}-${digest}`, {
      projectsDir: join(cacheRoot, 'vcs'),
      variables: env.variables,
      isOffline: options.isOffline,
      protocols: mayBeLocal ? [...REMOTE_PROTOCOLS, 'file'] : REMOTE_PROTOCOLS,
      signal: env.signal,
      onCommand: env.say,
      onOutput: env.pass,
    });
    const ready = tree.update().then(() => tree);
    this.#trees.set(url, ready);
    return ready;
  }

  #known(source: string): LedgerFile | undefined {
    return [...this.#env.ledger.files.values()].find(
      (file) => file.source === source && existsSync(this.#sdistPath(file.filename)),
    );
  }

  async #buildSdist(
    sandbox: Sandbox,
    tree: WorkTree,
    { subdirectory }: VcsRequirement,
    commit: string,
    source: string,
  ): Promise<NotedBuild<LedgerFile>> {
    const { env, options, ledger, noting } = this.#env;
    const committedAt = await tree.committedAt();
    const { result, needed, fetched } = await noting(() =>
      buildSdist(sandbox, env.builder, {
        writeSource: (folder) => tree.copyTo(folder),
        subdirectory,
        committedAt,
        timeoutMs: options.buildTimeoutMs,
        onOutput: env.pass,
      }),
    );
    const { filename, content } = await commitSdist(result, { commit, committedAt });
    const path = this.#sdistPath(filename);
    const folder = downloadDir(this.#env.cacheRoot, this.#env.mirrorName);
    await mkdir(folder, { recursive: true });
    await writeAtomically(path, folder, content, { mode: 0o444, durable: true });
    const described = await describeFile(path, 'built');
    if (described === undefined) throw new WheelcellarError(`${filename} is no sdist.`);
    const file: LedgerFile = { ...described, source, builtWith: needed };
    ledger.files.set(filename, file);
    return { result: file, needed, fetched };
  }

  /** Puts the files where the resolver looks, which may be another user. @returns the option that says so */
  async #offer(made: readonly Made[]): Promise<string> {
    const { cacheRoot, mirrorName, openSandbox } = this.#env;
    const folder = await (await openSandbox()).makeFolder();
    await chmod(folder, 0o755);
    const wheelhouse = wheelhouseDir(cacheRoot, mirrorName);
    for (const { sdist, wheels } of made) {
      const paths = [
        [this.#sdistPath(sdist.filename), sdist.filename],
        ...wheels.map(({ filename }) => [join(wheelhouse, filename), filename]),
      ];
      for (const [path = '', filename = ''] of paths) {
        await copyFile(path, join(folder, filename));
        await chmod(join(folder, filename), 0o444);
      }
    }
    return `--find-links ${folder}`;
  }

  #sdistPath(filename: string): string {
    return join(downloadDir(this.#env.cacheRoot, this.#env.mirrorName), filename);
  }
}
