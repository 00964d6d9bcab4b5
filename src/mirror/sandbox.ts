import { constants } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { ConfigurationError, RefusedError, codeOf } from '../core/errors.ts';
import { runProgram } from './program.ts';
import type { ProgramResult } from './program.ts';
import { SANDBOX_LAUNCHER } from './sandbox-launcher.ts';

/** Who may run strangers' code here, and how it reaches the mirror. */
export interface SandboxOptions {
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** Name of the user that builds run as; only root can choose one. */
  readonly buildUser: string | null;
  /** Whether root may build as root. */
  readonly allowRootBuilds: boolean;
  /** This process's user; `null` where there are none. */
  readonly userId: number | null;
  /** The index as code in the sandbox is told it: on 127.0.0.1. */
  readonly indexUrl: string;
  /** The same server's Unix socket. */
  readonly socketPath: string;
  readonly signal: AbortSignal;
}

/**
 * What is guaranteed of the network: `mirror-only`, the code sees an empty network of its own with the
 * mirror in it; `shared`, it was only told to use the mirror.
 */
export type SandboxNetwork = 'mirror-only' | 'shared';

/** One command in the sandbox. */
export interface SandboxCall {
  readonly words: readonly string[];
  /** Handed over to the build user, with all in it; also the working folder. */
  readonly folder: string;
  readonly timeoutMs: number;
  readonly onOutput?: (text: string) => void;
}

const PROBE_MS = 10_000;

/** Flags of `unshare`, the strongest first. Without root a user namespace stands in for its rights. */
const NAMESPACES: readonly (readonly string[])[] = [
  ['--net', '--pid', '--ipc', '--fork', '--kill-child'],
  ['--net'],
];

/**
 * Where strangers' code is run: as another user than root, in a home that is thrown away, with nothing of
 * this machine's environment but what compilers need, for a limited time, and where the system allows it
 * in a network that holds the mirror and nothing else.
 */
export class Sandbox {
  readonly network: SandboxNetwork;
  readonly #options: SandboxOptions;
  readonly #python: string;
  readonly #unshare: readonly string[];
  readonly #user: readonly [uid: string, gid: string];
  readonly #root: string;

  private constructor(
    options: SandboxOptions,
    found: {
      python: string;
      unshare: readonly string[];
      user: readonly [string, string];
      root: string;
    },
  ) {
    this.#options = options;
    this.#python = found.python;
    this.#unshare = found.unshare;
    this.#user = found.user;
    this.#root = found.root;
    this.network = found.unshare.length > 0 ? 'mirror-only' : 'shared';
  }

  /**
   * Looks what this machine offers.
   *
   * @throws RefusedError for root without a build user or leave to be one
   * @throws ConfigurationError for an unknown user, or without a Python
   */
  static async open(options: SandboxOptions): Promise<Sandbox> {
    const isRoot = options.userId === 0;
    if (isRoot && options.buildUser === null && !options.allowRootBuilds) {
      throw new RefusedError('Building as root is refused: sdists run code of their authors.', {
        hint: 'Name an unprivileged user with --build-user, run as one, or insist with --allow-root-builds.',
      });
    }
    if (!isRoot && options.buildUser !== null)
      throw new ConfigurationError(['--build-user is for root: others build as themselves.']);
    const python = await findPython(options);
    const user = options.buildUser === null ? null : await userOf(options.buildUser, options);
    const unshare = await findNamespaces(options, isRoot);
    const root = await mkdtemp(join(tmpdir(), 'wheelcellar-build-'));
    await chmod(root, 0o755);
    return new Sandbox(options, { python, unshare, user: user ?? ['-', '-'], root });
  }

  /** A new folder that goes away with the sandbox. */
  async makeFolder(): Promise<string> {
    const folder = await mkdtemp(join(this.#root, 'work-'));
    await mkdir(join(folder, 'home'));
    return folder;
  }

  /**
   * A program that the build user can start: a copy in here, for those that are one file and lie in a
   * folder of ours. Others are named as they are.
   */
  async toolFor(program: string, isOneFile: boolean): Promise<string> {
    if (!isOneFile || this.#user[0] === '-') return program;
    const copy = join(this.#root, basename(program));
    await copyFile(program, copy, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE).catch(
      (error: unknown) => {
        if (codeOf(error) !== 'EEXIST') throw error;
      },
    );
    await chmod(copy, 0o755);
    return copy;
  }

  /** The words that run a command in here; the folder is handed over to the build user. */
  wordsFor(words: readonly string[], folder: string): string[] {
    const { indexUrl, socketPath } = this.#options;
    const network =
      this.#unshare.length > 0 ? [new URL(indexUrl).port || '80', socketPath] : ['-', '-'];
    const launcher = [
      this.#python,
      '-I',
      '-c',
      SANDBOX_LAUNCHER,
      folder,
      ...this.#user,
      ...network,
    ];
    return [...this.#unshare, ...launcher, ...words];
  }

  /** Runs a command; rejects never. */
  async run(call: SandboxCall): Promise<ProgramResult> {
    return await runProgram({
      words: this.wordsFor(call.words, call.folder),
      cwd: call.folder,
      env: this.#environment(call.folder),
      timeoutMs: call.timeoutMs,
      signal: this.#options.signal,
      ...(call.onOutput === undefined ? {} : { onOutput: call.onOutput }),
    });
  }

  /**
   * A program that runs another one in here, in the folder it is started in: for callers that start
   * programs themselves.
   */
  async wrapperFor(program: string): Promise<string> {
    const path = join(await this.makeFolder(), 'program');
    const words = this.wordsFor([program], '.').map(shellWord).join(' ');
    await writeFile(path, `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
    return path;
  }

  async close(): Promise<void> {
    await rm(this.#root, { recursive: true, force: true });
  }

  #environment(folder: string): Record<string, string | undefined> {
    const { variables, indexUrl } = this.#options;
    return {
      ...variables,
      HOME: join(folder, 'home'),
      TMPDIR: join(folder, 'home'),
      LC_ALL: 'C.UTF-8',
      PIP_INDEX_URL: indexUrl,
      PIP_EXTRA_INDEX_URL: undefined,
      PIP_FIND_LINKS: undefined,
      PIP_NO_INDEX: undefined,
      PIP_CONFIG_FILE: '/dev/null',
      PIP_NO_INPUT: '1',
      PIP_NO_CACHE_DIR: '1',
      PIP_DISABLE_PIP_VERSION_CHECK: '1',
      UV_DEFAULT_INDEX: indexUrl,
      UV_INDEX: undefined,
      UV_EXTRA_INDEX_URL: undefined,
      UV_INDEX_URL: undefined,
      UV_FIND_LINKS: undefined,
      UV_NO_CONFIG: '1',
      UV_NO_CACHE: '1',
      UV_PYTHON_DOWNLOADS: 'never',
      NO_COLOR: '1',
    };
  }
}

async function findPython(options: SandboxOptions): Promise<string> {
  for (const name of ['python3', 'python']) {
    const { code, stdout } = await probe(options, [
      name,
      '-c',
      'import sys; print(sys.executable)',
    ]);
    if (code === 0 && stdout.trim() !== '') return stdout.trim();
  }
  throw new ConfigurationError(['Building needs a Python 3 on the PATH; there is none.']);
}

async function userOf(name: string, options: SandboxOptions): Promise<[string, string]> {
  const [uid, gid] = await Promise.all([
    probe(options, ['id', '-u', '--', name]),
    probe(options, ['id', '-g', '--', name]),
  ]);
  const found: [string, string] = [uid.stdout.trim(), gid.stdout.trim()];
  if (uid.code !== 0 || gid.code !== 0 || !found.every((id) => /^\d+$/.test(id)))
    throw new ConfigurationError([`There is no user ${JSON.stringify(name)} (--build-user).`]);
  if (found[0] === '0' && !options.allowRootBuilds) {
    throw new RefusedError(`--build-user ${name} is root.`, {
      hint: 'Name an unprivileged user, or insist with --allow-root-builds.',
    });
  }
  return found;
}

/** The words that put a command into an empty network; empty where the system does not let us. */
async function findNamespaces(
  options: SandboxOptions,
  isRoot: boolean,
): Promise<readonly string[]> {
  const user = isRoot ? [] : ['--user', '--map-root-user'];
  for (const flags of NAMESPACES) {
    const words = ['unshare', ...user, ...flags, '--'];
    if ((await probe(options, [...words, 'true'])).code === 0) return words;
  }
  return [];
}

async function probe(options: SandboxOptions, words: readonly string[]): Promise<ProgramResult> {
  const { variables: env, signal } = options;
  return await runProgram({ words, cwd: tmpdir(), env, timeoutMs: PROBE_MS, signal });
}

function shellWord(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
