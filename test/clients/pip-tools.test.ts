import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { sha256Of } from '../support/fake-upstream.ts';
import { describeClient, installedAt, isFile, runClient, setStage } from './stage.ts';
import {
  expectInstalled,
  itChecksHashes,
  itInstalls,
  itReadsMetadataOnItsOwn,
  runOn,
} from './suite.ts';
import type { Installer } from './suite.ts';

/** `pip-compile`, and what it wrote installed by its own pip. */
function pipCompile(...flags: readonly string[]): Installer {
  return async ({ client, indexUrl, requirements, folder, cachePath }) => {
    await writeFile(join(folder, 'requirements.in'), `${requirements.join('\n')}\n`);
    const settings = ['--index-url', indexUrl, '--trusted-host', '127.0.0.1'];
    const compile = await runClient(
      client,
      'pip-compile',
      [...settings, '--cache-dir', join(cachePath, 'pip-tools'), '--no-config', ...flags],
      folder,
      { PIP_CACHE_DIR: join(cachePath, 'pip') },
    );
    if (compile.code !== 0) return { ...compile, installed: [] };
    const target = join(folder, 'target');
    const args = ['-m', 'pip', '--cache-dir', join(cachePath, 'pip'), 'install', '--no-compile'];
    const rest = [...settings, '--target', target, '-r', 'requirements.txt'];
    const install = await runClient(client, 'python', [...args, ...rest], folder);
    const installed = await installedAt(target);
    return { code: install.code, words: `${compile.words}\n${install.words}`, installed };
  };
}

describeClient('pip-tools', (client) => {
  itInstalls(client, {
    install: pipCompile(),
    sdist: 'source==0.3',
    takesMetadata: true,
    keeps: { pages: true, files: true },
  });

  itReadsMetadataOnItsOwn(client, pipCompile());

  itChecksHashes(client, '--generate-hashes', (stage) =>
    runOn(stage, client, pipCompile('--generate-hashes')),
  );

  it('takes the digests for a lock from the legacy JSON, not from downloads', async () => {
    const stage = await setStage();
    const { recorder, projects } = stage;
    const folder = await stage.freshFolder();
    const run = await runOn(stage, client, pipCompile('--generate-hashes'), {
      folder,
      requirements: ['alpha'],
    });
    expectInstalled(run, ['alpha==1.0', 'beta==1.0']);
    const lock = await readFile(join(folder, 'requirements.txt'), 'utf8');
    const files = [...projects['alpha']!, ...projects['beta']!];
    for (const { content } of files) expect(lock).toContain(sha256Of(content));
    const documents = recorder.exchanges.filter(({ path }) => path.endsWith('/json'));
    expect(documents.map(({ path, status }) => `${path} ${status}`).toSorted()).toEqual([
      '/alpha/json 200',
      '/beta/json 200',
    ]);
    // Two wheels, each once; the sdist of alpha is in the lock unseen.
    expect(recorder.exchanges.filter(isFile)).toHaveLength(2);
  });
});
