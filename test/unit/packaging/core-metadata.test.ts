import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describesFile, metadataFacts } from '../../../src/packaging/core-metadata.ts';
import { writeWheel } from '../../support/wheel-writer.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text, 'utf8');

describe('metadataFacts', () => {
  it('reads what a wheel says', () => {
    const { metadata } = writeWheel({
      name: 'Chain.Link',
      version: '1.0',
      requires: ['a>=1', 'b; python_version < "3.9"'],
      requiresPython: '>=3.8',
      extras: { cli: ['click'] },
    });
    expect(metadataFacts(bytes(metadata))).toEqual({
      name: 'Chain.Link',
      version: '1.0',
      summary: 'A tiny distribution made for a test',
      requiresPython: '>=3.8',
      requiresDist: ['a>=1', 'b; python_version < "3.9"', 'click; extra == "cli"'],
      providesExtra: ['cli'],
      homePage: null,
      projectUrls: [],
    });
  });

  it('takes names of fields in any case, line ends of any system and a byte order mark', () => {
    const facts = metadataFacts(
      bytes('\ufeffNAME: foo\r\nversion:1.0\r\nREQUIRES-dist:  a \r\n\r\nRequires-Dist: b\r\n'),
    );
    expect(facts).toMatchObject({ name: 'foo', version: '1.0', requiresDist: ['a'] });
  });

  it('joins lines that go on', () => {
    const facts = metadataFacts(
      bytes('Name: foo\nRequires-Dist: a\n  ; extra == "x"\n\t or 1\nVersion: 1\n'),
    );
    expect(facts).toMatchObject({ requiresDist: ['a ; extra == "x" or 1'], version: '1' });
  });

  it('takes the first of two names, and nothing out of the body', () => {
    const facts = metadataFacts(bytes('Name: foo\nName: bar\nDescription: x\n\nVersion: 2\n'));
    expect(facts).toMatchObject({ name: 'foo', version: '' });
    expect(metadataFacts(bytes('Name: foo\nno field\nVersion: 2\n')).version).toBe('');
  });

  it('reads URLs with their labels, and takes UNKNOWN for nothing', () => {
    const text =
      'Home-page: UNKNOWN\nSummary: UNKNOWN\nProject-URL: Source, https://a.test/x,y\nProject-URL: bad\n';
    expect(metadataFacts(bytes(text))).toMatchObject({
      homePage: null,
      summary: null,
      projectUrls: [['Source', 'https://a.test/x,y']],
    });
  });

  it('never throws, and takes no longer than the bytes are long', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        (any) => metadataFacts(any).requiresDist.length >= 0,
      ),
    );
    const folded = bytes(`Name: foo\n${' x\n'.repeat(20_000)}`);
    expect(metadataFacts(folded).name).toContain('foo x x');
    const blank = bytes(`Name: foo${' '.repeat(1_000_000)}bar\n`);
    expect(metadataFacts(blank).name).toHaveLength(1_000_006);
  });
});

describe('describesFile', () => {
  it.each([
    ['Foo.Bar', '1.0', 'foo_bar-1.0-py3-none-any.whl', true],
    ['foo', '1.0.0', 'foo-1.0-1-py3-none-any.whl', true],
    ['foo-bar', '1.0rc1', 'foo-bar-1.0c1.tar.gz', true],
    ['foo', '1.0+cu.118', 'foo-1.0+cu.118-cp311-cp311-linux_x86_64.whl', true],
    ['foo', 'dev', 'foo-dev-py3-none-any.whl', true],
    ['foo', '1.0', 'foo-1.0.1-py3-none-any.whl', false],
    ['bar', '1.0', 'foo-1.0-py3-none-any.whl', false],
    ['', '1.0', 'foo-1.0-py3-none-any.whl', false],
    ['foo', '', 'foo-1.0-py3-none-any.whl', false],
    ['foo', '1.0', 'foo.txt', false],
  ])('%s %s and %s: %s', (name, version, filename, expected) => {
    expect(describesFile(bytes(`Name: ${name}\nVersion: ${version}\n`), filename)).toBe(expected);
  });
});
