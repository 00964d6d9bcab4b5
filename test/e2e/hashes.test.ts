import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { installedIn } from '../support/python-clients.ts';
import type { SampleSet } from '../support/sample-set.ts';
import { INSTALLERS, setStage, wordsOf } from './stage.ts';

function lockedRequirements(set: SampleSet): string {
  const files = Object.values(set.projects).flat();
  return set.installed
    .map((pin) => {
      const [name = '', version = ''] = pin.split('==');
      const stem = `${name.replaceAll('-', '_')}-${version}`;
      const file = files.find(
        ({ filename }) =>
          /^[-.](?!\d)/.test(filename.slice(stem.length)) && filename.startsWith(stem),
      );
      return `${pin} --hash=sha256:${file?.sha256}\n`;
    })
    .join('');
}

describe.each(INSTALLERS)('$name', ({ install }) => {
  it('accepts every file in hash-checking mode, with an sdist to build among them', async () => {
    const { set, folder, serve, freshPython } = await setStage();
    const { indexUrl } = await serve();
    const lock = join(folder, 'requirements.txt');
    await writeFile(lock, lockedRequirements(set));
    const python = await freshPython();
    const result = await install({ python, indexUrl, args: ['--require-hashes', '-r', lock] });
    expect(result.code, wordsOf(result)).toBe(0);
    expect(await installedIn(python)).toEqual(set.installed);
  });

  it('builds a project that comes as an sdist alone', async () => {
    const { serve, freshPython } = await setStage();
    const { indexUrl } = await serve();
    const python = await freshPython();
    const result = await install({ python, indexUrl, args: ['sample-source'] });
    expect(result.code, wordsOf(result)).toBe(0);
    expect(await installedIn(python)).toEqual(['sample-source==0.3']);
  });

  it('fails for a project that nobody has', async () => {
    const { serve, freshPython } = await setStage();
    const { indexUrl } = await serve();
    const result = await install({
      python: await freshPython(),
      indexUrl,
      args: ['no-such-project'],
    });
    expect(result.code).not.toBe(0);
    expect(wordsOf(result)).toMatch(/no matching distribution|not found in the package registry/i);
  });
});
