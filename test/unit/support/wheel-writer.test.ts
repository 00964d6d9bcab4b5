import { inflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { sampleSet } from '../../support/sample-set.ts';
import { writeSdist, writeWheel } from '../../support/wheel-writer.ts';

describe('wheel-writer', () => {
  it('makes the same bytes on every machine', () => {
    const wheel = writeWheel({ name: 'Zope.Thing', version: '1.0', paddingBytes: 1000 });
    expect(wheel.filename).toBe('zope_thing-1.0-py3-none-any.whl');
    expect(wheel.sha256).toMatchInlineSnapshot(
      `"f833e1e6a7494faba003d4d7e49671341fd2394d648c6fcf5be607f894a0e187"`,
    );
    expect(writeSdist({ name: 'Zope.Thing', version: '1.0' }).sha256).toMatchInlineSnapshot(
      `"0545642b043714791ac0644f0f79dc4d651eedc7babef00dcf44be5f08d02b2a"`,
    );
  });

  it('writes requirements, extras and the needed Python into the core metadata', () => {
    const { metadata } = writeWheel({
      name: 'a',
      version: '1',
      requires: ['b>1'],
      requiresPython: '>=3.9',
      extras: { fast: ['c'] },
    });
    expect(metadata).toContain('Requires-Python: >=3.9\nRequires-Dist: b>1\n');
    expect(metadata).toContain('Provides-Extra: fast\nRequires-Dist: c; extra == "fast"\n\n');
  });

  it('lists each tag of a compressed tag set and the build', () => {
    const { filename, content } = writeWheel({
      name: 'a',
      version: '1',
      tag: 'py2.py3-none-any',
      build: '3',
    });
    expect(filename).toBe('a-1-3-py2.py3-none-any.whl');
    expect(content.toString('latin1')).toContain(
      'Tag: py2-none-any\nTag: py3-none-any\nBuild: 3\n',
    );
  });

  it('deflates on request', () => {
    const { content, metadata } = writeWheel({ name: 'a', version: '1', isCompressed: true });
    const nameLength = content.readUInt16LE(26);
    const end = 30 + nameLength + content.readUInt32LE(18);
    const first = inflateRawSync(content.subarray(30 + nameLength, end)).toString();
    expect(first).toBe('__version__ = "1"\n');
    expect(content.includes(metadata)).toBe(false);
  });
});

describe('sample set', () => {
  it('holds 36 wheels and one sdist, of which 35 projects get installed', () => {
    const { projects, installed, wheels } = sampleSet();
    expect(Object.values(projects).flat()).toHaveLength(37);
    expect(installed).toHaveLength(35);
    expect(installed).toContain('diamond-bottom==1.5');
    expect(Object.keys(wheels)).toHaveLength(34);
    expect(Object.keys(projects)).toContain('sample-chain-30');
  });
});
