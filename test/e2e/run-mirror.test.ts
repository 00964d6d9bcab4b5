import { existsSync, lstatSync, readFileSync, readdirSync } from 'node:fs';
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { BUILD_FLAGS, mirrorStage } from '../support/mirror-run.ts';
import type { MirrorStage } from '../support/mirror-run.ts';
import { makeVirtualEnvironment, installedIn } from '../support/python-clients.ts';
import { runCommand } from '../support/run-command.ts';
import type { CommandResult } from '../support/run-command.ts';
import { writeWheel } from '../support/wheel-writer.ts';
import { INSTALLERS, wordsOf } from './stage.ts';

const FILES = /\/files?\/|\.(?:whl|tar\.gz)$/;

interface Page {
  readonly files: readonly { readonly filename: string; readonly url: string }[];
}

/** Names of the projects of an index and their files, as its JSON pages have them. */
function listed(root: string): Record<string, string[]> {
  const index = JSON.parse(readFileSync(join(root, 'index.json'), 'utf8')) as {
    projects: readonly { name: string }[];
  };
  return Object.fromEntries(
    index.projects.map(({ name }) => [name, pageOf(root, name).files.map((file) => file.filename)]),
  );
}

function pageOf(root: string, project: string): Page {
  return JSON.parse(readFileSync(join(root, project, 'index.json'), 'utf8')) as Page;
}

/** The only folder of an index that is named like a distribution. */
function distroOf(root: string): string {
  const names = readdirSync(root).filter((name) => /^[A-Z]\w*-/.test(name));
  expect(names).toHaveLength(1);
  return join(root, names[0] ?? '');
}

interface Report {
  readonly mirrors: readonly {
    readonly name: string;
    readonly isLive: boolean;
    readonly branches: readonly {
      readonly source: string;
      readonly branch: string;
      readonly outcome: string;
      readonly reason: string | null;
      readonly pins: readonly { name: string; version: string }[];
      readonly leftOut: readonly { line: string }[];
      readonly fetched: readonly string[];
      readonly built: readonly string[];
    }[];
    readonly problems: readonly string[];
    readonly buildNetwork: string | null;
  }[];
}

function reportOf(result: CommandResult): Report {
  expect(result.stdout, wordsOf(result)).not.toBe('');
  return JSON.parse(result.stdout) as Report;
}

/** Example of several projects and branches, one of them broken; lists of one's own. */
async function shop(
  stage: MirrorStage,
  more = '',
): Promise<{ mirrors: string; release: string; tools: string }> {
  const api = await stage.repository('api');
  await api.commit('main', {
    'requirements.txt': 'alpha==2.0\nhttps://example.org/x-1.0.tar.gz\n',
  });
  await api.commit('stable/1', {
    'global-requirements.txt': 'alpha==1.0\n',
    'requirements.txt': 'delta\n',
  });
  await api.commit('stable/broken', { 'requirements.txt': 'alpha==7.0\n' });
  await api.commit('feature', { 'requirements.txt': 'epsilon\n' });
  await api.commit('main', {
    'requirements.txt': 'alpha==2.0\nhttps://example.org/x-1.0.tar.gz\n',
  });
  const worker = await stage.repository('worker.git');
  await worker.commit('main', { 'test-requirements.txt': 'delta\n' });
  await writeFile(join(stage.folder, 'extra.txt'), 'epsilon>=1\n');
  const mirrors = await stage.writeMirrors(`
  - name: release
    projects: [git/api, git/worker.git]
    branches: [origin/main, origin/stable/*]
    output: web/release
    ${more}
  - name: tools
    requirements: [extra.txt]
    output: web/tools`);
  const web = join(stage.folder, 'web');
  return { mirrors, release: join(web, 'release'), tools: join(web, 'tools') };
}

describe('run-mirror', () => {
  it('mirrors the union of the closures of all wanted branches, and reports the broken one', async () => {
    const stage = await mirrorStage();
    const { mirrors, release, tools } = await shop(stage);
    const result = await stage.run(mirrors, '--json');
    expect(result.code, wordsOf(result)).toBe(0);
    expect(listed(release)).toEqual({
      alpha: [
        'alpha-1.0-py3-none-any.whl',
        'alpha-1.0.tar.gz',
        'alpha-2.0-py3-none-any.whl',
        'alpha-2.0.tar.gz',
      ],
      beta: ['beta-1.5-py3-none-any.whl', 'beta-1.5.tar.gz'],
      delta: ['delta-4.0-py3-none-any.whl'],
    });
    expect(listed(distroOf(release))).toEqual({
      alpha: ['alpha-1.0-py3-none-any.whl', 'alpha-2.0-py3-none-any.whl'],
      beta: ['beta-1.5-py3-none-any.whl'],
      delta: ['delta-4.0-py3-none-any.whl'],
    });
    expect(listed(tools)).toEqual({
      epsilon: ['epsilon-1.0-py3-none-any.whl', 'epsilon-1.0.tar.gz'],
    });
    expect(result.stderr).toMatch(/origin\/stable\/broken: .*alpha==7\.0/s);
    expect(result.stderr).not.toContain('origin/main');
    const [first] = reportOf(result).mirrors;
    expect(first?.branches.map(({ branch, outcome }) => `${branch} ${outcome}`)).toEqual([
      'origin/main mirrored',
      'origin/stable/1 mirrored',
      'origin/stable/broken failed',
      'origin/main mirrored',
    ]);
    expect(first?.branches[0]?.leftOut.map(({ line }) => line)).toEqual([
      'https://example.org/x-1.0.tar.gz',
    ]);
    expect((await stage.run(mirrors, '--strict')).code).toBe(1);
  });

  it('asks for no file a second time, and says nothing when nothing fails', async () => {
    const stage = await mirrorStage();
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [alpha, delta], output: web/a }`);
    expect((await stage.run(mirrors)).code).toBe(0);
    expect(stage.upstream.count(FILES, 'GET')).toBeGreaterThan(3);
    stage.upstream.forget();
    const second = await stage.run(mirrors);
    expect([second.code, second.stdout, second.stderr]).toEqual([0, '', '']);
    expect(stage.upstream.count(FILES, 'GET')).toBe(0);
  });

  it('lists what people drop into its download folder, without asking git or an index', async () => {
    const stage = await mirrorStage();
    const { mirrors, release, tools } = await shop(stage);
    await stage.run(mirrors);
    const before = listed(release);
    const dropped = writeWheel({ name: 'foo', version: '1.0' });
    const folder = join(stage.folder, 'download/pip/tools');
    await writeFile(join(folder, dropped.filename), dropped.content);
    await writeFile(join(folder, 'http%3A%2F%2Fold%2Fbar-2.0.tar.gz'), 'sdist');
    await writeFile(join(folder, 'http%3A%2F%2Fold%2Fbar-2.0.tar.gz.content-type'), 'x');
    await rm(join(stage.folder, 'git'), { recursive: true });
    stage.upstream.forget();
    const result = await stage.run(mirrors, '--no-download');
    expect([result.code, result.stderr]).toEqual([0, '']);
    expect(stage.upstream.connections).toBe(0);
    expect(listed(release)).toEqual(before);
    expect(Object.keys(listed(tools))).toEqual(['bar', 'epsilon', 'foo']);
    expect(listed(distroOf(tools))['foo']).toEqual([dropped.filename]);
    expect(existsSync(join(tools, 'foo', `${dropped.filename}.metadata`))).toBe(true);
  });

  it('takes work trees as they are with --no-update, and follows them without', async () => {
    const stage = await mirrorStage();
    const project = await stage.repository('api');
    await project.commit('main', { 'requirements.txt': 'beta==1.0\n' });
    const mirrors = await stage.writeMirrors(`
  - { name: a, projects: [git/api], output: web/a, keep: listed }`);
    await stage.run(mirrors);
    const root = join(stage.folder, 'web/a');
    await project.commit('main', { 'requirements.txt': 'beta==1.5\n' });
    await stage.run(mirrors, '--no-update');
    expect(listed(root)['beta']).toEqual(['beta-1.0-py3-none-any.whl', 'beta-1.0.tar.gz']);
    await stage.run(mirrors);
    expect(listed(root)['beta']).toEqual(['beta-1.5-py3-none-any.whl', 'beta-1.5.tar.gz']);
    // Whoever has read the page before still finds its files.
    expect(existsSync(join(root, 'beta/beta-1.0.tar.gz'))).toBe(true);
    expect(existsSync(join(stage.folder, 'download/pip/a/beta-1.0.tar.gz'))).toBe(false);
  });

  it('keeps what a branch had when it fails later, even if only listed files are kept', async () => {
    const stage = await mirrorStage();
    const project = await stage.repository('api');
    await project.commit('main', { 'requirements.txt': 'beta==1.0\n' });
    const mirrors = await stage.writeMirrors(`
  - { name: a, projects: [git/api], packages: [delta], output: web/a, keep: listed }`);
    await stage.run(mirrors);
    await rm(project.folder, { recursive: true });
    const result = await stage.run(mirrors);
    expect(result.stderr).toContain('git fetch failed');
    expect(Object.keys(listed(join(stage.folder, 'web/a')))).toEqual(['beta', 'delta']);
  });

  it('does nothing with -n, no pip with --no-pip, and no index with --no-process', async () => {
    const stage = await mirrorStage();
    const project = await stage.repository('api');
    await project.commit('main', { 'requirements.txt': 'beta==1.0\n' });
    const mirrors = await stage.writeMirrors(`
  - { name: a, projects: [git/api], output: web/a }`);
    const plan = await stage.run(mirrors, '-n');
    expect(plan.stdout).toContain('git/api; read its requirement files of every branch');
    expect(readdirSync(stage.folder).toSorted()).toEqual(['git', 'mirror.yaml']);
    const withoutPip = await stage.run(mirrors, '--no-pip', '--no-process');
    expect(withoutPip.stderr).toContain('no pip command was run');
    expect(readdirSync(join(stage.folder, 'download/projects'))).toEqual(['api']);
    await stage.run(mirrors, '--no-process');
    expect(readdirSync(join(stage.folder, 'download/pip/a'))).toEqual(['beta-1.0.tar.gz']);
    expect(existsSync(join(stage.folder, 'web/a'))).toBe(false);
  });

  it('reads only the branch of -b and the files of -r, and exports what was resolved', async () => {
    const stage = await mirrorStage();
    const project = await stage.repository('api');
    await project.commit('main', { 'requirements.txt': 'delta\n', 'docs/req.txt': 'alpha==1.0\n' });
    await project.commit('other', { 'requirements.txt': 'epsilon\n' });
    const mirrors = await stage.writeMirrors(`
  - { name: a, projects: [git/api], output: web/a, lock: "locks/{branch}.txt" }`);
    const flags = ['-b', 'remotes/origin/main', '-r', 'docs/req.txt'];
    const result = await stage.run(mirrors, ...flags, '--export', 'out/{project}-{branch}.txt');
    expect([result.code, result.stderr]).toEqual([0, '']);
    expect(Object.keys(listed(join(stage.folder, 'web/a')))).toEqual(['alpha', 'beta']);
    const frozen = readFileSync(join(stage.folder, 'out/api-main.txt'), 'utf8');
    expect(frozen).toBe('alpha==1.0\nbeta==1.5\n');
    const lock = join(stage.folder, 'locks/main.txt');
    const python = await freshPython(stage);
    const indexUrl = pathToFileURL(join(stage.folder, 'web/a')).href;
    const args = ['--require-hashes', '-r', lock];
    const installed = await INSTALLERS[0]!.install({ python, indexUrl, args });
    expect(installed.code, wordsOf(installed)).toBe(0);
    expect(await installedIn(python)).toEqual(['alpha==1.0', 'beta==1.5']);
  });

  it('works from the cache alone when offline', async () => {
    const stage = await mirrorStage();
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [alpha], output: web/a }`);
    await stage.run(mirrors);
    await stage.upstream.down();
    const other = await stage.writeMirrors(`
  - { name: b, packages: [alpha], output: web/b }`);
    const result = await stage.run(other, '--offline');
    expect([result.code, result.stderr]).toEqual([0, '']);
    expect(listed(join(stage.folder, 'web/b'))).toEqual(listed(join(stage.folder, 'web/a')));
  });

  it('resolves for every Python and platform that is named', async () => {
    const native = (tag: string): ReturnType<typeof writeWheel> =>
      writeWheel({ name: 'native', version: '1.0', tag });
    const stage = await mirrorStage({
      native: [
        native('cp310-cp310-manylinux_2_17_x86_64'),
        native('cp312-cp312-manylinux_2_17_x86_64'),
        native('cp312-cp312-win_amd64'),
        native('cp312-cp312-macosx_11_0_arm64'),
      ],
    });
    const mirrors = await stage.writeMirrors(`
  - name: a
    packages: [native]
    python: ["3.10", "3.12"]
    platforms: [manylinux_2_28_x86_64]
    output: web/a
  - { name: b, packages: [native], python: ["3.12"], platforms: [win_amd64], output: web/b }`);
    const result = await stage.run(mirrors);
    expect([result.code, result.stderr]).toEqual([0, '']);
    const tagsOf = (root: string): string[] =>
      (listed(join(stage.folder, root))['native'] ?? []).map((name) => name.slice(11));
    expect(tagsOf('web/a')).toEqual([
      'cp310-cp310-manylinux_2_17_x86_64.whl',
      'cp312-cp312-manylinux_2_17_x86_64.whl',
    ]);
    expect(tagsOf('web/b')).toEqual(['cp312-cp312-win_amd64.whl']);
  });

  it('makes the second of two runs wait, or say that it cannot', async () => {
    const stage = await mirrorStage();
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [alpha], output: web/a }`);
    const free = stage.upstream.fault(/alpha-2\.0\.tar\.gz$/, { delayMs: 4_000 });
    const first = stage.run(mirrors);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const [second, third] = await Promise.all([
      stage.run(mirrors, '--wait', '100ms'),
      stage.run(mirrors),
    ]);
    free();
    expect((await first).code).toBe(0);
    expect(second.code).toBe(6);
    expect(second.stderr).toContain('Another run-mirror is at work');
    expect([third.code, third.stderr]).toEqual([0, expect.stringContaining('waiting')]);
  });
});

async function freshPython(stage: MirrorStage): Promise<string> {
  const name = `venv-${readdirSync(stage.folder).length}`;
  return (await makeVirtualEnvironment(join(stage.folder, name))).python;
}

describe('builds of run-mirror', () => {
  it('builds the wheel of an sdist that has none, and installs from it', async () => {
    const stage = await mirrorStage();
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [gamma-ray], output: web/a, legacy-names: true }`);
    const result = await stage.run(mirrors, '--json', ...BUILD_FLAGS);
    const [mirror] = reportOf(result).mirrors;
    expect(mirror?.problems, wordsOf(result)).toEqual([]);
    expect(mirror?.branches[0]?.built).toEqual(['gamma_ray-0.3-py3-none-any.whl']);
    const root = join(stage.folder, 'web/a');
    expect(listed(root)['gamma-ray']).toEqual([
      'gamma_ray-0.3-py3-none-any.whl',
      'gamma_ray-0.3.tar.gz',
    ]);
    expect(lstatSync(join(root, 'gamma_ray')).isSymbolicLink()).toBe(true);
    const again = await stage.run(mirrors, '--json', ...BUILD_FLAGS);
    expect(reportOf(again).mirrors[0]?.branches[0]?.built).toEqual([]);
    const python = await freshPython(stage);
    const args = ['--only-binary', ':all:', 'gamma-ray'];
    const indexUrl = pathToFileURL(root).href;
    const installed = await INSTALLERS[1]!.install({ python, indexUrl, args });
    expect(installed.code, wordsOf(installed)).toBe(0);
  });

  it.runIf(process.getuid?.() === 0)(
    'refuses to build as root, and mirrors nothing for it',
    async () => {
      const stage = await mirrorStage();
      const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [delta], output: web/a, wheels: build }`);
      const refused = await stage.run(mirrors, '--strict');
      expect(refused.stderr).toContain('Building as root is refused');
      expect(refused.code).not.toBe(0);
      const allowed = await stage.run(mirrors, '--allow-root-builds', '--strict');
      expect([allowed.code, wordsOf(allowed)]).toEqual([0, '\n']);
    },
  );
});

describe('into the cache folder itself', () => {
  it('adds the set, keeps it from eviction, and writes the index of the distribution beside it', async () => {
    const stage = await mirrorStage();
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [gamma-ray, delta], output: cache/mirror }`);
    const dropped = writeWheel({ name: 'foo', version: '1.0', tag: 'py3-none-linux_x86_64' });
    await mkdir(join(stage.folder, 'download/pip/a'), { recursive: true });
    await writeFile(join(stage.folder, 'download/pip/a', dropped.filename), dropped.content);
    const result = await stage.run(mirrors, '--json', ...BUILD_FLAGS);
    expect(reportOf(result).mirrors[0]).toMatchObject({ isLive: true, problems: [] });
    const mirrorDir = join(stage.cacheDir, 'mirror');
    expect(Object.keys(listed(mirrorDir))).toEqual(['beta', 'delta', 'gamma-ray']);
    expect(Object.keys(listed(distroOf(mirrorDir)))).toEqual(['beta', 'delta', 'foo', 'gamma-ray']);

    const verb = async (...args: readonly string[]): Promise<CommandResult> =>
      await runCommand(
        process.execPath,
        [join(import.meta.dirname, '../../bin/wheelcellar.js'), ...args],
        {
          env: { ...stage.env, WHEELCELLAR_LOG_LEVEL: 'error' },
        },
      );
    await verb('gc', '--max-size', '1KB');
    const verified = await verb('verify', '--rebuild', '--index-url', stage.upstream.indexUrl);
    expect(verified.stdout, wordsOf(verified)).toContain('all is well');
    await stage.upstream.down();
    for (const index of [mirrorDir, distroOf(mirrorDir)]) {
      for (const { install } of INSTALLERS) {
        const python = await freshPython(stage);
        const args = ['--only-binary', ':all:', 'gamma-ray', 'delta'];
        const installed = await install({ python, indexUrl: pathToFileURL(index).href, args });
        expect(installed.code, wordsOf(installed)).toBe(0);
        expect(await installedIn(python)).toEqual(['beta==1.0', 'delta==4.0', 'gamma-ray==0.3']);
      }
    }
    expect(Object.keys(listed(mirrorDir))).toEqual(['beta', 'delta', 'gamma-ray']);
  });
});

describe('the trees of run-mirror', () => {
  it('lets pip and uv take every listed file over file://, also as the pypi element mounts it', async () => {
    const stage = await mirrorStage();
    const { mirrors, release } = await shop(stage);
    await stage.run(mirrors);
    const indexUrl = pathToFileURL(release).href;
    const python = await freshPython(stage);
    for (const [project, files] of Object.entries(listed(release))) {
      for (const filename of files) {
        const version = /-(\d[^-]*?)(?:-py3|\.tar)/.exec(filename)?.[1] ?? '';
        const kind = filename.endsWith('.whl') ? '--only-binary' : '--no-binary';
        const to = join(stage.folder, 'got');
        const args = [
          '-m',
          'pip',
          'download',
          '--no-deps',
          '--no-cache-dir',
          '-q',
          '-d',
          to,
          '-i',
          indexUrl,
        ];
        const result = await runCommand(
          join(import.meta.dirname, '../.clients/current/bin/python'),
          [...args, kind, ':all:', `${project}==${version}`],
          { env: { ...stage.env, PIP_CONFIG_FILE: '/dev/null' } },
        );
        expect(result.code, wordsOf(result)).toBe(0);
        expect(readdirSync(to)).toContain(filename);
      }
    }
    const element = [`--extra-index-url=${indexUrl}`, 'alpha', 'delta'];
    const distro = pathToFileURL(distroOf(release)).href;
    const installed = await INSTALLERS[0]!.install({ python, indexUrl: distro, args: element });
    expect(installed.code, wordsOf(installed)).toBe(0);
    expect(await installedIn(python)).toEqual(['alpha==2.0', 'beta==1.5', 'delta==4.0']);
  });

  it('updates a folder that is there in place, and leaves what is not its own', async () => {
    const stage = await mirrorStage();
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [beta], output: web/a }`);
    const root = join(stage.folder, 'web/a');
    await mkdir(join(root, 'beta'), { recursive: true });
    await writeFile(join(root, 'robots.txt'), 'mine');
    // A file of that name with other bytes is never replaced: somebody may be reading it.
    await writeFile(join(root, 'beta/beta-1.5.tar.gz'), 'other bytes');
    expect((await stage.run(mirrors)).code).toBe(0);
    expect(lstatSync(root).isDirectory()).toBe(true);
    expect(readFileSync(join(root, 'robots.txt'), 'utf8')).toBe('mine');
    expect(readFileSync(join(root, 'beta/beta-1.5.tar.gz'), 'utf8')).toBe('other bytes');
    const url = pageOf(root, 'beta').files.find(({ filename }) => filename.endsWith('.gz'))?.url;
    expect(url).toMatch(/^[0-9a-f]{16}\/beta-1\.5\.tar\.gz$/);
    await copyFile(join(root, 'beta', url ?? ''), join(stage.folder, 'copy'));
  });

  it('swaps a link to a new tree, and keeps what another machine wrote into the old one', async () => {
    const stage = await mirrorStage();
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [beta], output: web/a }`);
    const root = join(stage.folder, 'web/a');
    await stage.run(mirrors);
    expect(lstatSync(root).isSymbolicLink()).toBe(true);
    await mkdir(join(root, 'Ubuntu-24.04/beta'), { recursive: true });
    await writeFile(join(root, 'Ubuntu-24.04/beta/index.html'), 'theirs');
    const before = readFileSync(join(root, 'index.html'), 'utf8');
    await stage.run(mirrors);
    expect(readFileSync(join(root, 'Ubuntu-24.04/beta/index.html'), 'utf8')).toBe('theirs');
    expect(readdirSync(join(stage.folder, 'web/.a.trees'))).toHaveLength(2);
    for (const word of [/Last update: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/, /1 projects/])
      expect(before).toMatch(word);
    expect(readFileSync(join(root, 'full.html'), 'utf8')).toMatch(
      /href="beta\/beta-1\.5\.tar\.gz#sha256=[0-9a-f]{64}"/,
    );
  });
});
