import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import { writeWheel } from '../support/wheel-writer.ts';
import { uvPipInstall } from './installers.ts';
import { INSTALLED, hashedRequirements } from './projects.ts';
import { describeClient, installedAt, isFile, runClient, setStage, sitePackages } from './stage.ts';
import {
  expectInstalled,
  itChecksHashes,
  itInstalls,
  itReadsMetadataOnItsOwn,
  runOn,
} from './suite.ts';
import type { Installer } from './suite.ts';

/** `uv lock` and `uv sync --locked` of a project; the lock file stays in the folder. */
function uvProject(...lockFlags: readonly string[]): Installer {
  return async ({ client, indexUrl, requirements, folder, cachePath }) => {
    const project = [
      '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.8,<4"',
      `dependencies = ${JSON.stringify(requirements)}`,
      `[[tool.uv.index]]\nname = "mirror"\nurl = "${indexUrl}"\ndefault = true`,
      '[tool.uv]\npackage = false\n',
    ];
    await writeFile(join(folder, 'pyproject.toml'), project.join('\n'));
    const env = { UV_CACHE_DIR: cachePath };
    const python = ['--python', join(client.binPath, 'python')];
    const lock = await runClient(client, 'uv', ['lock', ...python, ...lockFlags], folder, env);
    const args = ['sync', '--locked', ...python, ...lockFlags];
    const sync = lock.code === 0 ? await runClient(client, 'uv', args, folder, env) : lock;
    const installed = await installedAt(await sitePackages(join(folder, '.venv')));
    return { code: sync.code, words: `${lock.words}\n${sync.words}`, installed };
  };
}

describeClient('uv', (client) => {
  itInstalls(client, {
    install: uvPipInstall(),
    sdist: 'source==0.3',
    takesMetadata: true,
    keeps: { pages: true, files: true },
  });

  itReadsMetadataOnItsOwn(client, uvPipInstall());

  itChecksHashes(client, '--require-hashes', async (stage) => {
    const lock = join(stage.folder, 'requirements.txt');
    await writeFile(lock, hashedRequirements(stage.projects, INSTALLED));
    return runOn(stage, client, uvPipInstall(), { requirements: ['--require-hashes', '-r', lock] });
  });

  it('locks a project, with digests and sizes, and syncs from the lock', async () => {
    const stage = await setStage();
    const folder = await stage.freshFolder();
    expectInstalled(await runOn(stage, client, uvProject(), { folder }), INSTALLED);
    const lock = await readFile(join(folder, 'uv.lock'), 'utf8');
    const files = lock.split('\n').filter((line) => line.includes('url = '));
    expect(files.length).toBeGreaterThanOrEqual(INSTALLED.length);
    for (const line of files) {
      expect(line).toMatch(/hash = "sha256:[0-9a-f]{64}"/);
      expect(line).toMatch(/size = \d+/);
      expect(line).toMatch(/upload-time = "20/);
    }
  });

  it.each([
    ['a page with upload times', {}],
    ['an HTML page with upload times and no more', { mode: 'html', legacyJson: false } as const],
  ])('leaves newer versions out by %s (exclude-newer)', async (_words, upstream) => {
    const stage = await setStage({ upstream });
    const requirements = ['dated'];
    const all = await runOn(stage, client, uvPipInstall(), { requirements });
    expectInstalled(all, ['dated==2.0']);
    const flags = ['--exclude-newer', '2024-06-01T00:00:00Z'];
    const older = await runOn(stage, client, uvPipInstall(...flags), { requirements });
    expectInstalled(older, ['dated==1.0']);
    const locked = await runOn(stage, client, uvProject(...flags), { requirements });
    expectInstalled(locked, ['dated==1.0']);
  });

  it('goes on to the next index when the mirror does not know a project', async () => {
    const stage = await setStage();
    const other = await startFakeUpstream({
      projects: { elsewhere: [writeWheel({ name: 'elsewhere', version: '1.0' })] },
    });
    onTestFinished(() => other.close());
    const requirements = ['elsewhere', 'alpha'];
    const { indexUrl } = stage.recorder;
    for (const flags of [[], ['--offline']]) {
      if (flags.length > 0) await stage.restart(...flags);
      // uv asks --index first and the default index last.
      const install = uvPipInstall('--index', indexUrl);
      const run = await runOn(stage, client, install, { requirements, indexUrl: other.indexUrl });
      expectInstalled(run, ['alpha==1.0', 'beta==1.0', 'elsewhere==1.0']);
    }
  });

  it('sends its credentials with every page and file', async () => {
    const stage = await setStage({ credentials: { username: 'jane', password: 's3cret' } });
    const indexUrl = stage.recorder.indexUrl.replace('//', '//jane:s3cret@');
    expectInstalled(await runOn(stage, client, uvPipInstall(), { indexUrl }), INSTALLED);
    expect(stage.recorder.exchanges.filter(({ status }) => status === 401)).toEqual([]);
  });

  it('leaves the plus of a local version as it is', async () => {
    const stage = await setStage();
    const run = await runOn(stage, client, uvPipInstall(), { requirements: ['cpuish'] });
    expectInstalled(run, ['cpuish==1.0+cpu']);
    const paths = stage.recorder.exchanges.filter(isFile).map(({ path }) => path);
    expect(paths.length).toBeGreaterThan(0);
    for (const path of paths) expect(path).toMatch(/cpuish-1\.0(\+|%2B)cpu-/);
  });
});
