import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { ConfigurationError, WheelcellarError } from '../core/errors.ts';
import { redact } from '../core/redact.ts';
import { runProgram } from './program.ts';
import type { ProgramResult } from './program.ts';

/** How git is run. */
export interface GitSurroundings {
  /** Folder of all work trees. */
  readonly projectsDir: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly isOffline: boolean;
  readonly signal: AbortSignal;
  /** Hears each command, and what it writes. */
  readonly onCommand: (words: string) => void;
  readonly onOutput: (text: string) => void;
}

/** A clone may be large and the line slow. */
const GIT_TIMEOUT_MS = 15 * 60_000;

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
    this.#git.onCommand(`git ${args.map((word) => shownUrl(word)).join(' ')}`);
    const words = ['git', '-c', 'core.hooksPath=/dev/null', '-c', `safe.directory=*`, ...args];
    const result = await runProgram({
      words,
      cwd,
      // Nobody is there to type a password.
      env: { ...this.#git.variables, GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C.UTF-8' },
      timeoutMs: GIT_TIMEOUT_MS,
      signal: this.#git.signal,
      onOutput: this.#git.onOutput,
    });
    if (result.code === 0) return result;
    this.#git.signal.throwIfAborted();
    const reason = withoutPasswords(result.stderr.trim() || `exit status ${result.code}`);
    throw new WheelcellarError(
      `git ${args[0]} failed for ${shownUrl(this.#url)}: ${reason.replace(/\s*\n\s*/g, ' ')}`,
    );
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

/** A project as it may be shown: without user and password. */
export function shownUrl(url: string): string {
  return url.includes('://') ? redact(url).replace(/\/$/, '') : url;
}

function withoutPasswords(text: string): string {
  return text.replace(/([a-z]+:\/\/)[^/@\s'"]*@/gi, '$1');
}
