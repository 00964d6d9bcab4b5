import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { BASE_TARBALL, OUR_ELEMENTS, dibRunParts } from './image-tools.ts';
import { skipImages } from './skip-images.ts';

const { isSkipped, why } = skipImages();

describe.skipIf(isSkipped)(`the hooks of the element pypi in a chroot${why}`, () => {
  it('give all settings files back byte for byte, wherever an earlier build died', async () => {
    const folder = await makeTempFolder('wheelcellar-half-way-');
    onTestFinished(() => folder.remove());
    const script = fileURLToPath(new URL('half-way.bash', import.meta.url));
    const args = [BASE_TARBALL, join(OUR_ELEMENTS, 'pypi'), await dibRunParts(), folder.path];
    const namespaces = ['--mount', '--pid', '--fork', '--kill-child', '--net'];
    const result = await runCommand('unshare', [...namespaces, 'bash', script, ...args], {
      timeoutMs: 560_000,
    });
    expect(result.code, result.stdout + result.stderr).toBe(0);
    const lines = result.stdout.split('\n').filter((line) => line !== '');
    expect(lines.filter((line) => !line.startsWith('same: '))).toEqual([]);
    // Each step of both hooks was one to die at.
    expect(lines.length).toBeGreaterThan(20);
  });
});
