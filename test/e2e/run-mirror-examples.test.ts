/** What `docs/run-mirror.md` shows, from the file to the installed package. */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import { BUILD_FLAGS, RUN_MIRROR, mirrorStage, smallIndex } from '../support/mirror-run.ts';
import type { MirrorStage } from '../support/mirror-run.ts';
import { freePort, missingNginx, startNginx } from '../support/nginx.ts';
import { installedIn, makeVirtualEnvironment, pythonClients } from '../support/python-clients.ts';
import { runCommand } from '../support/run-command.ts';
import { sourceProject } from '../support/source-project.ts';
import { writeTarGz } from '../support/tar-writer.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import type { WrittenFile } from '../support/wheel-writer.ts';
import { writeZip } from '../support/zip-writer.ts';
import { INSTALLERS, wordsOf } from './stage.ts';

const MISSING_NGINX = missingNginx();

/** Every file below a folder that people and pip look at, sorted. */
function treeOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => !/\.(?:json|metadata)$/.test(path))
    .filter((path) => statSync(join(folder, path)).isFile())
    .toSorted();
}

/** An sdist with a name as it was written before PEP 625, whose wheel holds on this system only. */
function compiledSdist(): WrittenFile {
  const tag = 'py3-none-linux_x86_64';
  const files = {
    ...sourceProject({ name: 'markupsafe', version: '2.1.5', tag }),
    'PKG-INFO': 'Metadata-Version: 2.1\nName: MarkupSafe\nVersion: 2.1.5\n',
  };
  const content = writeTarGz(
    Object.entries(files).map(([path, text]) => ({
      path: `MarkupSafe-2.1.5/${path}`,
      content: Buffer.from(text),
    })),
  );
  const sha256 = createHash('sha256').update(content).digest('hex');
  return { filename: 'MarkupSafe-2.1.5.tar.gz', content, sha256 };
}

function both(name: string, version: string): WrittenFile[] {
  return [writeSdist({ name, version }), writeWheel({ name, version })];
}

async function freshPython(stage: MirrorStage): Promise<string> {
  const name = `venv-${readdirSync(stage.folder).length}`;
  return (await makeVirtualEnvironment(join(stage.folder, name))).python;
}

describe('the mirror for image builds', () => {
  it('has the tree of the old tool, and installs as the pypi element points to it', async () => {
    const stage = await mirrorStage({
      six: both('six', '1.16.0'),
      docopt: both('docopt', '0.6.2'),
      markupsafe: [compiledSdist()],
      pip: both('pip', '26.0'),
      setuptools: both('setuptools', '80.0'),
      wheel: both('wheel', '0.45'),
    });
    const repository = await stage.repository('requirements');
    await repository.commit('main', { README: 'nothing' });
    await repository.commit('master', {
      'global-requirements.txt': 'six==1.16.0\ndocopt==0.6.2\nMarkupSafe==2.1.5\n',
      'requirements.txt': 'not-read\n',
    });
    const mirrors = await stage.writeMirrors(`
  - { name: platform, projects: [git/requirements], output: mirror, wheels: build }`);
    const flags = ['-b', 'remotes/origin/master', '--strict', ...BUILD_FLAGS];
    const result = await stage.run(mirrors, ...flags);
    expect(result.code, wordsOf(result)).toBe(0);
    const sdists = [
      'MarkupSafe-2.1.5',
      'docopt-0.6.2',
      'pip-26.0',
      'setuptools-80.0',
      'six-1.16.0',
    ];
    expect(treeOf(join(stage.folder, 'download/pip/platform'))).toEqual(
      [...sdists, 'wheel-0.45'].map((name) => `${name}.tar.gz`),
    );
    const pure = ['docopt-0.6.2', 'pip-26.0', 'setuptools-80.0', 'six-1.16.0', 'wheel-0.45'];
    const compiled = 'markupsafe-2.1.5-py3-none-linux_x86_64.whl';
    const wheelOf = (name: string): string => `${name}-py3-none-any.whl`;
    expect(treeOf(join(stage.folder, 'download/wheelhouse/platform'))).toEqual(
      [...pure.map(wheelOf), compiled].toSorted(),
    );
    const root = join(stage.folder, 'mirror');
    const distro = readdirSync(root).find((name) => /^[A-Z]\w*-/.test(name)) ?? 'none';
    const projectOf = (name: string): string => name.replace(/-\d.*/, '').toLowerCase();
    const page = (name: string): string => `${projectOf(name)}/index.html`;
    const own = [
      'full.html',
      'index.html',
      ...[...pure, compiled].flatMap((name) => [
        page(name),
        `${projectOf(name)}/${name === compiled ? name : wheelOf(name)}`,
      ]),
    ].map((path) => `${distro}/${path}`);
    const main = [
      'full.html',
      'index.html',
      ...[...pure, 'MarkupSafe-2.1.5'].flatMap((name) => [
        page(name),
        `${projectOf(name)}/${name}.tar.gz`,
      ]),
      ...pure.map((name) => `${projectOf(name)}/${wheelOf(name)}`),
    ];
    expect(treeOf(root)).toEqual([...own, ...main].toSorted());
    const six = readFileSync(
      join(stage.folder, 'download/wheelhouse/platform', wheelOf('six-1.16.0')),
    );
    expect(six.includes('self-backend'), 'built here').toBe(true);
    const python = await freshPython(stage);
    const indexUrl = pathToFileURL(join(root, distro)).href;
    const args = [`--extra-index-url=${pathToFileURL(root).href}`, '--only-binary', ':all:'];
    const wanted = ['six', 'docopt', 'MarkupSafe'];
    const installed = await INSTALLERS[0]!.install({
      python,
      indexUrl,
      args: [...args, ...wanted],
    });
    expect(installed.code, wordsOf(installed)).toBe(0);
    expect(await installedIn(python)).toEqual([
      'docopt==0.6.2',
      'markupsafe==2.1.5',
      'six==1.16.0',
    ]);
  });
});

describe('what a mirror is made of', () => {
  it('is within the constraints, and its pylock.toml is one that uv installs', async () => {
    const stage = await mirrorStage();
    const project = await stage.repository('api');
    await project.commit('main', {
      'requirements.txt': 'alpha\n-c limits.txt\n',
      'limits.txt': 'alpha<2\nepsilon==1.0\n',
    });
    const mirrors = await stage.writeMirrors(`
  - { name: a, projects: [git/api], output: web/a, lock: "locks/pylock.{branch}.toml" }`);
    const result = await stage.run(mirrors, '--strict');
    expect(result.code, wordsOf(result)).toBe(0);
    const lock = join(stage.folder, 'locks/pylock.main.toml');
    const [, alpha] = smallIndex()['alpha'] ?? [];
    expect(readFileSync(lock, 'utf8')).toContain(alpha?.sha256);
    const python = await freshPython(stage);
    const args = ['-r', lock, '--preview'];
    const { indexUrl } = stage.upstream;
    const installed = await INSTALLERS[1]!.install({ python, indexUrl, args });
    expect(installed.code, wordsOf(installed)).toBe(0);
    expect(await installedIn(python)).toEqual(['alpha==1.0', 'beta==1.5']);
  });

  it('comes from the index that its url or its upstream names before the others', async () => {
    const stage = await mirrorStage();
    const theirs = { epsilon: both('epsilon', '9.0') };
    const other = await startFakeUpstream({ projects: theirs });
    onTestFinished(() => other.close());
    const settings = join(stage.folder, 'settings.yaml');
    const upstreams = [
      `- { name: first, url: "${stage.upstream.indexUrl}" }`,
      `- { name: second, url: "${other.indexUrl}" }`,
    ];
    await writeFile(settings, ['upstreams:', ...upstreams.map((line) => `  ${line}`)].join('\n'));
    const mirrors = await stage.writeMirrors(`
  - { name: plain, packages: [epsilon], output: web/plain }
  - { name: url, packages: [epsilon, delta], output: web/url, url: "${other.indexUrl}" }
  - { name: named, packages: [epsilon, delta], output: web/named, upstream: second }
  - { name: wrong, packages: [epsilon], output: web/wrong, upstream: third }`);
    const args = [RUN_MIRROR, '-c', mirrors, '--settings', settings];
    const result = await runCommand(process.execPath, args, { env: stage.env, cwd: stage.folder });
    expect(result.code).toBe(2);
    expect(result.stderr).toContain('there is no upstream third; configured are first, second');
    const files = (name: string): string[] =>
      treeOf(join(stage.folder, 'web', name)).filter((path) =>
        /^[^/]*\/[^/]*\.tar\.gz$/.test(path),
      );
    expect(files('plain')).toEqual(['epsilon/epsilon-1.0.tar.gz']);
    expect(files('url')).toEqual(['epsilon/epsilon-9.0.tar.gz']);
    expect(files('named')).toEqual(['epsilon/epsilon-9.0.tar.gz']);
    expect(treeOf(join(stage.folder, 'web/url'))).toContain('delta/delta-4.0-py3-none-any.whl');
  });

  it('is resolved by the uv of the index where none is on the PATH', async () => {
    const info = 'uv-0.99.dist-info';
    const metadata = 'Metadata-Version: 2.1\nName: uv\nVersion: 0.99\n';
    const asked = `#!/bin/sh\necho "$1" >> NOTE\nexec ${pythonClients.uv} "$@"\n`;
    const stage = await mirrorStage();
    const note = join(stage.folder, 'asked');
    const members = Object.entries({
      'uv-0.99.data/scripts/uv': asked.replace('NOTE', `"${note}"`),
      [`${info}/METADATA`]: metadata,
      [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nTag: py3-none-any\n',
      [`${info}/RECORD`]: '',
    }).map(([path, text]) => ({ path, content: Buffer.from(text) }));
    stage.upstream.setProject('uv', [
      { filename: 'uv-0.99-py3-none-any.whl', content: writeZip(members), metadata },
    ]);
    const bin = join(stage.folder, 'bin');
    await mkdir(bin);
    await symlink(pythonClients.python, join(bin, 'python3'));
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [alpha], output: web/a, wheels: none }`);
    const result = await stage.runWith({ PATH: bin }, mirrors, '--strict');
    expect(result.code, wordsOf(result)).toBe(0);
    expect(readFileSync(note, 'utf8')).toContain('pip');
    const none = await stage.runWith({ PATH: '/nowhere' }, mirrors);
    expect(none.code, wordsOf(none)).toBe(2);
  });
});

describe.skipIf(MISSING_NGINX !== null)(
  `a mirror behind nginx (${MISSING_NGINX ?? 'here'})`,
  () => {
    it('is an index that pip and uv install from, names with a plus included', async () => {
      const stage = await mirrorStage();
      const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [alpha], output: web/a }`);
      const plus = writeWheel({ name: 'plus', version: '1.0+cpu' });
      await mkdir(join(stage.folder, 'download/pip/a'), { recursive: true });
      await writeFile(join(stage.folder, 'download/pip/a', plus.filename), plus.content);
      const result = await stage.run(mirrors, '--strict');
      expect(result.code, wordsOf(result)).toBe(0);
      await stage.upstream.down();
      await chmod(stage.folder, 0o755);
      const port = await freePort();
      const text = `events {}
http {
  types { text/html html; application/json json; }
  default_type application/octet-stream;
  server { listen 127.0.0.1:${port}; root ${join(stage.folder, 'web/a')}; index index.html; }
}
`;
      const origin = await startNginx(text, join(stage.folder, 'nginx'), port);
      for (const { install } of INSTALLERS) {
        const python = await freshPython(stage);
        const args = ['alpha', 'plus'];
        const installed = await install({ python, indexUrl: `${origin}/`, args });
        expect(installed.code, wordsOf(installed)).toBe(0);
        expect(await installedIn(python)).toEqual(['alpha==2.0', 'beta==1.5', 'plus==1.0+cpu']);
      }
    });
  },
);
