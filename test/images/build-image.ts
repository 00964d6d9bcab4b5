/**
 * One real run of disk-image-create, in namespaces of its own: whatever it mounts is gone when it ends,
 * whatever it started ends with it, and no name but those of /etc/hosts has an address.
 */
import { appendFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { runCommand } from '../support/run-command.ts';
import {
  BASE_TARBALL,
  DIB_PROGRAMS,
  IMAGES_FOLDER,
  OUR_ELEMENTS,
  TEST_ELEMENTS,
  clientsFolder,
} from './image-tools.ts';

export interface BuildOptions {
  /** A word for the table of builds. */
  readonly name: string;
  /** Everything the build leaves behind goes here: a home folder, the image. */
  readonly folder: string;
  /** `--image-cache`; by default the build finds its own below the home folder, which is `folder`. */
  readonly imageCache?: string;
  /** What is put beside the operating system and the probe. */
  readonly elements?: readonly string[];
  /** Where those are; the project's own folder by default. */
  readonly elementsPath?: string;
  /** Variables of whoever starts the build. */
  readonly env?: Readonly<Record<string, string>>;
  /** Flags of disk-image-create. */
  readonly flags?: readonly string[];
  readonly requirements: readonly string[];
  /** Which installers the probe tries. */
  readonly installers?: readonly ('pip' | 'image-pip' | 'uv' | 'as-nobody')[];
  /** `none`: not even the host's loopback. */
  readonly network?: 'host' | 'none';
  /** Words before disk-image-create, such as `wheelcellar dib --`. */
  readonly prefix?: readonly string[];
}

export interface BuiltImage {
  readonly code: number | null;
  /** The whole log, both streams. */
  readonly log: string;
  readonly seconds: number;
  /** Path of the tar file. */
  readonly imagePath: string;
  /** Names inside the image, without `./`. */
  names(): Promise<string[]>;
  /** The same names and the size of each file in bytes. */
  sizes(): Promise<Map<string, number>>;
  /** Text of a file inside the image; `undefined` when there is none. */
  read(path: string): Promise<string | undefined>;
  /** Where each file came from that an installer took, by the probe's report of that name. */
  sources(report: string): Promise<Record<string, string>>;
}

/** Builds an image; never rejects for a build that fails. */
export async function buildImage(options: BuildOptions): Promise<BuiltImage> {
  const imagePath = join(options.folder, `${options.name.replace(/\W+/g, '-')}.tar`);
  const startedAt = performance.now();
  const result = await runCommand(
    'unshare',
    namespaceArgs(options, commandOf(options, imagePath)),
    {
      env: environmentOf(options),
      cwd: options.folder,
      timeoutMs: 560_000,
    },
  );
  const seconds = (performance.now() - startedAt) / 1000;
  await detachLoops(options.folder);
  const image = imageOf(imagePath);
  const log = `${result.stdout}\n${result.stderr}`;
  await noteBuild(options.name, result.code, seconds, imagePath);
  return { code: result.code, log, seconds, imagePath, ...image };
}

function commandOf(options: BuildOptions, imagePath: string): string[] {
  const elements = ['tarball-os', 'install-probe', ...(options.elements ?? ['pypi', 'pip-cache'])];
  return [
    ...(options.prefix ?? []),
    join(DIB_PROGRAMS, 'disk-image-create'),
    '-n',
    '-t',
    'tar',
    '-o',
    imagePath,
    ...(options.imageCache === undefined ? [] : ['--image-cache', options.imageCache]),
    ...(options.flags ?? []),
    ...elements,
  ];
}

function namespaceArgs(options: BuildOptions, command: readonly string[]): string[] {
  const isAlone = options.network === 'none';
  const steps = [
    'mount --bind /dev/null /etc/resolv.conf',
    ...(isAlone ? ['ip link set lo up'] : []),
    'exec "$@"',
  ];
  const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  if (isAlone) namespaces.push('--net');
  return [...namespaces, 'sh', '-c', steps.join(' && '), 'sh', ...command];
}

function environmentOf(options: BuildOptions): Record<string, string> {
  const elementsPath = options.elementsPath ?? process.env['ELEMENTS_UNDER_TEST'] ?? OUR_ELEMENTS;
  return {
    PATH: `${DIB_PROGRAMS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: options.folder,
    TMPDIR: options.folder,
    ELEMENTS_PATH: elementsPath === 'upstream' ? TEST_ELEMENTS : `${TEST_ELEMENTS}:${elementsPath}`,
    PROBE_BASE: BASE_TARBALL,
    PROBE_CLIENTS: clientsFolder(),
    PROBE_REQUIREMENTS: options.requirements.join(' '),
    PROBE_INSTALLERS: (options.installers ?? ['pip', 'image-pip', 'uv']).join(' '),
    ...options.env,
  };
}

/** Loop devices belong to no namespace; a build that was killed leaves one behind. */
async function detachLoops(folder: string): Promise<void> {
  const { stdout } = await runCommand('losetup', [
    '--list',
    '--noheadings',
    '--output',
    'NAME,BACK-FILE',
  ]);
  for (const line of stdout.split('\n').filter((found) => found.includes(`${folder}/`))) {
    await runCommand('losetup', ['--detach', line.trim().split(/\s+/)[0] ?? '']);
  }
}

/** Times and sizes of all builds of all runs, for whoever wants a table. */
async function noteBuild(
  name: string,
  code: number | null,
  seconds: number,
  imagePath: string,
): Promise<void> {
  const { size: sizeBytes } = await stat(imagePath).catch(() => ({ size: null }));
  const line = JSON.stringify({ name, code, seconds: Math.round(seconds * 10) / 10, sizeBytes });
  await appendFile(join(IMAGES_FOLDER, 'builds.jsonl'), `${line}\n`);
}

function imageOf(imagePath: string): Pick<BuiltImage, 'names' | 'sizes' | 'read' | 'sources'> {
  const read = async (path: string): Promise<string | undefined> => {
    const found = await runCommand('tar', ['-xOf', imagePath, `./${path}`]);
    return found.code === 0 ? found.stdout : undefined;
  };
  const sizes = async (): Promise<Map<string, number>> => {
    const { stdout } = await runCommand('tar', ['-tvf', imagePath, '--quoting-style=literal']);
    const found = new Map<string, number>();
    for (const line of stdout.split('\n')) {
      // drwxr-xr-x root/root 0 2026-11-21 14:04 ./etc/
      const words = /^\S+ \S+ +(\d+) \S+ \S+ (?:\.\/)?(.+)$/.exec(line);
      const [name = '', target] = (words?.[2] ?? '').replace(/ -> .*$/, '').split(' link to ./');
      // Which name of a hard link comes first, with the bytes, is chance.
      const size = target === undefined ? Number(words?.[1]) : found.get(target);
      if (words !== null) found.set(name, size ?? 0);
    }
    return found;
  };
  return {
    sizes,
    names: async () => [...(await sizes()).keys()],
    read,
    sources: async (report) => {
      if (report === 'uv') return lockedUrls((await read('opt/probe/pylock.toml')) ?? '');
      return reportedUrls((await read(`opt/probe/${report}.json`)) ?? '{}');
    },
  };
}

interface PipReport {
  readonly install?: readonly {
    readonly metadata: { readonly name: string };
    readonly download_info: { readonly url: string };
  }[];
}

function reportedUrls(text: string): Record<string, string> {
  const { install = [] } = JSON.parse(text) as PipReport;
  return Object.fromEntries(install.map((item) => [item.metadata.name, item.download_info.url]));
}

/** From `pylock.toml` (PEP 751); uv writes one `[[packages]]` each, with the files in inline tables. */
function lockedUrls(text: string): Record<string, string> {
  const sections = text.split('[[packages]]').slice(1);
  return Object.fromEntries(
    sections.map((section) => [
      /^name = "(.+)"$/m.exec(section)?.[1] ?? '?',
      /\b(?:url|path) = "([^"]+)"/.exec(section)?.[1] ?? '?',
    ]),
  );
}
