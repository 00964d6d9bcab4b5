/**
 * Programs that the benchmark measures beside ours or measures with. What is on the PATH is taken; the rest
 * is fetched with `--peers` into bench/.scratch/, and nothing of the machine is changed.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../test/support/run-command.ts';
import type { Wrk } from './load/wrk.ts';
import type { Absence } from './report/result.ts';

const SCRATCH: string = fileURLToPath(new URL('.scratch/', import.meta.url));
const UNPACKED = join(SCRATCH, 'debian');
const VENV = join(SCRATCH, 'peers');
/** wrk's interpreter is not on every machine; the rest is. */
const DEBIAN_PACKAGES = ['nginx', 'wrk', 'libluajit-5.1-2'];
const PYTHON_PACKAGES = ['devpi-server', 'proxpi', 'gunicorn'];

/** Where the programs are; `null` for what is not to be had. */
export interface Tools {
  readonly wrk: Wrk | null;
  readonly nginx: string | null;
  /** Folder of devpi's and proxpi's programs. */
  readonly pythonPeers: string | null;
  /** Our program, `bin/wheelcellar.js`. */
  readonly program: string;
  /** `name` → `version` of all of them. */
  readonly versions: Readonly<Record<string, string>>;
  readonly absences: readonly Absence[];
}

/** Finds the programs, and with `peers` fetches what is missing. */
export async function findTools(options: {
  readonly peers: boolean;
  readonly program: string;
}): Promise<Tools> {
  const absences: Absence[] = [];
  const notAsked = 'not asked for; --peers fetches and measures it';
  if (options.peers) {
    await fetchDebian().catch((error: unknown) => {
      absences.push({ subject: 'nginx, wrk', reason: String(error) });
    });
    await fetchPython().catch((error: unknown) => {
      absences.push({ subject: 'devpi, proxpi', reason: String(error) });
    });
  }
  const nginx = findProgram('nginx', ['/usr/sbin', join(UNPACKED, 'usr/sbin')]);
  const wrkPath = findProgram('wrk', [join(UNPACKED, 'usr/bin')]);
  const wrk = wrkPath === null ? null : { path: wrkPath, env: libraryPath() };
  const pythonPeers = options.peers && existsSync(join(VENV, 'ready')) ? join(VENV, 'bin') : null;
  if (nginx === null)
    absences.push({ subject: 'nginx', reason: options.peers ? 'not found' : notAsked });
  if (!options.peers) {
    absences.push({ subject: 'devpi, proxpi, nginx proxy_cache on pages', reason: notAsked });
  }
  const versions = await versionsOf(options.program, nginx, wrk, pythonPeers);
  return { wrk, nginx, pythonPeers, program: options.program, versions, absences };
}

function findProgram(name: string, more: readonly string[]): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...more];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? null;
}

function libraryPath(): Readonly<Record<string, string | undefined>> {
  const folder = join(
    UNPACKED,
    'usr/lib',
    `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`,
  );
  return { ...process.env, LD_LIBRARY_PATH: folder };
}

/** Unpacked, not installed: an installed nginx would start, and be there afterwards. */
async function fetchDebian(): Promise<void> {
  const found = [findProgram('nginx', ['/usr/sbin']), findProgram('wrk', [])];
  const isUnpacked = existsSync(join(UNPACKED, 'ready'));
  if (isUnpacked || found.every((path) => path !== null)) return;
  const downloads = join(SCRATCH, 'downloads');
  await mkdir(downloads, { recursive: true });
  const download = (): Promise<unknown> =>
    demand('apt-get', ['download', ...DEBIAN_PACKAGES], { cwd: downloads });
  await download().catch(async () => {
    // A machine that was never told what there is; only root may ask.
    await demand('apt-get', ['update', '-q'], {});
    await download();
  });
  for (const file of await readdir(downloads)) {
    if (file.endsWith('.deb'))
      await demand('dpkg-deb', ['-x', join(downloads, file), UNPACKED], {});
  }
  await writeFile(join(UNPACKED, 'ready'), '');
}

async function fetchPython(): Promise<void> {
  if (existsSync(join(VENV, 'ready'))) return;
  await demand('python3', ['-m', 'venv', '--clear', VENV], {});
  const python = join(VENV, 'bin', 'python');
  await demand(python, ['-m', 'pip', 'install', '--quiet', ...PYTHON_PACKAGES], {});
  await writeFile(join(VENV, 'ready'), '');
}

async function demand(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string },
): Promise<string> {
  const result = await runCommand(command, args, { ...options, timeoutMs: 300_000 });
  if (result.code !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout + result.stderr;
}

async function versionsOf(
  program: string,
  nginx: string | null,
  wrk: Wrk | null,
  pythonPeers: string | null,
): Promise<Record<string, string>> {
  const versions: Record<string, string> = {};
  const ours = await demand(process.execPath, [program, 'version'], {});
  versions['Wheelcellar'] = ours.trim().split('\n')[0]?.replace(/^\D+/, '') ?? '?';
  if (nginx !== null) {
    const { stderr } = await runCommand(nginx, ['-v', '-e', 'stderr']);
    versions['nginx'] = /nginx\/([\d.]+)/.exec(stderr)?.[1] ?? '?';
  }
  if (wrk !== null) {
    const { stdout } = await runCommand(wrk.path, ['-v'], { env: wrk.env });
    versions['wrk'] = /wrk \S*?([\d.]+)/.exec(stdout)?.[1] ?? '?';
  }
  if (pythonPeers !== null) {
    const frozen = await demand(join(pythonPeers, 'python'), ['-m', 'pip', 'freeze'], {});
    for (const name of PYTHON_PACKAGES) {
      versions[name] = new RegExp(`^${name}==(\\S+)`, 'm').exec(frozen)?.[1] ?? '?';
    }
  }
  return versions;
}
