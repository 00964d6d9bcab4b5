/** After `prefetch` from a lock, the tool that wrote it installs with no upstream at all. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Proof } from '../../src/prefetch/proof.ts';
import type { SetReport } from '../../src/prefetch/report.ts';
import type { Client } from '../support/more-clients.ts';
import { runJson } from '../support/verbs.ts';
import { writeWheel } from '../support/wheel-writer.ts';
import { INSTALLED, REQUIREMENTS, clientProjects, hashedRequirements } from './projects.ts';
import { describeClient, installedAt, runClient, setStage, sitePackages } from './stage.ts';
import type { Outcome, Stage } from './stage.ts';

const PROJECTS = {
  ...clientProjects(),
  fruity: [
    writeWheel({
      name: 'fruity',
      version: '1.0',
      requires: ['apple; sys_platform == "darwin"', 'tux; sys_platform == "linux"'],
      extras: { salad: ['dressing'] },
    }),
  ],
  apple: [writeWheel({ name: 'apple', version: '1.0', tag: 'py3-none-macosx_11_0_arm64' })],
  tux: [
    writeWheel({ name: 'tux', version: '1.0', tag: 'py3-none-manylinux_2_17_x86_64' }),
    writeWheel({ name: 'tux', version: '1.0', tag: 'py3-none-musllinux_1_2_x86_64' }),
  ],
  dressing: [writeWheel({ name: 'dressing', version: '1.0' })],
  checker: [writeWheel({ name: 'checker', version: '1.0' })],
};
const WANTED = [...REQUIREMENTS, 'fruity[salad]', 'source'];
/** What every tool must have installed in the end, its group `dev` included. */
const ALL = [
  ...INSTALLED,
  'checker==1.0',
  'dressing==1.0',
  'fruity==1.0',
  'source==0.3',
  'tux==1.0',
].toSorted();
const DARWIN = ['--python', '3.11', '--platform', 'macosx_12_0_arm64'];

/** How one tool locks a project, and how it installs from the lock. */
interface Locker {
  readonly lockName: string;
  /** Flags that name the parts which the tool installs. */
  readonly flags?: readonly string[];
  /** What is not held for another machine: what it would take, or what was locked for this one alone. */
  readonly missingOnMac?: readonly string[];
  readonly lock: (stage: Stage, folder: string) => Promise<Outcome>;
  readonly sync: (stage: Stage, folder: string) => Promise<Outcome & { installed: string[] }>;
}

function itSyncsOffline({
  lockName,
  flags = [],
  missingOnMac = ['apple'],
  lock,
  sync,
}: Locker): void {
  it(`syncs from ${lockName} with no upstream after prefetch`, async () => {
    const stage = await setStage({ projects: PROJECTS });
    const folder = await stage.freshFolder();
    const made = await lock(stage, folder);
    expect(made.code, made.words).toBe(0);
    const place = { cacheDir: join(stage.folder, 'cache'), indexUrl: stage.upstream.indexUrl };
    const file = lockName === 'requirements.txt' ? '-r' : '--lock';
    const named = [file, join(folder, lockName), ...flags];

    const before = await runJson<Proof>(place, 'prove', ...named);
    expect(before, JSON.stringify(before)).toMatchObject({ isReady: false });
    const report = await runJson<SetReport>(place, 'prefetch', ...named);
    expect(report.problems).toEqual([]);
    expect(report.isWhole).toBe(true);
    expect(report.resolver).toBeNull();
    // pdm locks local versions without their local part.
    const held = report.files.map(({ project, version }) =>
      `${project}==${version}`.replace(/^cpuish==1\.0$/, 'cpuish==1.0+cpu'),
    );
    expect(held).toEqual(expect.arrayContaining(ALL));
    expect(held).toHaveLength(ALL.length);

    stage.upstream.forget();
    const again = await runJson<SetReport>(place, 'prefetch', ...named);
    expect(again.files.every(({ outcome }) => outcome === 'held')).toBe(true);
    expect(stage.upstream.count(/\/packages\//)).toBe(0);

    await stage.upstream.down();
    await stage.restart('--offline');
    stage.upstream.forget();
    await rm(join(folder, 'client-cache'), { recursive: true, force: true });
    await rm(join(folder, '.venv'), { recursive: true, force: true });
    const synced = await sync(stage, folder);
    expect(synced.code, synced.words).toBe(0);
    expect(synced.installed, synced.words).toEqual(ALL);
    const proof = await runJson<Proof>(place, 'prove', ...named);
    expect(proof.targets[0]?.words).toBeNull();
    expect(proof).toMatchObject({ isReady: true, targets: [{ how: 'installed' }] });
    const mac = await runJson<Proof>(place, 'prove', ...named, ...DARWIN);
    const missing = mac.targets[0]?.missing.map(({ project }) => project);
    expect(missing).toEqual(missingOnMac);
    expect(stage.upstream.connections).toBe(0);
  }, 300_000);
}

async function writeProject(folder: string, ...more: readonly string[]): Promise<void> {
  const project = [
    '[project]\nname = "mine"\nversion = "0"\nrequires-python = ">=3.11,<3.12"',
    `dependencies = ${JSON.stringify(WANTED)}`,
    '[dependency-groups]\ndev = ["checker"]',
    ...more,
  ];
  await writeFile(join(folder, 'pyproject.toml'), `${project.join('\n')}\n`);
}

async function inVenv(run: Outcome, folder: string): Promise<Outcome & { installed: string[] }> {
  return { ...run, installed: await installedAt(await sitePackages(join(folder, '.venv'))) };
}

const uvEnvironment = (folder: string): Record<string, string> => ({
  UV_CACHE_DIR: join(folder, 'client-cache'),
});

async function uvLock(client: Client, stage: Stage, folder: string): Promise<Outcome> {
  await writeProject(
    folder,
    `[[tool.uv.index]]\nname = "mirror"\nurl = "${stage.recorder.indexUrl}"\ndefault = true`,
    '[tool.uv]\npackage = false',
  );
  const python = ['--python', join(client.binPath, 'python')];
  return await runClient(client, 'uv', ['lock', ...python], folder, uvEnvironment(folder));
}

describeClient('uv', (client) => {
  itSyncsOffline({
    lockName: 'uv.lock',
    lock: (stage, folder) => uvLock(client, stage, folder),
    sync: async (_stage, folder) => {
      const args = ['sync', '--locked', '--python', join(client.binPath, 'python')];
      return await inVenv(
        await runClient(client, 'uv', args, folder, uvEnvironment(folder)),
        folder,
      );
    },
  });

  itSyncsOffline({
    lockName: 'pylock.toml',
    flags: ['--group', 'all'],
    lock: async (stage, folder) => {
      const locked = await uvLock(client, stage, folder);
      if (locked.code !== 0) return locked;
      const args = ['export', '--format', 'pylock.toml', '-o', 'pylock.toml', '--quiet'];
      return await runClient(client, 'uv', args, folder, uvEnvironment(folder));
    },
    sync: async (_stage, folder) => {
      const python = join(client.binPath, 'python');
      const env = uvEnvironment(folder);
      await runClient(client, 'uv', ['venv', '--python', python, '.venv'], folder, env);
      const args = ['pip', 'sync', '--preview', '--no-config', '--python', '.venv', 'pylock.toml'];
      return await inVenv(await runClient(client, 'uv', args, folder, env), folder);
    },
  });
});

describeClient('pip', (client) => {
  const pip = (stage: Stage, folder: string, ...args: readonly string[]): Promise<Outcome> => {
    const index = ['--index-url', stage.recorder.indexUrl, '--trusted-host', '127.0.0.1'];
    return runClient(client, 'python', ['-m', 'pip', ...args, '--no-cache-dir', ...index], folder);
  };
  const install = async (
    stage: Stage,
    folder: string,
    ...args: readonly string[]
  ): Promise<Outcome & { installed: string[] }> => {
    const target = join(folder, 'target');
    const run = await pip(stage, folder, 'install', '--target', target, ...args);
    return { ...run, installed: await installedAt(target) };
  };

  itSyncsOffline({
    lockName: 'requirements.txt',
    missingOnMac: ['tux'],
    lock: async (stage, folder) => {
      await writeFile(join(folder, 'requirements.txt'), hashedRequirements(stage.projects, ALL));
      return { code: 0, words: '' };
    },
    sync: (stage, folder) => install(stage, folder, '--require-hashes', '-r', 'requirements.txt'),
  });

  itSyncsOffline({
    lockName: 'pylock.toml',
    missingOnMac: ['tux'],
    lock: (stage, folder) => pip(stage, folder, 'lock', '-o', 'pylock.toml', ...WANTED, 'checker'),
    sync: (stage, folder) => install(stage, folder, '-r', 'pylock.toml'),
  });
});

const poetryEnvironment = (folder: string): Record<string, string> => ({
  POETRY_CACHE_DIR: join(folder, 'client-cache'),
  POETRY_CONFIG_DIR: join(folder, 'config'),
  POETRY_VIRTUALENVS_IN_PROJECT: 'true',
  POETRY_NO_INTERACTION: '1',
  POETRY_KEYRING_ENABLED: 'false',
});

describeClient('poetry', (client) => {
  itSyncsOffline({
    lockName: 'poetry.lock',
    lock: async (stage, folder) => {
      await writeProject(
        folder,
        '[tool.poetry]\npackage-mode = false',
        `[[tool.poetry.source]]\nname = "mirror"\nurl = "${stage.recorder.indexUrl}"\npriority = "primary"`,
      );
      return await runClient(client, 'poetry', ['lock'], folder, poetryEnvironment(folder));
    },
    sync: async (_stage, folder) =>
      await inVenv(
        await runClient(client, 'poetry', ['install'], folder, poetryEnvironment(folder)),
        folder,
      ),
  });
});

describeClient('pdm', (client) => {
  const environment = (folder: string): Record<string, string> => ({
    PDM_CACHE_DIR: join(folder, 'client-cache'),
    PDM_CHECK_UPDATE: 'false',
  });
  const venv = (folder: string): Promise<Outcome> =>
    runClient(
      client,
      join(client.binPath, 'python'),
      ['-m', 'venv', '--without-pip', '.venv'],
      folder,
    );
  itSyncsOffline({
    lockName: 'pdm.lock',
    lock: async (stage, folder) => {
      await writeProject(
        folder,
        '[tool.pdm]\ndistribution = false',
        `[[tool.pdm.source]]\nname = "pypi"\nurl = "${stage.recorder.indexUrl}"`,
      );
      await venv(folder);
      return await runClient(client, 'pdm', ['lock'], folder, environment(folder));
    },
    sync: async (_stage, folder) => {
      await venv(folder);
      const run = await runClient(
        client,
        'pdm',
        ['sync', '--no-self'],
        folder,
        environment(folder),
      );
      return await inVenv(run, folder);
    },
  });
});

describeClient('pipenv', (client) => {
  const environment = (folder: string): Record<string, string> => ({
    PIPENV_CACHE_DIR: join(folder, 'client-cache'),
    PIP_CACHE_DIR: join(folder, 'client-cache'),
    PIPENV_VENV_IN_PROJECT: '1',
    PIPENV_PYTHON: join(client.binPath, 'python'),
    PIPENV_IGNORE_VIRTUALENVS: '1',
    PIPENV_NOSPIN: '1',
    PIPENV_YES: '1',
  });
  itSyncsOffline({
    lockName: 'Pipfile.lock',
    // It has markers, but not what another machine would take.
    missingOnMac: [],
    flags: ['--group', 'all'],
    lock: async (stage, folder) => {
      const pipfile = [
        `[[source]]\nname = "mirror"\nurl = "${stage.recorder.indexUrl}"\nverify_ssl = false\n`,
        '[packages]',
        ...WANTED.map((name) =>
          name.includes('[') ? 'fruity = {version = "*", extras = ["salad"]}' : `"${name}" = "*"`,
        ),
        '[dev-packages]',
        'checker = "*"',
      ];
      await writeFile(join(folder, 'Pipfile'), `${pipfile.join('\n')}\n`);
      return await runClient(client, 'pipenv', ['lock'], folder, environment(folder));
    },
    sync: async (_stage, folder) =>
      await inVenv(
        await runClient(client, 'pipenv', ['sync', '--dev'], folder, environment(folder)),
        folder,
      ),
  });
});
