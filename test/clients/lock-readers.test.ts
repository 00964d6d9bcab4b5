import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { markerEnvironment, parseInterpreter } from '../../src/packaging/environment.ts';
import type { MarkerEnvironment } from '../../src/packaging/environment.ts';
import { readLockFile } from '../../src/packaging/lock/lock-file.ts';
import type { LockSelection } from '../../src/packaging/lock/lock-file.ts';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { Client } from '../support/more-clients.ts';
import { runCommand } from '../support/run-command.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { lockProjects, otherProjects } from './lock-projects.ts';
import { describeClient, runClient } from './stage.ts';

/** What `uv` calls a platform, and the tag that names it here. */
const PLATFORMS = [
  ['linux', 'manylinux_2_28_x86_64'],
  ['windows', 'win_amd64'],
  ['macos', 'macosx_14_0_arm64'],
] as const;

const DEPENDENCIES = [
  'base[socks]',
  'native',
  'local',
  "source-only; sys_platform == 'linux'",
  'helper',
];
const FORKS = ["forked==1.0; sys_platform == 'win32'", "forked==2.0; sys_platform != 'win32'"];

interface Ground {
  readonly folder: string;
  readonly indexUrl: string;
  readonly otherUrl: string;
  /** URL of a wheel, for a requirement that names it. */
  readonly docsUrl: string;
}

/** Two indexes, and a folder with a project in it that another one depends on. */
async function prepare(): Promise<Ground> {
  const temp = await makeTempFolder('wheelcellar-locks-');
  onTestFinished(() => temp.remove());
  const upstream = await startFakeUpstream({ projects: lockProjects() });
  onTestFinished(() => upstream.close());
  const other = await startFakeUpstream({ projects: otherProjects() });
  onTestFinished(() => other.close());
  const helper = join(temp.path, 'helper');
  await mkdir(join(helper, 'helper'), { recursive: true });
  await writeFile(join(helper, 'helper', '__init__.py'), '');
  const backend = [
    'def _hook(*args):\n    raise RuntimeError("not needed")\n\nbuild_wheel = _hook\n',
    '[project]\nname = "helper"\nversion = "0.9"\ndependencies = ["fast-er"]\n',
    '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
  ];
  await writeFile(join(helper, 'backend.py'), backend[0] ?? '');
  await writeFile(join(helper, 'pyproject.toml'), backend.slice(1).join(''));
  return {
    folder: temp.path,
    indexUrl: upstream.indexUrl,
    otherUrl: other.indexUrl,
    docsUrl: upstream.fileUrl('docs-4.0-py3-none-any.whl'),
  };
}

function environmentOf(python: string, platform: string): MarkerEnvironment {
  return markerEnvironment(parseInterpreter(python)!, platform);
}

/** What our reader picks, as sorted names and versions. */
async function picked(
  path: string,
  environment: MarkerEnvironment,
  selection: LockSelection,
): Promise<string[]> {
  const project = await readFile(join(path, '..', 'pyproject.toml'), 'utf8').catch(() => null);
  const lock = readLockFile(path, await readFile(path, 'utf8'), project);
  const { packages, problems } = lock.packagesFor(environment, selection);
  expect(problems).toEqual([]);
  return packages.map(({ name, version }) => pin(name, version)).toSorted();
}

/** Tools do not always name the version of what lies on no index. */
function pin(name: string, version: string | null): string {
  return ['helper', 'gitty', 'docs'].includes(name) ? name : `${name} ${version}`;
}

/** The words of a tool that succeeded. */
async function wordsOf(
  client: Client,
  program: string,
  args: readonly string[],
  folder: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { code, words } = await runClient(client, program, args, folder, env);
  expect(code, words).toBe(0);
  return words;
}

/** ` + base==1.0`, ` + helper @ file:///…`. */
function uvPicks(words: string): string[] {
  return [...words.matchAll(/^ \+ ([a-z0-9-]+)(?:==(\S+))?/gm)]
    .map(([, name = '', version]) => pin(name, version ?? null))
    .toSorted();
}

describeClient('uv', (client) => {
  const python = ['--python', join(client.binPath, 'python')];

  async function lockProject(): Promise<Ground> {
    const ground = await prepare();
    const repository = join(ground.folder, 'gitty');
    await mkdir(repository);
    await writeFile(
      join(repository, 'pyproject.toml'),
      '[project]\nname = "gitty"\nversion = "0.7"\ndependencies = ["leaf"]\n',
    );
    const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.org'];
    for (const args of [
      ['init', '-q'],
      ['add', '.'],
      [...who, 'commit', '-qm', 'Begin'],
    ])
      expect((await runCommand('git', args, { cwd: repository })).code).toBe(0);
    const text = [
      '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.9,<4"',
      `dependencies = ${JSON.stringify([...DEPENDENCIES, ...FORKS, 'other-only', 'docs', 'gitty'])}`,
      '[project.optional-dependencies]\nquick = ["fast-er"]\nold = ["twin==1.0"]\nnew = ["twin==2.0"]',
      '[dependency-groups]\ndev = ["tester", {include-group = "lint"}]\nlint = ["shim"]',
      '[tool.uv]\npackage = false\nconflicts = [[{ extra = "old" }, { extra = "new" }]]',
      '[tool.uv.sources]\nhelper = { path = "./helper" }\nother-only = { index = "other" }',
      `docs = { url = "${ground.docsUrl}" }`,
      `gitty = { git = "file://${repository}" }`,
      `[[tool.uv.index]]\nname = "other"\nurl = "${ground.otherUrl}"\nexplicit = true`,
      `[[tool.uv.index]]\nname = "main"\nurl = "${ground.indexUrl}"\ndefault = true\n`,
    ];
    await writeFile(join(ground.folder, 'pyproject.toml'), text.join('\n'));
    await wordsOf(client, 'uv', ['lock', '--no-cache', ...python], ground.folder);
    return ground;
  }

  it('picks from a fresh uv.lock what uv sync would install', async () => {
    const { folder } = await lockProject();
    const selections: readonly (readonly [LockSelection, readonly string[]])[] = [
      [{}, []],
      [{ groups: [] }, ['--no-default-groups']],
      [{ groups: ['lint'] }, ['--no-default-groups', '--group', 'lint']],
      [{ extras: ['old', 'quick'] }, ['--extra', 'old', '--extra', 'quick']],
      [{ groups: 'all', extras: ['new'] }, ['--all-groups', '--extra', 'new']],
    ];
    const seen = new Set<string>();
    for (const [selection, flags] of selections) {
      for (const [platform, tag] of PLATFORMS) {
        const args = ['sync', '--frozen', '--dry-run', '--no-cache', '--python-platform', platform];
        const words = await wordsOf(client, 'uv', [...args, ...python, ...flags], folder);
        const own = await picked(join(folder, 'uv.lock'), environmentOf('3.11', tag), selection);
        expect(own, `${platform} ${flags.join(' ')}`).toEqual(uvPicks(words));
        seen.add(own.join(' '));
      }
    }
    // Every selection differs, and on every system.
    expect(seen.size).toBe(15);
  });

  it('picks from a fresh pylock.toml what uv pip install would, for Pythons and platforms', async () => {
    const { folder } = await lockProject();
    const flags = ['--frozen', '--format', 'pylock.toml', '--all-groups', '--extra', 'new'];
    await wordsOf(client, 'uv', ['export', '-q', ...flags, '-o', 'pylock.toml'], folder);
    for (const version of ['3.9', '3.12']) {
      for (const [platform, tag] of PLATFORMS) {
        const target = ['--target', 'nowhere', '--python-version', version];
        const args = ['pip', 'install', '--dry-run', '--no-cache', '--python-platform', platform];
        const words = await wordsOf(
          client,
          'uv',
          [...args, ...target, ...python, '-r', 'pylock.toml'],
          folder,
        );
        const own = await picked(join(folder, 'pylock.toml'), environmentOf(version, tag), {});
        expect(own, `${version} ${platform}`).toEqual(uvPicks(words));
      }
    }
  });
});

describeClient('pip', (client) => {
  it('picks from a fresh pylock.toml all that pip locked', async () => {
    const { folder, indexUrl } = await prepare();
    const args = ['-m', 'pip', '--no-cache-dir'];
    const requirements = ['base[socks]', 'native', 'source-only', 'local'];
    const settings = ['--index-url', indexUrl];
    await wordsOf(client, 'python', [...args, 'lock', ...settings, ...requirements], folder);
    const install = ['install', '--dry-run', '--ignore-installed', '-r', 'pylock.toml'];
    const words = await wordsOf(client, 'python', [...args, ...install], folder);
    const would = /Would install (.+)/.exec(words)?.[1]?.split(' ') ?? [];
    const theirs = would
      .map((each) => each.replaceAll('_', '-').replace(/-(?=\d)/, ' '))
      .toSorted();
    const here = environmentOf('3.11', 'manylinux_2_28_x86_64');
    expect(theirs.length).toBe(6);
    expect(await picked(join(folder, 'pylock.toml'), here, {})).toEqual(theirs);
  });
});

describeClient('poetry', (client) => {
  it('picks from a fresh poetry.lock what poetry install would install', async () => {
    const { folder, indexUrl, otherUrl } = await prepare();
    const text = [
      '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.9,<4"',
      `dependencies = ${JSON.stringify([...DEPENDENCIES, ...FORKS, 'other-only'])}`,
      '[project.optional-dependencies]\nquick = ["fast-er"]\npaper = ["docs; python_version >= \'3.10\'"]',
      '[dependency-groups]\ntest = ["tester", {include-group = "lint"}]\nlint = ["shim"]',
      '[tool.poetry]\npackage-mode = false',
      '[tool.poetry.dependencies]\nhelper = { path = "./helper" }\nother-only = { source = "other" }',
      '[tool.poetry.group.doc]\noptional = true\n[tool.poetry.group.doc.dependencies]\ntwin = "*"',
      `[[tool.poetry.source]]\nname = "main"\nurl = "${indexUrl}"\npriority = "primary"`,
      `[[tool.poetry.source]]\nname = "other"\nurl = "${otherUrl}"\npriority = "explicit"\n`,
    ];
    await writeFile(join(folder, 'pyproject.toml'), text.join('\n'));
    const env = {
      POETRY_CACHE_DIR: join(folder, 'cache'),
      POETRY_VIRTUALENVS_IN_PROJECT: 'true',
      POETRY_NO_INTERACTION: '1',
      POETRY_KEYRING_ENABLED: 'false',
    };
    await wordsOf(client, 'poetry', ['lock'], folder, env);
    const selections: readonly (readonly [LockSelection, readonly string[]])[] = [
      [{}, []],
      [{ groups: [] }, ['--only', 'main']],
      [{ groups: ['doc'], extras: ['paper'] }, ['--only', 'main,doc', '--extras', 'paper']],
    ];
    const here = environmentOf('3.11', 'manylinux_2_28_x86_64');
    for (const [selection, flags] of selections) {
      const args = ['install', '--dry-run', '--no-root', ...flags];
      const words = await wordsOf(client, 'poetry', args, folder, env);
      const theirs = [...words.matchAll(/- Installing ([a-z0-9-]+) \(([^ )]+)[^)]*\)$/gm)]
        .map(([, name = '', version = '']) => pin(name, version))
        .toSorted();
      expect(theirs.length).toBeGreaterThan(9);
      expect(await picked(join(folder, 'poetry.lock'), here, selection)).toEqual(theirs);
    }
  });
});

describeClient('pdm', (client) => {
  it('picks from a fresh pdm.lock what pdm sync would install', async () => {
    const { folder, indexUrl, otherUrl, docsUrl } = await prepare();
    const all = [...DEPENDENCIES.slice(0, 4), 'helper @ file:///${PROJECT_ROOT}/helper'];
    const text = [
      '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.9,<4"',
      `dependencies = ${JSON.stringify([...all, FORKS[1], 'other-only', `docs @ ${docsUrl}`])}`,
      '[project.optional-dependencies]\nquick = ["twin"]',
      '[dependency-groups]\ntest = ["tester", {include-group = "lint"}]\nlint = ["shim"]',
      '[tool.pdm]\ndistribution = false',
      `[[tool.pdm.source]]\nname = "pypi"\nurl = "${indexUrl}"`,
      `[[tool.pdm.source]]\nname = "other"\nurl = "${otherUrl}"\ninclude_packages = ["other-*"]\n`,
    ];
    await writeFile(join(folder, 'pyproject.toml'), text.join('\n'));
    const env = { PDM_CACHE_DIR: join(folder, 'cache'), PDM_CHECK_UPDATE: 'false' };
    const python = join(client.binPath, 'python');
    await wordsOf(client, python, ['-m', 'venv', '--without-pip', '.venv'], folder);
    await wordsOf(client, 'pdm', ['lock', '-G:all'], folder, env);
    const selections: readonly (readonly [LockSelection, readonly string[]])[] = [
      [{}, []],
      [{ groups: [] }, ['--prod']],
      [{ extras: ['quick'] }, ['-G', 'quick']],
      [{ groups: [], extras: ['quick'] }, ['--prod', '-G', 'quick']],
    ];
    const here = environmentOf('3.11', 'manylinux_2_28_x86_64');
    for (const [selection, flags] of selections) {
      const words = await wordsOf(client, 'pdm', ['sync', '--dry-run', ...flags], folder, env);
      const theirs = [...words.matchAll(/^ +- ([a-z0-9-]+) (\S+)$/gm)]
        .map(([, name = '', version = '']) => pin(name, version))
        .toSorted();
      expect(theirs.length).toBeGreaterThan(9);
      expect(await picked(join(folder, 'pdm.lock'), here, selection)).toEqual(theirs);
    }
  });
});
