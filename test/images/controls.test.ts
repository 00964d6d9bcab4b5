/** Positive controls: elements that ignore the mirror build fine images, and the other tests must notice. */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expectAllFrom, expectNoTraces } from './expectations.ts';
import { makeOverlay, setImageStage } from './image-stage.ts';
import type { ImageStage } from './image-stage.ts';
import { OUR_ELEMENTS } from './image-tools.ts';
import { skipImages } from './skip-images.ts';

const { isSkipped, why } = skipImages();

/** Without an element the image installs from the decoy, which has all of it. */
async function decoyOverlay({ folder, decoy }: ImageStage): Promise<string> {
  return makeOverlay(folder, {
    'etc/pip.conf': `[global]\nindex-url = ${decoy.indexUrl}\n`,
    'etc/uv/uv.toml': `index-url = "${decoy.indexUrl}"\n`,
  });
}

/** A copy of our elements that lacks one part. */
async function elementsWithout({ folder }: ImageStage, part: string): Promise<string> {
  const copy = join(folder, 'elements');
  await cp(OUR_ELEMENTS, copy, { recursive: true });
  await rm(join(copy, part), { recursive: true });
  return copy;
}

describe.skipIf(isSkipped)(`the image tests${why}`, () => {
  it('notice elements that do nothing, though the image is as good as any', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const elementsPath = await makeOverlay(stage.folder, {
      'pypi/README.rst': 'Nothing.\n',
      'pip-cache/README.rst': 'Nothing.\n',
    });
    const env = {
      DIB_PYPI_MIRROR_URL: server.indexUrl,
      DIB_NO_PYPI_PIP: '1',
      PROBE_OVERLAY: await decoyOverlay(stage),
    };
    const image = await stage.build({ name: 'control', env, elementsPath });
    expect(image.code, image.log.slice(-4_000)).toBe(0);
    await expect(expectAllFrom(image, server.baseUrl)).rejects.toThrow(stage.decoy.origin);
    await expect(expectNoTraces(image)).rejects.toThrow('root/.cache');
    expect(await stage.servedFiles(server)).toBe(0);
  });

  it.each([
    { lacking: 'pypi/pre-install.d', noticed: 'pip', unnoticed: ['uv'] },
    {
      lacking: 'pypi/environment.d/99-pypi-mirror',
      noticed: 'uv',
      unnoticed: ['pip', 'image-pip'],
    },
  ])('notice $lacking missing, by $noticed', async ({ lacking, noticed, unnoticed }) => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const image = await stage.build({
      name: `control ${lacking}`,
      env: {
        DIB_PYPI_MIRROR_URL: server.indexUrl,
        DIB_NO_PYPI_PIP: '1',
        PROBE_OVERLAY: await decoyOverlay(stage),
      },
      elementsPath: await elementsWithout(stage, lacking),
    });
    await expectAllFrom(image, server.baseUrl, unnoticed);
    await expect(expectAllFrom(image, server.baseUrl, [noticed])).rejects.toThrow(
      stage.decoy.origin,
    );
  });

  it('notice a pip-cache that only mounts its folder', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const image = await stage.build({
      name: 'control pip-cache',
      env: { DIB_PYPI_MIRROR_URL: server.indexUrl, DIB_NO_PYPI_PIP: '1' },
      elementsPath: await elementsWithout(stage, 'pip-cache/environment.d'),
    });
    await expectAllFrom(image, server.baseUrl);
    await expect(expectNoTraces(image)).rejects.toThrow('root/.cache');
  });
});
