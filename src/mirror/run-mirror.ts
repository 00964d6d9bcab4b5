/**
 * Runs one mirror of a `mirror.yaml`, as openstack's `run-mirror` did: first the download folders are filled, branch by
 * branch, then they are made into an index. A branch that fails is reported and hinders no other.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { MirrorSettings } from '../config/mirror-file.ts';
import { WheelcellarError, messageOf } from '../core/errors.ts';
import { DownloadStep } from './download-step.ts';
import type { BranchDownload } from './download-step.ts';
import { readDownloadFolders } from './download-folders.ts';
import { shownUrl } from './git.ts';
import { readLedger, setKey, writeLedger } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import { freezeText, lockText, pathFor } from './lock-text.ts';
import { outputKind } from './output.ts';
import { processMirror } from './process-step.ts';
import type { ProcessSurroundings, Processed } from './process-step.ts';
import type { BranchReport, MirrorReport } from './report.ts';
import {
  joinSets,
  readRequirementFiles,
  requirementFilesOf,
  requirementsOf,
} from './requirement-set.ts';
import type { RequirementSet } from './requirement-set.ts';
import { lockFolder } from './run-lock.ts';
import type { RunOptions, RunSurroundings } from './surroundings.ts';
import { WorkTree, folderNames, isWantedBranch } from './work-tree.ts';

/** All that differs between runs, beside the mirror itself. */
export interface MirrorRun {
  readonly cacheRoot: string;
  readonly options: RunOptions;
  readonly env: RunSurroundings;
  readonly process: Omit<ProcessSurroundings, 'store' | 'cacheRoot'>;
}

/**
 * Runs one mirror.
 *
 * @throws BusyError when another run does not end; RefusedError when it may not build
 */
export async function runMirror(mirror: MirrorSettings, run: MirrorRun): Promise<MirrorReport> {
  const { cacheRoot, options, env } = run;
  const { layout } = env.index.store;
  // Before hours of work.
  await outputKind(mirror.output, layout);
  await mkdir(cacheRoot, { recursive: true });
  const lockOptions = { waitMs: options.lockWaitMs, signal: env.signal };
  const onWait = (): void => env.warn(`another run-mirror is at work on ${cacheRoot}; waiting`);
  const lock = await lockFolder(cacheRoot, { ...lockOptions, onWait });
  try {
    const outputLock = await lockFolder(mirror.output, { ...lockOptions, onWait });
    try {
      return await new Run(mirror, run, await readLedger(cacheRoot, mirror.name)).all();
    } finally {
      await outputLock.release();
    }
  } finally {
    await lock.release();
  }
}

class Run {
  readonly #mirror: MirrorSettings;
  readonly #run: MirrorRun;
  readonly #ledger: Ledger;
  readonly #download: DownloadStep;
  readonly #branches: BranchReport[] = [];
  readonly #problems: string[] = [];
  /** Keys of sets that this run has seen, whether they could be resolved or not. */
  readonly #seen = new Set<string>();
  /** Sources of which it is not known which branches they have now. */
  readonly #unknown = new Set<string>();

  constructor(mirror: MirrorSettings, run: MirrorRun, ledger: Ledger) {
    this.#mirror = mirror;
    this.#run = run;
    this.#ledger = ledger;
    this.#download = new DownloadStep(mirror, run.cacheRoot, ledger, run.env, run.options);
  }

  async all(): Promise<MirrorReport> {
    const { cacheRoot, options, env } = this.#run;
    if (options.withDownload) {
      await this.#downloadAll();
      await writeLedger(cacheRoot, this.#mirror.name, this.#ledger);
    }
    const processed = options.withProcess ? await this.#process() : null;
    if (processed !== null) await writeLedger(cacheRoot, this.#mirror.name, this.#ledger);
    const sandbox = await this.#download.openedSandbox();
    const isLive = (await outputKind(this.#mirror.output, env.index.store.layout)) === 'live';
    return {
      name: this.#mirror.name,
      output: this.#mirror.output,
      isLive,
      branches: this.#branches,
      indexes: processed?.indexes ?? [],
      problems: this.#problems,
      buildNetwork: sandbox?.network ?? null,
    };
  }

  async #process(): Promise<Processed> {
    const { cacheRoot, env, process } = this.#run;
    const processed = await processMirror(this.#mirror, this.#ledger, {
      ...process,
      cacheRoot,
      store: env.index.store,
    });
    for (const problem of processed.problems) this.#note(problem);
    return processed;
  }

  async #downloadAll(): Promise<void> {
    const { projects, requirements, packages, wheels } = this.#mirror;
    const names = folderNames(projects);
    for (const url of projects) await this.#project(url, names.get(url) ?? 'project');
    if (requirements.length > 0 || packages.length > 0) await this.#ownRequirements();
    if (wheels === 'build' && this.#run.options.withPip) await this.#buildTools();
    this.#forgetOldSets();
  }

  async #project(url: string, folderName: string): Promise<void> {
    const { cacheRoot, options, env } = this.#run;
    const source = shownUrl(url);
    const tree = new WorkTree(url, folderName, {
      projectsDir: join(cacheRoot, 'projects'),
      variables: env.variables,
      isOffline: options.isOffline,
      protocols: null,
      signal: env.signal,
      onCommand: env.say,
      onOutput: env.pass,
    });
    try {
      await tree.update();
      const branches = options.branch === null ? await tree.branches() : [options.branch];
      const wanted = branches.filter(
        (branch) => options.branch !== null || isWantedBranch(branch, this.#mirror.branches),
      );
      if (options.branch !== null) this.#unknown.add(source);
      if (wanted.length === 0) this.#note(`${source} has no branch that is wanted.`);
      for (const branch of wanted) await this.#branch(tree, source, folderName, branch);
    } catch (error) {
      env.signal.throwIfAborted();
      this.#unknown.add(source);
      this.#failed(source, '', error);
    }
  }

  async #branch(tree: WorkTree, source: string, project: string, branch: string): Promise<void> {
    const { options, env } = this.#run;
    this.#seen.add(setKey(source, branch));
    await this.#resolved(source, project, branch, async () => {
      if (options.withUpdate) await tree.checkOut(branch);
      const files = await requirementFilesOf(tree.folder, options.requirementFiles);
      env.say(`${source} ${branch}: ${files.join(', ') || 'no requirements'}`);
      return files.length === 0 ? null : await readRequirementFiles(tree.folder, files);
    });
  }

  async #ownRequirements(): Promise<void> {
    const { name, requirements, packages } = this.#mirror;
    this.#seen.add(setKey(name, ''));
    const read = async (): Promise<RequirementSet> => {
      const sets: RequirementSet[] = [];
      // The administrator's own files may lead anywhere.
      for (const file of requirements) sets.push(await readRequirementFiles('/', [file]));
      return joinSets([...sets, requirementsOf(packages, 'mirror.yaml')]);
    };
    await this.#resolved(name, name, '', read, true);
  }

  async #buildTools(): Promise<void> {
    const key = setKey(this.#mirror.name, 'build tools');
    this.#seen.add(key);
    try {
      const { pins, files } = await this.#download.runBuildTools();
      this.#ledger.sets.set(key, { pins, files });
    } catch (error) {
      this.#run.env.signal.throwIfAborted();
      this.#note(`the tools for builds: ${messageOf(error)}`);
    }
  }

  /** One branch, from its requirements to its files. */
  async #resolved(
    source: string,
    project: string,
    branch: string,
    requirements: () => Promise<RequirementSet | null>,
    mayBeLocal = false,
  ): Promise<void> {
    const { options, env } = this.#run;
    let leftOut: RequirementSet['leftOut'] = [];
    try {
      const set = await requirements();
      if (set === null) {
        this.#branches.push(reportOf(source, branch, { outcome: 'none' }));
        return;
      }
      leftOut = set.leftOut;
      if (!options.withPip) throw new WheelcellarError('no pip command was run (--no-pip)');
      const download = await this.#download.run(set, mayBeLocal);
      const { pins, files } = download;
      this.#ledger.sets.set(setKey(source, branch), { pins, files });
      for (const problem of download.problems) this.#note(problem);
      this.#branches.push(reportOf(source, branch, { outcome: 'mirrored', ...download }));
      env.say(`${source} ${branch}: ${pins.length} versions, ${files.length} files`);
      await this.#writeLists(project, branch, download);
    } catch (error) {
      env.signal.throwIfAborted();
      this.#failed(source, branch, error, leftOut);
    }
  }

  /** What `--export` and `lock` ask for; of several branches the last one stays. */
  async #writeLists(project: string, branch: string, { pins }: BranchDownload): Promise<void> {
    const { cacheRoot, options } = this.#run;
    if (options.exportFile !== null)
      await writeText(pathFor(options.exportFile, project, branch), freezeText(pins));
    if (this.#mirror.lock !== null) {
      const path = pathFor(this.#mirror.lock, project, branch);
      const { files } = await readDownloadFolders(cacheRoot, this.#mirror.name, this.#ledger);
      await writeText(path, lockText(path, pins, files));
    }
  }

  #failed(
    source: string,
    branch: string,
    error: unknown,
    leftOut: RequirementSet['leftOut'] = [],
  ): void {
    const reason = messageOf(error);
    this.#branches.push(reportOf(source, branch, { outcome: 'failed', reason, leftOut }));
    this.#run.env.warn(
      `${this.#mirror.name}: ${[source, branch].filter(Boolean).join(' ')}: ${reason}`,
    );
  }

  #note(problem: string): void {
    if (this.#problems.includes(problem)) return;
    this.#problems.push(problem);
    this.#run.env.warn(`${this.#mirror.name}: ${problem}`);
  }

  /** Branches and projects that are no more; those that could not be looked at keep what they had. */
  #forgetOldSets(): void {
    for (const key of this.#ledger.sets.keys()) {
      const isUnknown = [...this.#unknown].some((source) => key.startsWith(`${source} `));
      if (!this.#seen.has(key) && !isUnknown) this.#ledger.sets.delete(key);
    }
  }
}

function reportOf(
  source: string,
  branch: string,
  facts: Partial<BranchReport> & Pick<BranchReport, 'outcome'>,
): BranchReport {
  const { outcome, reason = null, pins = [], leftOut = [], fetched = [], built = [] } = facts;
  return { source, branch, outcome, reason, pins, leftOut, fetched, built };
}

async function writeText(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
