/**
 * What building images takes: diskimage-builder in a virtual environment and a small Debian as a tarball,
 * both made once below test/.images, and some programs of this machine that only root can use.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { ensurePythonClients } from '../support/python-clients.ts';
import { runCommand } from '../support/run-command.ts';

/** The version of diskimage-builder that images are built with. */
const DIB_VERSION = '3.43.0';

const ROOT: string = fileURLToPath(new URL('../../', import.meta.url));

/** Everything that is kept between runs; not under version control. */
export const IMAGES_FOLDER: string = join(ROOT, 'test', '.images');

const DIB_FOLDER: string = join(IMAGES_FOLDER, `dib-${DIB_VERSION}`);

/** A Debian with Python, as a tar file. */
export const BASE_TARBALL: string = join(IMAGES_FOLDER, 'base.tar');

/** Folder of disk-image-create. */
export const DIB_PROGRAMS: string = join(DIB_FOLDER, 'bin');

/** The test's own elements. */
export const TEST_ELEMENTS: string = join(ROOT, 'test', 'images', 'elements');

/** The elements under test. */
export const OUR_ELEMENTS: string = join(ROOT, 'elements');

/** The virtual environment with a current pip and uv. */
export function clientsFolder(): string {
  return realpathSync(join(ROOT, 'test', '.clients', 'current'));
}

/** diskimage-builder's own runner of hooks. */
export async function dibRunParts(): Promise<string> {
  const code = 'import diskimage_builder.paths as p; p.show_path("lib")';
  const { stdout } = await runCommand(join(DIB_PROGRAMS, 'python'), ['-c', code]);
  return join(stdout.trim(), 'dib-run-parts');
}

/** What diskimage-builder and the tests call → its Debian package; .ci/run installs them. */
export const PROGRAMS: Readonly<Record<string, string>> = {
  sudo: 'sudo',
  'qemu-img': 'qemu-utils',
  kpartx: 'kpartx',
  sgdisk: 'gdisk',
  'mkfs.vfat': 'dosfstools',
  unshare: 'util-linux',
  ip: 'iproute2',
  openssl: 'openssl',
  python3: 'python3-venv',
  mmdebstrap: 'mmdebstrap',
};

/** Why images cannot be built here; `undefined` when they can. */
export function missingForImages(): string | undefined {
  if (process.platform !== 'linux') return 'images are built on Linux only';
  if (process.getuid?.() !== 0) return 'building images takes root';
  const absent = Object.entries(PROGRAMS).filter(([program]) => !isInPath(program));
  if (absent.length > 0) {
    return `missing: apt-get install ${absent.map(([, name]) => name).join(' ')}`;
  }
  const { status } = spawnSync('unshare', ['--mount', '--pid', '--net', '--fork', 'true']);
  if (status !== 0) return 'this machine allows no namespaces (a container?)';
  return existsSync('/dev/loop-control') ? undefined : 'there are no loop devices (a container?)';
}

function isInPath(program: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return [...folders, '/usr/sbin', '/sbin'].some((folder) => existsSync(join(folder, program)));
}

/** Makes what is missing; the only step that needs a network (a package index and a Debian mirror). */
export async function ensureImageTools(): Promise<void> {
  await ensurePythonClients();
  await mkdir(IMAGES_FOLDER, { recursive: true });
  await ensureDib();
  await ensureBase();
}

async function ensureDib(): Promise<void> {
  const ready = join(DIB_FOLDER, 'ready');
  if (existsSync(ready)) return;
  await rm(DIB_FOLDER, { recursive: true, force: true });
  await demand('python3', ['-m', 'venv', DIB_FOLDER]);
  const pip = join(DIB_FOLDER, 'bin', 'pip');
  await demand(pip, ['install', '--quiet', `diskimage-builder==${DIB_VERSION}`]);
  await writeFile(ready, '');
}

async function ensureBase(): Promise<void> {
  if (existsSync(BASE_TARBALL)) return;
  const partial = `${BASE_TARBALL}.${process.pid}.tar`;
  const packages = '--include=python3,python3-venv,ca-certificates';
  // What no test reads would only make each build slower.
  const without = ['man', 'doc', 'locale'].map(
    (folder) => `--dpkgopt=path-exclude=/usr/share/${folder}/*`,
  );
  await demand('mmdebstrap', ['--variant=minbase', packages, ...without, 'bookworm', partial]);
  await rename(partial, BASE_TARBALL);
}

async function demand(command: string, args: readonly string[]): Promise<void> {
  const result = await runCommand(command, args, { timeoutMs: 560_000 });
  if (result.code === 0) return;
  throw new Error(`${command} ${args.join(' ')} failed: ${result.stderr.slice(-2_000)}`);
}
