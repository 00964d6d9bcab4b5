import { cp, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import type { CommandResult } from '../support/run-command.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { DIB_PROGRAMS, OUR_ELEMENTS } from './image-tools.ts';
import { skipImages } from './skip-images.ts';

const { isSkipped, why } = skipImages();

/** A copy of the elements, for dib-lint to stand in: it reads `tox.ini` of the folder it is in. */
async function copyElements(): Promise<{ readonly folder: string; readonly elements: string }> {
  const { path: folder, remove } = await makeTempFolder('wheelcellar-lint-');
  onTestFinished(remove);
  const elements = join(folder, 'elements');
  const isSource = (path: string): boolean => !path.includes('__pycache__');
  await cp(OUR_ELEMENTS, elements, { recursive: true, filter: isSource });
  // It wants to look at the scripts of diskimage-builder itself, too.
  await cp(join(elements, 'pypi', 'README.rst'), join(folder, 'lib', 'README.rst'));
  return { folder, elements };
}

function lint(folder: string): Promise<CommandResult> {
  const env = {
    PATH: `${DIB_PROGRAMS}:/usr/bin:/bin`,
    ELEMENTS_DIR: join(folder, 'elements'),
    LIB_DIR: join(folder, 'lib'),
  };
  return runCommand('dib-lint', [], { cwd: folder, env });
}

describe.skipIf(isSkipped)(`dib-lint${why}`, () => {
  it('finds nothing in the elements', async () => {
    const { folder } = await copyElements();
    const result = await lint(folder);
    expect(result.stdout).not.toContain('ERROR');
    expect(result.code, result.stdout + result.stderr).toBe(0);
  });

  it('finds what is wrong, when something is', async () => {
    const { folder, elements } = await copyElements();
    const hook = join(elements, 'pypi/pre-install.d/04-configure-pypi-mirror');
    await writeFile(hook, (await readFile(hook, 'utf8')).replace('set -o pipefail\n', ''));
    await writeFile(join(elements, 'pip-cache/element-deps'), 'b\na\n');
    const { code, stdout } = await lint(folder);
    expect(code).not.toBe(0);
    expect(stdout).toMatch(/ERROR: .*04-configure-pypi-mirror/);
    expect(stdout).toMatch(/ERROR: .*pip-cache\/element-deps/);
  });

  it('leaves Python to flake8, which is content as well', async () => {
    const { folder } = await copyElements();
    const result = await runCommand(join(DIB_PROGRAMS, 'flake8'), ['elements'], { cwd: folder });
    expect(result.code, result.stdout + result.stderr).toBe(0);
    const python = (await readdir(folder, { recursive: true })).filter((path) =>
      path.endsWith('.py'),
    );
    expect(python.length).toBeGreaterThan(5);
  });
});
