import { describe, expect, it } from 'vitest';
import { buildRequirements } from '../../../src/packaging/build-system.ts';
import { projectRequirements } from '../../../src/packaging/project-file.ts';
import { readSdistDocument } from '../../../src/packaging/sdist-content.ts';
import type { RandomAccess } from '../../../src/packaging/random-access.ts';
import { writeTarGz } from '../../support/tar-writer.ts';
import { writeZip } from '../../support/zip-writer.ts';

const accessTo = (content: Buffer): RandomAccess => ({
  sizeBytes: content.length,
  read: async (start, end) => content.subarray(start, end),
});

const MEMBERS = [
  { path: 'a-1/sub/pyproject.toml', content: Buffer.from('wrong') },
  { path: 'a-1/big.bin', content: Buffer.alloc(900_000, 7) },
  {
    path: 'a-1/pyproject.toml',
    content: Buffer.from('[build-system]\nrequires = ["hatchling"]\n'),
  },
  { path: 'a-1/setup.py', content: Buffer.from('') },
];

describe('a document of an sdist', () => {
  it.each([
    ['a-1.tar.gz', writeTarGz(MEMBERS)],
    ['a-1.zip', writeZip(MEMBERS, true)],
  ])('is read out of %s, from the top alone', async (filename, content) => {
    const text = await readSdistDocument(filename, accessTo(content), 'pyproject.toml');
    expect(text).toContain('hatchling');
    expect(await readSdistDocument(filename, accessTo(content), 'missing')).toBeUndefined();
  });

  it('is not guessed when the archive is damaged', async () => {
    const content = writeTarGz(MEMBERS);
    const cut = content.subarray(0, 300_000);
    await expect(readSdistDocument('a-1.tar.gz', accessTo(cut), 'setup.py')).rejects.toThrow(
      'a-1.tar.gz cannot be read',
    );
    const noise = Buffer.from('this is no archive at all, whatever its name says'.repeat(40));
    await expect(readSdistDocument('a-1.tar.gz', accessTo(noise), 'setup.py')).rejects.toThrow(
      'a-1.tar.gz',
    );
    await expect(readSdistDocument('a-1.tar.bz2', accessTo(cut), 'x')).rejects.toThrow('kind');
  });
});

describe('build requirements', () => {
  it('are those of the build system, or the default of old', () => {
    expect(buildRequirements('[build-system]\nrequires = ["flit_core>=3"]\n')).toEqual([
      'flit_core>=3',
    ]);
    expect(buildRequirements('[tool.x]\n')).toEqual(['setuptools>=40.8.0', 'wheel']);
    expect(buildRequirements(undefined)).toEqual(['setuptools>=40.8.0', 'wheel']);
    expect(() => buildRequirements('[build')).toThrow('pyproject.toml');
  });
});

describe('the requirements of a project', () => {
  const text = `
[project]
name = "My.App"
dependencies = ["flask>=3"]
[project.optional-dependencies]
web = ["gunicorn"]
all = ["my_app[web]", "extra"]
[dependency-groups]
test = ["pytest", {include-group = "lint"}]
lint = ["ruff"]
round = [{include-group = "round"}]
`;
  const read = (extras: readonly string[], groups: readonly string[]): readonly string[] =>
    projectRequirements('pyproject.toml', text, { extras, groups });

  it('have those of wanted extras and groups beside its own', () => {
    expect(read([], [])).toEqual(['flask>=3']);
    expect(read(['ALL'], [])).toEqual(['flask>=3', 'gunicorn', 'extra']);
    expect(read([], ['Test'])).toEqual(['flask>=3', 'pytest', 'ruff']);
  });

  it('name what is not there, and circles', () => {
    expect(() => read(['nope'], [])).toThrow('nope');
    expect(() => read([], ['nope'])).toThrow('nope');
    expect(() => read([], ['round'])).toThrow('includes itself');
  });
});
