import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import type { ImageStage } from './image-stage.ts';
import { originsOf, setImageStage } from './image-stage.ts';
import { OUR_ELEMENTS } from './image-tools.ts';
import { skipImages } from './skip-images.ts';

const { isSkipped, why } = skipImages();

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const result = await runCommand(command, args, { cwd, timeoutMs: 280_000 });
  expect(result.code, result.stdout + result.stderr).toBe(0);
  return result.stdout.trim();
}

/** `npm install --global` of the packed package; SQLite is not compiled, which the elements do without. */
async function installGlobally(folder: string): Promise<string> {
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder, ROOT];
  const tarball = (await run('npm', pack, folder)).split('\n').at(-1) ?? '';
  const prefix = join(folder, 'prefix');
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  const install = ['install', '--global', '--prefix', prefix, ...flags, join(folder, tarball)];
  await run('npm', install, folder);
  return prefix;
}

/** The functional cases that come with the elements, on the small operating system of these tests. */
async function functionalElements({ folder }: ImageStage): Promise<string> {
  const copy = join(folder, 'functional');
  for (const [element, name] of [
    ['pypi', 'mirror-settings'],
    ['pip-cache', 'shared-cache'],
  ] as const) {
    await cp(join(OUR_ELEMENTS, element, 'test-elements', name), join(copy, name), {
      recursive: true,
    });
    await rm(join(copy, name, 'element-deps'));
  }
  return copy;
}

describe.skipIf(isSkipped)(`a globally installed package${why}`, () => {
  it('brings elements that build images, found by program and library', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const prefix = await installGlobally(stage.folder);
    const elements = join(prefix, 'lib', 'node_modules', 'wheelcellar', 'elements');
    expect(await run(join(prefix, 'bin', 'wheelcellar'), ['elements'], stage.folder)).toBe(
      elements,
    );
    const script = `
      import { elementsPath } from 'wheelcellar/paths';
      console.log(elementsPath());`;
    const node = ['--input-type=module', '-e', script];
    expect(await run(process.execPath, node, join(prefix, 'lib'))).toBe(elements);

    const image = await stage.build({
      name: 'packed elements',
      elementsPath: `${await functionalElements(stage)}:${elements}`,
      elements: ['pypi', 'pip-cache', 'mirror-settings', 'shared-cache'],
      env: { DIB_PYPI_MIRROR_URL: server.indexUrl, DIB_NO_PYPI_PIP: '1' },
      requirements: ['diamond'],
      installers: ['pip', 'uv'],
    });
    expect(image.code, image.log.slice(-4_000)).toBe(0);
    for (const report of ['pip', 'uv'])
      expect(originsOf(await image.sources(report))).toEqual([server.baseUrl]);
    for (const check of ['pypi-mirror', 'pip-cache'])
      expect(image.log.split(`finalise.d/50-check-${check}`).length, check).toBeGreaterThan(1);
  });
});
