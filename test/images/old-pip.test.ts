import { join } from 'node:path';
import process from 'node:process';
import { describe, expect, it } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import type { CommandResult } from '../support/run-command.ts';
import { fillMirror, setImageStage } from './image-stage.ts';
import { BASE_TARBALL } from './image-tools.ts';
import { skipImages } from './skip-images.ts';

const { isSkipped, why } = skipImages();

/** What the pip of the base image (23.0.1) would install from a mirror folder, without a server. */
async function resolveFromFolder(requirement: string): Promise<CommandResult> {
  const stage = await setImageStage();
  const server = await stage.serve();
  await fillMirror(stage.set, server);
  await server.stop();
  const unpack = [
    '-xf',
    BASE_TARBALL,
    '-C',
    stage.folder,
    '--wildcards',
    './usr/share/python-wheels/pip-*.whl',
  ];
  expect((await runCommand('tar', unpack)).code).toBe(0);
  const script = 'exec python3 "$(echo "$0"/usr/share/python-wheels/pip-*.whl)/pip" "$@"';
  const index = `file://${join(stage.imageCache, 'pypi', 'mirror')}`;
  const args = ['install', '--dry-run', '--ignore-installed', '--no-cache-dir', '-i', index];
  return runCommand('bash', ['-c', script, stage.folder, ...args, requirement], {
    env: { PATH: process.env['PATH'], HOME: stage.folder, PIP_BREAK_SYSTEM_PACKAGES: '1' },
  });
}

describe.skipIf(isSkipped)(`pip 23.0.1 and the folder mirror/${why}`, () => {
  it('work together for names in normal form', async () => {
    const result = await resolveFromFolder('diamond');
    expect(result.code, result.stderr).toBe(0);
  });

  // That pip compares the Name of core metadata with the normalized one, letter by letter, and reads the
  // attribute data-dist-info-metadata only (PEP 714 was made for this): static pages go without it.
  it('work together for names in another form', async () => {
    const result = await resolveFromFolder('sample-chain-01');
    expect(result.code, result.stderr).toBe(0);
  });
});
