import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe } from 'vitest';
import { describeClient, installedAt, runClient, sitePackages } from './stage.ts';
import { itInstalls, itReadsMetadataOnItsOwn } from './suite.ts';
import type { Installer } from './suite.ts';

/** `hatch env create` of a project that has only dependencies, with the installer that hatch is told to use. */
function hatchInstall(installer: 'pip' | 'uv'): Installer {
  return async ({ client, indexUrl, requirements, folder, cachePath }) => {
    const project = [
      '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.8,<4"',
      '[tool.hatch.envs.default]\nskip-install = true\npath = ".venv"',
      `installer = "${installer}"\ndependencies = ${JSON.stringify(requirements)}\n`,
    ];
    await writeFile(join(folder, 'pyproject.toml'), project.join('\n'));
    const env = {
      PIP_INDEX_URL: indexUrl,
      PIP_TRUSTED_HOST: '127.0.0.1',
      PIP_CACHE_DIR: join(cachePath, 'pip'),
      UV_DEFAULT_INDEX: indexUrl,
      UV_CACHE_DIR: join(cachePath, 'uv'),
      HATCH_DATA_DIR: join(folder, 'data'),
      HATCH_CACHE_DIR: join(cachePath, 'hatch'),
      HATCH_CONFIG: join(folder, 'hatch.toml'),
      HATCH_PYTHON: join(client.binPath, 'python'),
      // Naming a uv makes hatch use it, whatever the project says.
      ...(installer === 'uv' ? { HATCH_ENV_TYPE_VIRTUAL_UV_PATH: join(client.binPath, 'uv') } : {}),
    };
    await writeFile(env.HATCH_CONFIG, '');
    const run = await runClient(client, 'hatch', ['env', 'create'], folder, env);
    const installed = await installedAt(await sitePackages(join(folder, '.venv')));
    return { ...run, installed };
  };
}

describeClient('hatch', (client) => {
  describe.each(['pip', 'uv'] as const)('with %s', (installer) => {
    const shown = { ...client, version: `${client.version} with ${installer}` };
    itInstalls(shown, {
      install: hatchInstall(installer),
      sdist: 'source==0.3',
      takesMetadata: true,
      keeps: { pages: true, files: true },
      reports: { hashed: 'has no such mode' },
    });

    itReadsMetadataOnItsOwn(shown, hatchInstall(installer));
  });
});
