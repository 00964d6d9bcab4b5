import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { BUILD_FLAGS, RUN_MIRROR } from '../support/mirror-run.ts';
import { runCommand } from '../support/run-command.ts';
import { writeWheel } from '../support/wheel-writer.ts';
import { expectNoTraces } from './expectations.ts';
import { originsOf, setImageStage } from './image-stage.ts';
import { skipImages } from './skip-images.ts';

const { isSkipped, why } = skipImages();
const CLIENTS = fileURLToPath(new URL('../.clients/current/bin', import.meta.url));

describe.skipIf(isSkipped)(`images from what run-mirror wrote${why}`, () => {
  it('come from the index of the distribution and the mirror behind it, with no server and no network', async () => {
    const stage = await setImageStage({ hasDefaultCache: true });
    const cacheDir = join(stage.imageCache, 'pypi');
    const mirrors = join(stage.folder, 'mirror.yaml');
    const packages = JSON.stringify(stage.set.requirements);
    await writeFile(
      mirrors,
      `cache-root: ${cacheDir}/download
mirrors:
  - { name: platform, packages: ${packages}, output: "${cacheDir}/mirror" }
`,
    );
    // Holds on this distribution only, so that the mirror itself does not list it.
    const own = writeWheel({ name: 'only-here', version: '1.0', tag: 'py3-none-linux_x86_64' });
    await mkdir(join(cacheDir, 'download/pip/platform'), { recursive: true });
    await writeFile(join(cacheDir, 'download/pip/platform', own.filename), own.content);
    const flags = ['--index-url', stage.upstream.indexUrl, '--strict', ...BUILD_FLAGS];
    const run = await runCommand(process.execPath, [RUN_MIRROR, '-c', mirrors, ...flags], {
      env: {
        PATH: [CLIENTS, process.env['PATH'] ?? ''].join(delimiter),
        HOME: stage.folder,
        WHEELCELLAR_CACHE_DIR: cacheDir,
      },
    });
    expect(run.code, run.stderr).toBe(0);
    await stage.upstream.down();
    const names = await readdir(join(cacheDir, 'mirror'));
    const distribution = names.find((name) => /^[A-Z]\w*-/.test(name)) ?? 'none';
    const image = await stage.build({
      name: 'run-mirror',
      flags: ['--offline'],
      network: 'none',
      requirements: [...stage.set.requirements, 'only-here'],
      env: {
        DIB_PYPI_MIRROR_URL: `file:///tmp/pypi/${distribution}`,
        DIB_PYPI_MIRROR_URL_1: 'file:///tmp/pypi',
        DIB_PIP_RETRIES: '0',
      },
    });
    expect(image.code, image.log.slice(-4_000)).toBe(0);
    for (const report of ['pip', 'image-pip', 'uv']) {
      const { 'only-here': ours, ...others } = await image.sources(report);
      expect(ours, report).toContain(`/tmp/pypi/${distribution}/only-here/`);
      expect([Object.keys(others).length, ...originsOf(others)]).toEqual([35, 'file://']);
    }
    await expectNoTraces(image);
  });
});
