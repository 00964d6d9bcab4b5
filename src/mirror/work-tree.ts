import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';
import { ConfigurationError, WheelcellarError } from '../core/errors.ts';
import { demandGit, shownUrl, tryGit } from './git.ts';
import type { GitSurroundings } from './git.ts';
import type { ProgramResult } from './program.ts';

/** What a killed git leaves; whoever runs here has the place for himself. */
const LEFT_LOCKS = ['index.lock', 'HEAD.lock', 'config.lock', 'packed-refs.lock', 'shallow.lock'];

/** One project's clone, set to one branch after the other. */
export class WorkTree {
  /** Where its files are. */
  readonly folder: string;
  readonly #url: string;
  readonly #git: GitSurroundings;

  constructor(url: string, folderName: string, git: GitSurroundings) {
    this.#url = url;
    this.#git = git;
    this.folder = join(git.projectsDir, folderName);
  }

  /**
   * Clones the project, or learns its news. Offline a project that lies on another machine is taken as it
   * is.
   *
   * @throws WheelcellarError with git's own words
   */
  async update(): Promise<void> {
    const mayAsk = !this.#git.isOffline || isAbsolute(this.#url);
    if (!existsSync(join(this.folder, '.git'))) {
      if (!mayAsk) {
        throw new WheelcellarError(`${shownUrl(this.#url)} was never cloned (offline).`);
      }
      await this.#clone();
      return;
    }
    for (const name of LEFT_LOCKS) await rm(join(this.folder, '.git', name), { force: true });
    await this.#demand(['remote', 'set-url', 'origin', this.#url]);
    if (mayAsk) await this.#demand(['fetch', '--prune', '--tags', '--force', 'origin']);
  }

  /** `origin/main`, `origin/stable/1.0`, …: all branches of the project, by name. */
  async branches(): Promise<string[]> {
    const { stdout } = await this.#demand([
      'for-each-ref',
      '--format=%(refname)',
      'refs/remotes/origin',
    ]);
    return stdout
      .split('\n')
      .map((ref) => ref.trim().replace(/^refs\/remotes\//, ''))
      .filter((ref) => ref !== '' && ref !== 'origin/HEAD');
  }

  /** Makes the files those of a branch, tag or commit; whatever else lies there is removed. */
  async checkOut(ref: string): Promise<void> {
    if (ref.startsWith('-')) throw new ConfigurationError([`${ref} is no branch.`]);
    await this.#demand(['reset', '--hard', '--quiet', ref]);
    await this.#demand(['clean', '-x', '-f', '-f', '-d', '-q']);
  }

  /**
   * Makes the files those of a ref as requirement lines name it: a branch, a tag, a commit, or what else the
   * project's server has under that name; `null` is its default branch. Submodules included.
   *
   * @returns the commit
   */
  async checkOutRequired(ref: string | null, mayAsk: boolean): Promise<string> {
    if (ref === null && mayAsk) await this.#demand(['remote', 'set-head', 'origin', '--auto']);
    await this.checkOut(await this.#commitOf(ref ?? 'HEAD', mayAsk));
    if (existsSync(join(this.folder, '.gitmodules')))
      await this.#demand(['submodule', 'update', '--quiet', '--init', '--recursive', '--force']);
    return await this.commit();
  }

  /** When the commit that the files are of was made. */
  async committedAt(): Promise<Date> {
    const { stdout } = await this.#demand(['show', '--no-patch', '--format=%ct', 'HEAD']);
    return new Date(Number(stdout.trim()) * 1000);
  }

  /**
   * A copy for a build, in a folder that is not there yet: with history, since versions are made of tags, but
   * with nothing of where it came from, since that may hold passwords.
   */
  async copyTo(folder: string): Promise<void> {
    const clone = ['clone', '--quiet', '--no-hardlinks', '--', this.folder, folder];
    await demandGit(clone, { cwd: this.folder, url: this.#url }, { ...this.#git, protocols: null });
    await this.#demand(['remote', 'remove', 'origin'], folder);
    if (!existsSync(join(this.folder, '.gitmodules'))) return;
    await cp(this.folder, folder, {
      recursive: true,
      force: false,
      verbatimSymlinks: true,
      filter: (path) => basename(path) !== '.git',
    });
  }

  async #commitOf(ref: string, mayAsk: boolean): Promise<string> {
    if (ref.startsWith('-')) throw new ConfigurationError([`${ref} is no branch.`]);
    for (const name of [`refs/remotes/origin/${ref}`, ref]) {
      const verify = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`];
      const found = await tryGit(verify, { cwd: this.folder, url: this.#url }, this.#git);
      if (found.code === 0) return found.stdout.trim();
    }
    if (!mayAsk) throw new WheelcellarError(`${shownUrl(this.#url)} has no ${ref} (offline).`);
    await this.#demand(['fetch', '--quiet', 'origin', ref]);
    return (await this.#demand(['rev-parse', 'FETCH_HEAD^{commit}'])).stdout.trim();
  }

  /** The commit that the files are of. */
  async commit(): Promise<string> {
    return (await this.#demand(['rev-parse', 'HEAD'])).stdout.trim();
  }

  async #clone(): Promise<void> {
    await mkdir(this.#git.projectsDir, { recursive: true });
    // A clone that is killed must not be taken for a whole one.
    const half = `${this.folder}.cloning`;
    await rm(half, { recursive: true, force: true });
    await this.#demand(['clone', '--quiet', '--', this.#url, half], this.#git.projectsDir);
    await rm(this.folder, { recursive: true, force: true });
    await rename(half, this.folder);
  }

  async #demand(args: readonly string[], cwd: string = this.folder): Promise<ProgramResult> {
    return await demandGit(args, { cwd, url: this.#url }, this.#git);
  }
}

/**
 * A folder name for each URL: its last part without `.git`. Where two would share one, the later ones
 * get a digest behind it.
 */
export function folderNames(urls: readonly string[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const url of urls) {
    if (names.has(url)) continue;
    const last = url
      .replace(/[/:]+$/, '')
      .replace(/^.*[/:]/, '')
      .replace(/\.git$/, '');
    const plain = last.replace(/[^A-Za-z0-9._-]/g, '_').replace(/^[.-]+/, '') || 'project';
    const digest = createHash('sha256').update(url).digest('hex').slice(0, 8);
    const name = taken.has(plain) ? `${plain}-${digest}` : plain;
    taken.add(name);
    names.set(url, name);
  }
  return names;
}

/** Whether a branch (`origin/stable/1.0`) is meant by one of the patterns; `origin/` may be left out of them. */
export function isWantedBranch(branch: string, patterns: readonly string[]): boolean {
  if (patterns.length === 0) return true;
  const short = branch.replace(/^origin\//, '');
  return patterns.some((pattern) => {
    const plain = pattern.replace(/^(?:refs\/)?remotes\//, '');
    const source = plain
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replace(/\*/g, '.*')
      .replace(/\?/g, '.');
    const expression = new RegExp(`^${source}$`);
    return expression.test(branch) || expression.test(short);
  });
}
