import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { writeWheel } from '../support/wheel-writer.ts';
import { describeClient, installedAt, runClient, setStage, sitePackages } from './stage.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));

/** No index is named: PDM would ask the official one. */
const PROJECT = `[project]
name = "app"
version = "0"
requires-python = ">=3.8,<4"
dependencies = ["dated"]

[tool.pdm]
distribution = false
`;

describeClient('pdm', (client) => {
  it('is recorded and replayed with nothing but its environment', async () => {
    const stage = await setStage();
    const place = ['--cache-dir', join(stage.folder, 'own')];
    const build = async (...words: readonly string[]): Promise<readonly string[]> => {
      const folder = await stage.freshFolder();
      await writeFile(join(folder, 'pyproject.toml'), PROJECT);
      const python = join(client.binPath, 'python');
      await runClient(client, python, ['-m', 'venv', '--without-pip', '.venv'], folder);
      const pdm = ['--', join(client.binPath, 'pdm'), 'install', '--no-self'];
      const args = [PROGRAM, ...words, ...pdm];
      const run = await runClient(client, process.execPath, args, folder);
      expect(run.code, run.words).toBe(0);
      return await installedAt(await sitePackages(join(folder, '.venv')));
    };
    const index = ['--index-url', stage.upstream.indexUrl];
    const before = await build('record', '-o', 'web', ...index, ...place);
    expect(before).toHaveLength(1);
    stage.upstream.setProject('dated', [writeWheel({ name: 'dated', version: '99.0' })]);
    await stage.upstream.down();
    expect(await build('replay', ...place, 'web')).toEqual(before);
  });
});
