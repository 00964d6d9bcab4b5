import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { commitSdist } from '../../../src/packaging/commit-sdist.ts';
import { readSdistDocument } from '../../../src/packaging/sdist-content.ts';
import { commitVersion, withVersion } from '../../../src/packaging/source-version.ts';
import { writeTarGz } from '../../support/tar-writer.ts';

const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const AT = { commit: COMMIT, committedAt: new Date(1_700_000_000_000) };

describe('versions of commits', () => {
  it.each([
    ['1.0', '1.0+g0123456789ab'],
    ['1.1.dev3+g0123456', '1.1.dev3+g0123456'],
    ['1.0+vendor', '1.0+vendor.g0123456789ab'],
  ])('are made of %s', (version, expected) => {
    expect(commitVersion(version, COMMIT)).toBe(expected);
  });

  it('are written where a tree has its version', () => {
    const pyproject = '[build-system]\nversion = "9"\n[project]\nname = "x"\nversion="1.0" # now\n';
    const setupConfig = '[egg_info]\ntag_build = .dev\ntag_date = 0\n';
    expect(withVersion({ pyproject, setupConfig }, '1.0.dev0', '1.0.dev0+gabc')).toEqual({
      pyproject: pyproject.replace('version="1.0"', 'version="1.0.dev0+gabc"'),
      setupConfig: '[egg_info]\ntag_build = \ntag_date = 0\n',
    });
  });

  it('are put behind the one that setuptools finds', () => {
    const pyproject = '[build-system]\nbuild-backend = "setuptools.build_meta"\n';
    const tagged = withVersion({ pyproject, setupConfig: undefined }, '1.0', '1.0+gabc');
    expect(tagged).toEqual({ pyproject, setupConfig: '\n[egg_info]\ntag_build = +gabc\n' });
    const again = withVersion(
      { pyproject: undefined, setupConfig: '[egg_info]\ntag_build = .dev\n' },
      '1.0.dev0',
      '1.0.dev0+gabc',
    );
    expect(again.setupConfig).toBe('[egg_info]\ntag_build = .dev+gabc\n');
  });

  it('take the place of one that another backend finds in the code', () => {
    const pyproject =
      '[build-system]\nbuild-backend = "flit_core.buildapi"\n[project]\nname = "x"\ndynamic = ["version", "description"]\n';
    const { pyproject: fixed } = withVersion({ pyproject, setupConfig: undefined }, '1', '1+gabc');
    expect(fixed).toContain('\nversion = "1+gabc"\ndynamic = [ "description"]\n');
  });
});

describe('sdists of commits', () => {
  const archive = (facts: string): Buffer =>
    writeTarGz([
      { path: 'x-1.0/PKG-INFO', content: Buffer.from(facts) },
      { path: 'x-1.0/pyproject.toml', content: Buffer.from('[project]\nversion = "1.0"\n') },
      { path: 'x-1.0/data.txt', content: Buffer.alloc(1500, 7) },
    ]);
  const FACTS = 'Metadata-Version: 2.2\nName: X\nVersion: 1.0\n\nVersion: 1.0 is fine\n';

  it('say so in their name, their folder, their metadata and for their build, with the same bytes each time', async () => {
    const sdist = await commitSdist(archive(FACTS), AT);
    const version = '1.0+g0123456789ab';
    expect(sdist).toMatchObject({ project: 'x', version, filename: `x-${version}.tar.gz` });
    const read = (document: string): Promise<string | undefined> =>
      readSdistDocument(
        sdist.filename,
        {
          sizeBytes: sdist.content.length,
          read: async (start, end) => sdist.content.subarray(start, end),
        },
        document,
      );
    expect(await read('PKG-INFO')).toBe(FACTS.replace('Version: 1.0\n', `Version: ${version}\n`));
    expect(await read('pyproject.toml')).toBe(`[project]\nversion = "${version}"\n`);
    const bytes = gunzipSync(sdist.content);
    expect(bytes.includes(`x-${version}/data.txt`)).toBe(true);
    expect(bytes.includes('x-1.0/')).toBe(false);
    expect((await commitSdist(archive(FACTS), AT)).content.equals(sdist.content)).toBe(true);
    // One that names its commit already stays what it is.
    expect((await commitSdist(sdist.content, AT)).filename).toBe(sdist.filename);
  });

  it('are refused when they do not say what they are', async () => {
    await expect(commitSdist(archive('Name: X\n'), AT)).rejects.toThrow('name and version');
    await expect(commitSdist(Buffer.from('no archive'), AT)).rejects.toThrow();
  });
});
