import { stat } from 'node:fs/promises';
import process from 'node:process';
import { describe, expect, it } from 'vitest';
import type { BuildOptions, BuiltImage } from './build-image.ts';
import { expectAllFrom, isDistribution } from './expectations.ts';
import { startFront } from './front.ts';
import { setImageStage } from './image-stage.ts';
import { skipImages } from './skip-images.ts';

const { isSkipped, why } = skipImages();

/** What the probe notes of the build, and programs' logs, differ from build to build. */
const NOTES = /^opt\/probe\/[^/]+$|^var\/log\//;

/** Paths and sizes of the image itself. */
async function contentOf(image: BuiltImage): Promise<Map<string, number>> {
  const entries = [...(await image.sizes())].filter(([name]) => !NOTES.test(name));
  expect(entries.length).toBeGreaterThan(5_000);
  return new Map(entries);
}

/** Paths that only one has, or that have another size. */
function differences(
  one: ReadonlyMap<string, number>,
  other: ReadonlyMap<string, number>,
): string[] {
  const names = new Set([...one.keys(), ...other.keys()]);
  return [...names].filter((name) => one.get(name) !== other.get(name));
}

function kibibytes(bytes: number): string {
  return `${Math.round(bytes / 1024).toLocaleString('en')} KiB`;
}

describe.skipIf(isSkipped)(`an image with the elements${why}`, () => {
  it('is the one without them, but for the caches; the second build downloads nothing', async () => {
    const stage = await setImageStage();
    const { port, paths } = await startFront(await stage.serve());
    const origin = `http://127.0.0.1:${port}`;
    const indexUrl = `${origin}/simple/`;
    const lines: string[] = [];
    const build = async (options: Partial<BuildOptions> & { readonly name: string }) => {
      paths.length = 0;
      const env = { PROBE_KEEPS: '1', ...options.env };
      const image = await stage.build({ ...options, env });
      await expectAllFrom(image, origin);
      const content = await contentOf(image);
      const downloads = paths.filter(isDistribution).length;
      const { size: sizeBytes } = await stat(image.imagePath);
      lines.push(
        `${options.name}: ${image.seconds.toFixed(1)} s, ${kibibytes(sizeBytes)} in ` +
          `${content.size} files and folders, ${downloads} files downloaded`,
      );
      return { content, downloads };
    };
    const ours = { DIB_PYPI_MIRROR_URL: indexUrl, DIB_NO_PYPI_PIP: '1' };
    const first = await build({ name: 'with the elements', env: ours });
    const second = await build({ name: 'with the elements, again', env: ours });
    const callers = { PIP_INDEX_URL: indexUrl, UV_DEFAULT_INDEX: indexUrl };
    const without = await build({ name: 'without the elements', env: callers, elements: [] });
    process.stdout.write(`${lines.join('\n')}\n`);

    expect(first.downloads).toBeGreaterThanOrEqual(35);
    expect(second.downloads).toBe(0);
    expect(differences(first.content, second.content)).toEqual([]);
    const isCache = (name: string): boolean => name.startsWith('root/.cache/');
    const caches = [...without.content].filter(([name]) => isCache(name));
    expect(caches.length).toBeGreaterThan(100);
    const others = new Map([...without.content].filter(([name]) => !isCache(name)));
    expect(differences(first.content, others)).toEqual([]);
  });
});
