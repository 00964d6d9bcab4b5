import { describe, expect, it } from 'vitest';
import { parseRequirement, pinnedVersion } from '../../../src/packaging/requirement.ts';
import { isFullyLocked, readRequirementsFile } from '../../../src/packaging/requirements-file.ts';
import type { RequirementsFile } from '../../../src/packaging/requirements-file.ts';

const DIGEST = 'ab'.repeat(32);

function read(
  files: Readonly<Record<string, string>>,
  path = '/p/requirements.txt',
): RequirementsFile {
  const readText = (asked: string): string => {
    const text = files[asked];
    if (text === undefined) throw new Error(`no ${asked}`);
    return text;
  };
  return readRequirementsFile(path, readText, { TOKEN: 'secret' });
}

const one = (text: string): RequirementsFile => read({ '/p/requirements.txt': text });

describe('a requirement', () => {
  it.each([
    ['flask', { name: 'flask', extras: [], specifier: '', url: null, marker: '' }],
    [
      'Zope.Interface [ test , Docs ] >= 5, <6 ; python_version < "3.9"',
      {
        name: 'zope-interface',
        extras: ['test', 'Docs'],
        specifier: '>=5,<6',
        url: null,
        marker: 'python_version < "3.9"',
      },
    ],
    ['old (>=1.0)', { name: 'old', extras: [], specifier: '>=1.0', url: null, marker: '' }],
    [
      'pip @ https://example.org/a;b.whl ; os_name == "nt"',
      {
        name: 'pip',
        extras: [],
        specifier: '',
        url: 'https://example.org/a;b.whl',
        marker: 'os_name == "nt"',
      },
    ],
  ])('is read: %s', (text, expected) => {
    expect(parseRequirement(text)).toEqual(expected);
  });

  it.each(['', './local', 'https://example.org/a.whl', 'a b', 'a[', 'a=1', 'a >= 1 2x,'])(
    'is refused when it is none: %j',
    (text) => {
      expect(parseRequirement(text)).toBeUndefined();
    },
  );

  it.each([
    ['==1.0', '1.0'],
    ['===1.0+x', '1.0+x'],
    ['==1.*', undefined],
    ['>=1', undefined],
    ['==1,!=2', undefined],
  ])('names one version or not: %s', (specifier, version) => {
    expect(pinnedVersion(specifier)).toBe(version);
  });
});

describe('a requirements file', () => {
  it('is read with continued lines, comments, hashes and options of a line', () => {
    const { requirements, problems } = one(
      `\ufeff# first\r\nflask==3.0 \\\r\n    --hash=sha256:${DIGEST} \\\r\n    --hash sha512:00  # why\r\n` +
        'url-thing @ https://example.org/x#egg=1\nB>=1;sys_platform=="win32" --config-settings "a=b c"\n',
    );
    expect(problems).toEqual([]);
    expect(requirements.map(({ text, line, sha256s }) => [text, line, sha256s])).toEqual([
      ['flask==3.0', 2, [DIGEST]],
      ['url-thing @ https://example.org/x#egg=1', 5, []],
      ['B>=1;sys_platform=="win32"', 6, []],
    ]);
  });

  it('includes others, relative to itself, and constraints apart', () => {
    const { requirements, constraints, problems } = read({
      '/p/requirements.txt':
        '-r sub/more.txt\n-c limits.txt\n--requirement=/abs.txt\n-r gone.txt\n',
      '/p/sub/more.txt': 'inner\n-r deeper.txt\n',
      '/p/sub/deeper.txt': 'deep==1\n',
      '/p/limits.txt': 'deep<2\n-r limits-too.txt\n',
      '/p/limits-too.txt': 'inner<9\n',
      '/abs.txt': 'absolute\n',
    });
    expect(requirements.map(({ text }) => text)).toEqual(['inner', 'deep==1', 'absolute']);
    expect(constraints.map(({ text }) => text)).toEqual(['deep<2', 'inner<9']);
    expect(problems).toEqual([expect.stringContaining('gone.txt cannot be read')]);
  });

  it('ends a circle of includes', () => {
    const { problems } = one('-r requirements.txt\n');
    expect(problems).toEqual([expect.stringContaining('too deeply')]);
  });

  it('gathers what it says about indexes and kinds of files', () => {
    const file = one(
      '-i https://a/simple\n--extra-index-url=https://u:${TOKEN}@b/${UNKNOWN}\n-f links\n--pre\n' +
        '--only-binary :all: --no-binary x,y\n--frobnicate 1\nflask\n',
    );
    expect(file.indexUrls).toEqual(['https://a/simple', 'https://u:secret@b/${UNKNOWN}']);
    expect(file.findLinks).toEqual(['links']);
    expect(file.prereleases).toBe(true);
    expect([file.onlyBinary, file.noBinary]).toEqual([[':all:'], ['x', 'y']]);
    expect(file.problems).toEqual([expect.stringContaining('--frobnicate')]);
  });

  it('keeps paths, URLs, repositories and editable ones as they are, and names what is nothing', () => {
    const { requirements, problems } = one(
      './local\n-e ../app\ngit+https://example.org/r.git@v1\nwhat is this\ndist/a-1-py3-none-any.whl\n',
    );
    expect(
      requirements.map(({ text, requirement, isEditable }) => [text, requirement, isEditable]),
    ).toEqual([
      ['./local', null, false],
      ['../app', null, true],
      ['git+https://example.org/r.git@v1', null, false],
      ['dist/a-1-py3-none-any.whl', null, false],
    ]);
    expect(problems).toEqual(['/p/requirements.txt:4: "what is this" is no requirement.']);
  });

  it('is locked when every line has one version and a digest', () => {
    const locked = `a==1 --hash=sha256:${DIGEST}\n`;
    expect(isFullyLocked(one(locked))).toBe(true);
    expect(isFullyLocked(one(`${locked}b==1\n`))).toBe(false);
    expect(isFullyLocked(one(`${locked}b>=1 --hash=sha256:${DIGEST}\n`))).toBe(false);
    expect(isFullyLocked(one(`${locked}b==1 --hash=md5:00\n`))).toBe(false);
    expect(isFullyLocked(one('# nothing\n'))).toBe(false);
  });
});
