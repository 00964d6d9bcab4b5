import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { BuiltImage } from './build-image.ts';
import { originsOf, setImageStage } from './image-stage.ts';
import { skipImages } from './skip-images.ts';

const { isSkipped, why } = skipImages();

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));

/** Numbers of the report at the end of the log. */
function reportOf({ log }: BuiltImage): { readonly hits: number; readonly misses: number } {
  const number = (label: string): number =>
    Number(new RegExp(`wheelcellar:   ${label} +(\\d+)`).exec(log)?.[1] ?? Number.NaN);
  return { hits: number('from the cache'), misses: number('from upstream') };
}

describe.skipIf(isSkipped)(`wheelcellar dib${why}`, () => {
  it('builds through the mirror, and once more without any network', async () => {
    const stage = await setImageStage();
    const cacheDir = join(stage.imageCache, 'pypi');
    const dib = [process.execPath, PROGRAM, 'dib', '--cache-dir', cacheDir];
    const env = { NO_COLOR: '1' };
    // The verb itself brings the elements.
    const common = { elementsPath: 'upstream', env };

    const online = [...dib, '--index-url', stage.upstream.indexUrl, '--'];
    const first = await stage.build({ ...common, name: 'dib', prefix: online });
    expect(first.code, first.log.slice(-4_000)).toBe(0);
    const [origin] = originsOf(await first.sources('pip'));
    expect(origin).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    for (const report of ['image-pip', 'uv'])
      expect(originsOf(await first.sources(report)), report).toEqual([origin]);
    expect(first.log).toContain(`wheelcellar: mirror ${origin}/simple/ (started for this build)`);
    expect(reportOf(first).misses).toBeGreaterThanOrEqual(35);

    await stage.upstream.down();
    const offline = [...dib, '--offline', '--'];
    const second = await stage.build({
      ...common,
      name: 'dib offline',
      prefix: offline,
      network: 'none',
      elements: ['pypi'],
    });
    expect(second.code, second.log.slice(-4_000)).toBe(0);
    expect(second.log).toContain('offline: official index off');
    for (const report of ['pip', 'image-pip', 'uv']) {
      const sources = await second.sources(report);
      expect([report, Object.keys(sources).length]).toEqual([report, 35]);
      expect(originsOf(sources)[0]).toMatch(/^http:\/\/127\.0\.0\.1:/);
    }
    expect(reportOf(second)).toMatchObject({ misses: 0 });
    expect(reportOf(second).hits).toBeGreaterThanOrEqual(35);
  });

  it('fails as the build fails, with the report all the same', async () => {
    const stage = await setImageStage();
    const cacheDir = join(stage.imageCache, 'pypi');
    const dib = [process.execPath, PROGRAM, 'dib', '--cache-dir', cacheDir];
    const prefix = [...dib, '--index-url', stage.upstream.indexUrl, '--'];
    const requirements = ['there-is-no-such-project'];
    const image = await stage.build({
      name: 'dib failing',
      prefix,
      requirements,
      installers: ['pip'],
    });
    expect(image.code).toBe(7);
    expect(image.log).toContain('wheelcellar: the build failed with status 1');
    expect(reportOf(image)).toEqual({ hits: 0, misses: 0 });
  });
});
