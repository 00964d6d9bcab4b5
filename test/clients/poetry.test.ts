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

/** `poetry install`, which locks first, of a project whose only index is the mirror. */
const poetryInstall: Installer = async ({ client, indexUrl, requirements, folder, cachePath }) => {
  const project = [
    '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.8,<4"',
    `dependencies = ${JSON.stringify(requirements)}`,
    '[tool.poetry]\npackage-mode = false',
    `[[tool.poetry.source]]\nname = "mirror"\nurl = "${indexUrl}"\npriority = "primary"\n`,
  ];
  await writeFile(join(folder, 'pyproject.toml'), project.join('\n'));
  const env = {
    POETRY_CACHE_DIR: cachePath,
    POETRY_CONFIG_DIR: join(folder, 'config'),
    POETRY_VIRTUALENVS_IN_PROJECT: 'true',
    POETRY_NO_INTERACTION: '1',
    POETRY_KEYRING_ENABLED: 'false',
  };
  const run = await runClient(client, 'poetry', ['install'], folder, env);
  const installed = await installedAt(await sitePackages(join(folder, '.venv')));
  return { ...run, installed };
};

describeClient('poetry', (client) => {
  itInstalls(client, {
    install: poetryInstall,
    sdist: 'source==0.3',
    takesMetadata: true,
    keeps: { pages: true, files: true },
  });

  itReadsMetadataOnItsOwn(client, poetryInstall);

  itChecksHashes(client, 'poetry.lock', async (stage) => {
    const folder = await stage.freshFolder();
    const run = await runOn(stage, client, poetryInstall, { folder });
    const lock = await readFile(join(folder, 'poetry.lock'), 'utf8');
    const files = lock.split('\n').filter((line) => line.includes('{file = '));
    expect(files.length).toBeGreaterThanOrEqual(INSTALLED.length);
    for (const line of files) expect(line).toMatch(/hash = "sha256:[0-9a-f]{64}"/);
    return run;
  });

  it('sends its credentials with every page and file', async () => {
    const stage = await setStage({ credentials: { username: 'jane', password: 's3cret' } });
    const indexUrl = stage.recorder.indexUrl.replace('//', '//jane:s3cret@');
    expectInstalled(await runOn(stage, client, poetryInstall, { indexUrl }), INSTALLED);
  });
});
