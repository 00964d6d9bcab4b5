/**
 * Every package client that the project is tried with, each at a fixed version in a virtual environment of
 * its own below test/.clients. They are made once, from the package index that this machine's pip is set
 * to; afterwards no network is needed, and what `clientEnvironment` gives them cannot reach one.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from './run-command.ts';

const CLIENTS_FOLDER: string = fileURLToPath(new URL('../.clients/', import.meta.url));

/** A client's name. */
export type ClientName =
  | 'uv'
  | 'pip'
  | 'pip-22.1'
  | 'pip-21.3'
  | 'pip-19.3'
  | 'pip-9.0'
  | 'easy_install'
  | 'poetry'
  | 'pdm'
  | 'pipenv'
  | 'hatch'
  | 'pip-tools'
  | 'zc.buildout'
  | 'pypi-simple';

interface ClientRecipe {
  /** The first is the client itself, at the version that the report shows. */
  readonly requirements: readonly [string, ...string[]];
  /** Minor versions of Python 3 that can run it, oldest and newest; any by default. */
  readonly pythons?: readonly [number, number];
}

/** By the names that tests and `CLIENTS_EXPECTED` use. uv comes first: it installs the others. */
const RECIPES: Readonly<Record<ClientName, ClientRecipe>> = {
  uv: { requirements: ['uv==0.13.8'] },
  pip: { requirements: ['pip==26.3'] },
  // pip before 23.2 needs modules that Python 3.12 no longer has.
  'pip-22.1': { requirements: ['pip==22.1.2'], pythons: [7, 11] },
  'pip-21.3': { requirements: ['pip==21.3.1'], pythons: [7, 11] },
  'pip-19.3': { requirements: ['pip==19.3.1', 'setuptools==65.5.0', 'wheel'], pythons: [7, 11] },
  'pip-9.0': { requirements: ['pip==9.0.3', 'setuptools==44.1.1', 'wheel'], pythons: [6, 6] },
  easy_install: { requirements: ['setuptools==44.1.1', 'pip==9.0.3'], pythons: [6, 6] },
  poetry: { requirements: ['poetry==2.5.1'] },
  // Without `[locked]` it gets a cache library that it cannot work with; 2.29.4[locked] cannot be installed.
  pdm: { requirements: ['pdm[locked]==2.29.3'] },
  pipenv: { requirements: ['pipenv==2026.10.3'] },
  hatch: { requirements: ['hatch==1.18.2'] },
  'pip-tools': { requirements: ['pip-tools==7.6.2', 'pip==26.3'] },
  'zc.buildout': { requirements: ['zc.buildout==6.0.1', 'zc.recipe.egg==6.0.0'] },
  'pypi-simple': { requirements: ['pypi-simple==1.8.0'] },
};

/** A client that can be run, or the reason why it cannot. */
export interface Client {
  readonly name: ClientName;
  /** Its version, such as `26.3`. */
  readonly version: string;
  /** The `bin` folder of its environment. */
  readonly binPath: string;
  /** `null` when it is there. */
  readonly missing: string | null;
}

/** All clients' names. */
const CLIENT_NAMES: readonly ClientName[] = Object.keys(RECIPES) as ClientName[];

/**
 * Makes those clients that are not there, which needs a package index once. Never rejects for a client
 * that cannot be had: `missing` says why. Not for several processes at once.
 */
export async function ensureClients(): Promise<Readonly<Record<ClientName, Client>>> {
  await mkdir(CLIENTS_FOLDER, { recursive: true });
  const clients: Partial<Record<ClientName, Client>> = {};
  for (const name of CLIENT_NAMES) clients[name] = await ensureClient(name);
  return clients as Record<ClientName, Client>;
}

async function ensureClient(name: ClientName): Promise<Client> {
  const { requirements } = RECIPES[name];
  const version = requirements[0].replace(/^.*==/, '');
  const folder = folderOf(name);
  const client: Client = { name, version, binPath: join(folder, 'bin'), missing: null };
  if (await isReady(folder, requirements)) return client;
  try {
    await makeClient(name);
    return client;
  } catch (error) {
    return { ...client, missing: error instanceof Error ? error.message : String(error) };
  }
}

function folderOf(name: ClientName): string {
  const { requirements } = RECIPES[name];
  return join(CLIENTS_FOLDER, `${name}-${requirements[0].replace(/^.*==/, '')}`);
}

async function isReady(folder: string, requirements: readonly string[]): Promise<boolean> {
  const made = await readFile(join(folder, 'ready'), 'utf8').catch(() => '');
  return made === requirements.join('\n');
}

/** Environments hold absolute paths, so it is made in its place; a half-made one is made again. */
async function makeClient(name: ClientName): Promise<void> {
  const { requirements, pythons = [8, 99] } = RECIPES[name];
  const python = await findPython(pythons);
  const folder = folderOf(name);
  await setAside(folder);
  const own = join(folder, 'bin', 'python');
  const uv = join(folderOf('uv'), 'bin', 'uv');
  if (name === 'uv' || pythons[1] < 8) {
    // uv works with Python 3.8 at the oldest.
    await demand(python, ['-m', 'venv', folder]);
    await demand(own, ['-m', 'pip', 'install', '--quiet', ...requirements]);
  } else {
    await demand(uv, ['venv', '--quiet', '--no-config', '--python', python, folder]);
    await demand(uv, ['pip', 'install', '--quiet', '--python', own, ...requirements]);
  }
  await writeFile(join(folder, 'ready'), requirements.join('\n'));
}

async function setAside(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  const away = await mkdtemp(join(CLIENTS_FOLDER, 'old-'));
  await rename(folder, join(away, 'client'));
  await rm(away, { recursive: true, force: true });
}

async function demand(command: string, args: readonly string[]): Promise<void> {
  const result = await runCommand(command, args, { timeoutMs: 280_000 });
  if (result.code === 0) return;
  throw new Error(`${command} ${args.join(' ')} failed: ${result.stderr.trim()}`);
}

/** An interpreter among those in PATH and pyenv's, the newest that fits first. */
async function findPython([oldest, newest]: readonly [number, number]): Promise<string> {
  const minors = Array.from({ length: Math.min(newest, 20) - oldest + 1 }, (_, at) => at + oldest);
  const named = minors.toReversed().map((minor) => `python3.${minor}`);
  for (const candidate of ['python3', ...named, ...(await pyenvPythons())]) {
    const script = 'import sys, venv; print(sys.version_info[1])';
    const result = await runCommand(candidate, ['-c', script]).catch(() => undefined);
    const minor = Number(result?.stdout.trim() || Number.NaN);
    if (result?.code === 0 && minor >= oldest && minor <= newest) return candidate;
  }
  const range = newest > 20 ? `3.${oldest} or newer` : `3.${oldest} to 3.${newest}`;
  throw new Error(`There is no Python ${range} with its venv module here.`);
}

async function pyenvPythons(): Promise<string[]> {
  const root = join(process.env['PYENV_ROOT'] ?? join(homedir(), '.pyenv'), 'versions');
  const versions = await readdir(root).catch(() => []);
  return versions.toReversed().map((version) => join(root, version, 'bin', 'python3'));
}

/** Settings of this machine that would answer in the mirror's place, or lead around it. */
const MACHINE_SETTINGS: RegExp =
  /^(?:PIP_|UV_|POETRY_|PDM_|PIPENV_|HATCH_|XDG_|PYTHON|VIRTUAL_ENV|CONDA|npm_|NODE_|VITEST|(?:https?|all|no|ftp)_proxy$)/i;

/**
 * This machine's environment without its settings for package clients, with `homePath` as home, and with
 * a proxy that refuses every connection in the way to all hosts but 127.0.0.1: what bypasses the mirror
 * fails at once.
 */
export function clientEnvironment(
  client: Client,
  homePath: string,
  more: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name, value]) => value !== undefined && !MACHINE_SETTINGS.test(name),
  ) as [string, string][];
  const nowhere = 'http://127.0.0.1:9';
  return {
    ...Object.fromEntries(kept),
    PATH: `${client.binPath}:${process.env['PATH'] ?? ''}`,
    HOME: homePath,
    NETRC: '/dev/null',
    PIP_CONFIG_FILE: '/dev/null',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    UV_PYTHON_DOWNLOADS: 'never',
    HTTP_PROXY: nowhere,
    HTTPS_PROXY: nowhere,
    http_proxy: nowhere,
    https_proxy: nowhere,
    NO_PROXY: '127.0.0.1',
    no_proxy: '127.0.0.1',
    NO_COLOR: '1',
    LC_ALL: 'C.UTF-8',
    ...more,
  };
}
