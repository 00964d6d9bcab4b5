import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { INSTALLED } from './projects.ts';
import { describeClient, installedAt, runClient, setStage, sitePackages } from './stage.ts';
import {
  expectInstalled,
  itChecksHashes,
  itInstalls,
  itReadsMetadataOnItsOwn,
  runOn,
} from './suite.ts';
import type { Installer } from './suite.ts';

/** `pdm lock` and `pdm sync` of a project whose only index is the mirror. */
function pdmInstall(...lockFlags: readonly string[]): Installer {
  return async ({ client, indexUrl, requirements, folder, cachePath }) => {
    const project = [
      '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.8,<4"',
      `dependencies = ${JSON.stringify(requirements)}`,
      '[tool.pdm]\ndistribution = false',
      `[[tool.pdm.source]]\nname = "pypi"\nurl = "${indexUrl}"\n`,
    ];
    await writeFile(join(folder, 'pyproject.toml'), project.join('\n'));
    const env = { PDM_CACHE_DIR: cachePath, PDM_CHECK_UPDATE: 'false' };
    const python = join(client.binPath, 'python');
    await runClient(client, python, ['-m', 'venv', '--without-pip', '.venv'], folder);
    const lock = await runClient(client, 'pdm', ['lock', ...lockFlags], folder, env);
    const sync =
      lock.code === 0 ? await runClient(client, 'pdm', ['sync', '--no-self'], folder, env) : lock;
    const installed = await installedAt(await sitePackages(join(folder, '.venv')));
    return { code: sync.code, words: `${lock.words}\n${sync.words}`, installed };
  };
}

describeClient('pdm', (client) => {
  itInstalls(client, {
    install: pdmInstall(),
    sdist: 'source==0.3',
    takesMetadata: true,
    keeps: { pages: true, files: true },
  });

  itReadsMetadataOnItsOwn(client, pdmInstall());

  itChecksHashes(client, 'pdm.lock', async (stage) => {
    const folder = await stage.freshFolder();
    const run = await runOn(stage, client, pdmInstall(), { folder });
    const lock = await readFile(join(folder, 'pdm.lock'), 'utf8');
    const files = lock.split('\n').filter((line) => line.includes('{file = '));
    expect(files.length).toBeGreaterThanOrEqual(INSTALLED.length);
    for (const line of files) expect(line).toMatch(/hash = "sha256:[0-9a-f]{64}"/);
    return run;
  });

  it.each([
    ['a page with upload times', {}],
    ['an HTML page with upload times and no more', { mode: 'html', legacyJson: false } as const],
  ])('leaves newer versions out by %s (exclude-newer)', async (_words, upstream) => {
    const stage = await setStage({ upstream });
    const install = pdmInstall('--exclude-newer', '2024-06-01');
    const run = await runOn(stage, client, install, { requirements: ['dated'] });
    expectInstalled(run, ['dated==1.0']);
  });

  it('sends its credentials with every page and file', async () => {
    const stage = await setStage({ credentials: { username: 'jane', password: 's3cret' } });
    const indexUrl = stage.recorder.indexUrl.replace('//', '//jane:s3cret@');
    expectInstalled(await runOn(stage, client, pdmInstall(), { indexUrl }), INSTALLED);
  });
});
