import { expect } from 'vitest';
import type { BuiltImage } from './build-image.ts';
import { originsOf } from './image-stage.ts';

/** Whether a path is that of a wheel or an sdist, not of a page or of core metadata. */
export function isDistribution(path: string): boolean {
  return /\.(?:whl|tar\.gz)$/.test(path);
}

/** Fails unless each installer took all 35 distributions from that origin. */
export async function expectAllFrom(
  image: BuiltImage,
  origin: string,
  installers: readonly string[] = ['pip', 'image-pip', 'uv'],
): Promise<void> {
  expect(image.code, image.log.slice(-4_000)).toBe(0);
  for (const report of installers) {
    const sources = await image.sources(report);
    expect([report, Object.keys(sources).length, ...originsOf(sources)]).toEqual([
      report,
      35,
      origin,
    ]);
  }
}

/** Nothing of a cache and nothing of the build's settings is in the image. */
export async function expectNoTraces(image: BuiltImage): Promise<void> {
  const names = await image.names();
  expect(names.filter((name) => /^root\/\.(?:cache|pip|config|pydistutils)/.test(name))).toEqual(
    [],
  );
  expect(
    names.filter(
      (name) => /pip\.conf|dib-pypi|^tmp\/./.test(name) && !name.startsWith('opt/probe/'),
    ),
  ).toEqual([]);
}
