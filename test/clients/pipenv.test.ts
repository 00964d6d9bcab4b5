import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { INSTALLED } from './projects.ts';
import { describeClient, installedAt, runClient, sitePackages } from './stage.ts';
import { itChecksHashes, itInstalls, itReadsMetadataOnItsOwn, runOn } from './suite.ts';
import type { Installer } from './suite.ts';

/** `pipenv lock` and `pipenv sync` of a project whose only index is the mirror. */
const pipenvInstall: Installer = async ({ client, indexUrl, requirements, folder, cachePath }) => {
  const pipfile = [
    `[[source]]\nname = "mirror"\nurl = "${indexUrl}"\nverify_ssl = false\n`,
    '[packages]',
    ...requirements.map((name) => `"${name}" = "*"`),
  ];
  await writeFile(join(folder, 'Pipfile'), `${pipfile.join('\n')}\n`);
  const env = {
    PIPENV_CACHE_DIR: cachePath,
    PIP_CACHE_DIR: cachePath,
    PIPENV_VENV_IN_PROJECT: '1',
    PIPENV_PYTHON: join(client.binPath, 'python'),
    PIPENV_IGNORE_VIRTUALENVS: '1',
    PIPENV_NOSPIN: '1',
    PIPENV_YES: '1',
  };
  const lock = await runClient(client, 'pipenv', ['lock'], folder, env);
  const sync = lock.code === 0 ? await runClient(client, 'pipenv', ['sync'], folder, env) : lock;
  const installed = await installedAt(await sitePackages(join(folder, '.venv')));
  return { code: sync.code, words: `${lock.words}\n${sync.words}`, installed };
};

describeClient('pipenv', (client) => {
  itInstalls(client, {
    install: pipenvInstall,
    sdist: 'source==0.3',
    takesMetadata: true,
    keeps: { pages: false, files: true },
  });

  itReadsMetadataOnItsOwn(client, pipenvInstall);

  itChecksHashes(client, 'Pipfile.lock', async (stage) => {
    const folder = await stage.freshFolder();
    const run = await runOn(stage, client, pipenvInstall, { folder });
    const lock = JSON.parse(await readFile(join(folder, 'Pipfile.lock'), 'utf8')) as {
      readonly default: Readonly<Record<string, { readonly hashes?: readonly string[] }>>;
    };
    expect(Object.keys(lock.default)).toHaveLength(INSTALLED.length);
    for (const { hashes } of Object.values(lock.default)) {
      expect(hashes).toContainEqual(expect.stringMatching(/^sha256:[0-9a-f]{64}$/));
    }
    // To collect hashes it doubles the slash before names.
    const doubled = stage.recorder.exchanges.filter(({ path }) => path.startsWith('/simple//'));
    expect(doubled.length).toBeGreaterThan(0);
    for (const { path, status } of doubled) expect([200, 304], path).toContain(status);
    return run;
  });
});
