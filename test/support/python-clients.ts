/**
 * Real pip and uv. They live in one virtual environment below test/.clients, made once; afterwards no
 * network is needed. They run with nothing of this machine's pip and uv settings but its certificates.
 */
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from './run-command.ts';
import type { CommandResult } from './run-command.ts';

const CLIENTS_FOLDER: string = fileURLToPath(new URL('../.clients/', import.meta.url));

/** Where the programs are. */
interface PythonClients {
  /** A Python whose `-m pip` is the current pip. */
  readonly python: string;
  readonly uv: string;
}

/** The clients; `ensurePythonClients` has made them. */
export const pythonClients: PythonClients = {
  python: join(CLIENTS_FOLDER, 'current', 'bin', 'python'),
  uv: join(CLIENTS_FOLDER, 'current', 'bin', 'uv'),
};

/**
 * Makes the clients if they are not there: the only step that needs a package index, the one that this
 * machine's pip is set to. Safe to run in several processes at once.
 *
 * @throws Error that says what is missing and how to get it
 */
export async function ensurePythonClients(): Promise<void> {
  if (await areReady()) return;
  await mkdir(CLIENTS_FOLDER, { recursive: true });
  const folder = await mkdtemp(join(CLIENTS_FOLDER, 'venv-'));
  await demand('python3', ['-m', 'venv', folder], 'Install python3 and its venv module.');
  const python = join(folder, 'bin', 'python');
  const install = ['-m', 'pip', 'install', '--quiet', '--upgrade', 'pip', 'uv'];
  await demand(python, install, 'The first run needs a package index that pip can reach.');
  const { stdout } = await runCommand(python, ['-m', 'pip', 'freeze', '--all']);
  await writeFile(join(folder, 'ready'), stdout);
  await makeCurrent(folder);
}

async function areReady(): Promise<boolean> {
  const versions = await readFile(join(CLIENTS_FOLDER, 'current', 'ready'), 'utf8').catch(() => '');
  return versions !== '';
}

async function demand(command: string, args: readonly string[], hint: string): Promise<void> {
  const result = await runCommand(command, args, { timeoutMs: 280_000 }).catch(
    (error: unknown) => ({
      code: null,
      stderr: String(error),
    }),
  );
  if (result.code === 0) return;
  throw new Error(`${command} ${args.join(' ')} failed: ${result.stderr}\n${hint}`);
}

/** Points `current` at `folder` in one step, unless another process was faster. */
async function makeCurrent(folder: string): Promise<void> {
  if (await areReady()) return rm(folder, { recursive: true, force: true });
  await symlink(basename(folder), `${folder}.link`);
  await rename(`${folder}.link`, join(CLIENTS_FOLDER, 'current'));
}

/** One virtual environment to install into, without a pip of its own. */
export interface VirtualEnvironment {
  readonly python: string;
}

/** A new, empty environment at `folder`, in some ten milliseconds. */
export async function makeVirtualEnvironment(folder: string): Promise<VirtualEnvironment> {
  const python = join(folder, 'bin', 'python');
  const args = ['venv', '--no-cache', '--quiet', '--python', pythonClients.python, folder];
  const result = await runCommand(pythonClients.uv, args, { env: clientEnvironment(python) });
  if (result.code !== 0) throw new Error(`uv venv failed: ${result.stderr}`);
  return { python };
}

/** What pip and uv are asked to do. */
export interface InstallOptions {
  readonly python: string;
  /** Absent for none (`--no-index` in `args`, or a URL there). */
  readonly indexUrl?: string;
  /** Requirements and flags. */
  readonly args: readonly string[];
  /** pip's or uv's own cache; without one nothing is cached, so that each byte comes from the index. */
  readonly clientCache?: string;
  /** On top of the cleaned environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** `pip install` into the environment of `python`. */
export function pipInstall(options: InstallOptions): Promise<CommandResult> {
  return runPip(['--python', options.python, 'install', ...indexArgs(options)], options);
}

/** Any command of pip. */
function runPip(
  args: readonly string[],
  options: Pick<InstallOptions, 'python' | 'args' | 'clientCache' | 'env'>,
): Promise<CommandResult> {
  const cache =
    options.clientCache === undefined ? ['--no-cache-dir'] : ['--cache-dir', options.clientCache];
  return runCommand(
    pythonClients.python,
    ['-m', 'pip', '--no-input', '--disable-pip-version-check', ...cache, ...args, ...options.args],
    { env: { ...clientEnvironment(options.python), ...options.env } },
  );
}

/** `uv pip install` into the environment of `python`. */
export function uvPipInstall(options: InstallOptions): Promise<CommandResult> {
  const cache =
    options.clientCache === undefined ? ['--no-cache'] : ['--cache-dir', options.clientCache];
  return runCommand(
    pythonClients.uv,
    ['pip', 'install', '--no-progress', '--python', options.python].concat(
      cache,
      indexArgs(options),
      options.args,
    ),
    { env: { ...clientEnvironment(options.python), ...options.env } },
  );
}

/** `name==version` of all that is installed in the environment of `python`, normalized and sorted. */
export async function installedIn(python: string): Promise<string[]> {
  const args = ['pip', 'list', '--no-cache', '--format', 'json', '--python', python];
  const result = await runCommand(pythonClients.uv, args, { env: clientEnvironment(python) });
  if (result.code !== 0) throw new Error(`uv pip list failed: ${result.stderr}`);
  const rows = JSON.parse(result.stdout) as { readonly name: string; readonly version: string }[];
  return rows
    .map(({ name, version }) => `${name.replace(/[-_.]+/g, '-').toLowerCase()}==${version}`)
    .toSorted();
}

function indexArgs(options: InstallOptions): string[] {
  return options.indexUrl === undefined ? [] : ['--index-url', options.indexUrl];
}

/** Settings of this machine that would answer in the server's place, or lead around it. */
const MACHINE_SETTINGS: RegExp =
  /^(?:PIP_|UV_|PYTHON|VIRTUAL_ENV|CONDA|npm_|NODE_|VITEST|(?:https?|all|no|ftp)_proxy$)/i;

/**
 * This machine's environment without its pip, uv and proxy settings, but with its certificates; home is
 * the virtual environment of `python`.
 */
function clientEnvironment(python: string): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name, value]) => value !== undefined && !MACHINE_SETTINGS.test(name),
  ) as [string, string][];
  const certificates = process.env['PIP_CERT'];
  return {
    ...Object.fromEntries(kept),
    ...(certificates === undefined ? {} : { PIP_CERT: certificates }),
    HOME: dirname(dirname(python)),
    NETRC: '/dev/null',
    PIP_CONFIG_FILE: '/dev/null',
    UV_NO_CONFIG: '1',
    UV_PYTHON_DOWNLOADS: 'never',
    NO_COLOR: '1',
    LC_ALL: 'C.UTF-8',
  };
}
