import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidUpstreamAnswerError } from '../../../src/core/errors.ts';
import type { DistributionFile } from '../../../src/simple/model.ts';
import type { PageReading } from '../../../src/simple/page-reading.ts';
import { readJsonPage } from '../../../src/simple/read-json.ts';
import { writeJsonPage } from '../../../src/simple/write-json.ts';
import { aFile, FOO, sha256 } from './pages.ts';

type Json = Record<string, unknown>;

const entry = (facts: Json = {}): Json => ({
  filename: 'foo-1.0.tar.gz',
  url: 'https://files.test/foo-1.0.tar.gz',
  hashes: { sha256: sha256('a') },
  ...facts,
});

const page = (facts: Json = {}): Json => ({
  meta: { 'api-version': '1.4' },
  name: 'foo',
  files: [entry()],
  ...facts,
});

const read = (facts: Json = {}): PageReading => readJsonPage(JSON.stringify(page(facts)), FOO);

const readEntry = (facts: Json): DistributionFile | undefined =>
  read({ files: [entry(facts)] }).detail.files[0];

const droppedBy = (facts: Json): PageReading['dropped'] => {
  const reading = read({
    files: [entry(facts), entry({ filename: 'foo-2.zip', url: '/foo-2.zip' })],
  });
  expect(reading.detail.files.map(({ filename }) => filename)).toEqual(['foo-2.zip']);
  return reading.dropped;
};

describe('a JSON page as Warehouse writes it (protocol §3)', () => {
  const reading = readJsonPage(
    JSON.stringify({
      'alternate-locations': [],
      files: [
        {
          'core-metadata': { sha256: sha256('b') },
          'data-dist-info-metadata': { sha256: sha256('b') },
          filename: 'foo-1.0-py3-none-any.whl',
          hashes: { sha256: sha256('a') },
          provenance: 'https://index.test/integrity/foo/1.0/foo-1.0-py3-none-any.whl/provenance',
          'requires-python': '>=3.8,<4',
          size: 12345,
          'upload-time': '2024-05-06T07:08:09.123456Z',
          url: 'https://files.test/packages/aa/bb/cc/foo-1.0-py3-none-any.whl',
          yanked: 'broken metadata',
        },
        {
          'core-metadata': false,
          'data-dist-info-metadata': false,
          filename: 'foo-1.0.tar.gz',
          hashes: { sha256: sha256('c') },
          provenance: null,
          'requires-python': null,
          size: 1,
          'upload-time': '2024-05-06T07:08:09Z',
          url: 'https://files.test/packages/aa/bb/cc/foo-1.0.tar.gz',
          yanked: false,
        },
      ],
      meta: { '_last-serial': 987, 'api-version': '1.4' },
      name: 'foo',
      'project-status': { status: 'archived', reason: 'gone fishing' },
      versions: ['1.0'],
    }),
    FOO,
  );

  it('is read whole', () => {
    expect(reading).toEqual({
      detail: {
        name: 'foo',
        status: 'archived',
        statusReason: 'gone fishing',
        versions: ['1.0'],
        lastSerial: 987,
        extra: { 'alternate-locations': [] },
        files: [
          aFile({
            filename: 'foo-1.0-py3-none-any.whl',
            url: 'https://files.test/packages/aa/bb/cc/foo-1.0-py3-none-any.whl',
            hashes: { sha256: sha256('a') },
            requiresPython: '>=3.8,<4',
            sizeBytes: 12345,
            uploadTime: '2024-05-06T07:08:09.123456Z',
            coreMetadata: { sha256: sha256('b') },
            yanked: 'broken metadata',
            provenance: 'https://index.test/integrity/foo/1.0/foo-1.0-py3-none-any.whl/provenance',
          }),
          aFile({
            url: 'https://files.test/packages/aa/bb/cc/foo-1.0.tar.gz',
            hashes: { sha256: sha256('c') },
            sizeBytes: 1,
            uploadTime: '2024-05-06T07:08:09Z',
          }),
        ],
      },
      dropped: {},
      conflicts: [],
      looksLikeIndex: true,
    });
  });
});

describe('pages that are refused (faults B19-B22)', () => {
  it.each([
    ['no JSON', 'hello'],
    ['cut JSON', '{"meta":{"api-version":"1.0"},"na'],
    ['an array', '[]'],
    ['null', 'null'],
    ['no files', '{"meta":{"api-version":"1.0"},"name":"foo"}'],
    ['files that are no array', '{"files":{"length":1}}'],
    ['nesting of 100,000', '['.repeat(100_000)],
    ['version 2.0', '{"meta":{"api-version":"2.0"},"files":[]}'],
    ['version 10.1', '{"meta":{"api-version":"10.1"},"files":[]}'],
    ['a version that is none', '{"meta":{"api-version":{}},"files":[]}'],
    ['another project', '{"name":"bar","files":[]}'],
    ['a name that is none', '{"name":["foo"],"files":[]}'],
    ['an escaped lone surrogate', String.raw`{"name":"foo","files":[],"x":{"y":["\ud83d"]}}`],
    ['a lone surrogate in a key', String.raw`{"name":"foo","files":[],"\udead":1}`],
    ['a bare lone surrogate', '{"name":"foo","files":[],"x":"\ud83d"}'],
  ])('refuses %s', (_, text) => {
    expect(() => readJsonPage(text, FOO)).toThrow(InvalidUpstreamAnswerError);
  });

  it.each([
    ['no meta', '{"files":[]}'],
    ['version 1.99', '{"meta":{"api-version":"1.99"},"files":[]}'],
    ['a version that is a number', '{"meta":{"api-version":1.0},"files":[]}'],
    ['another spelling of the name', '{"name":"FOO","files":[]}'],
    ['a surrogate pair, escaped', String.raw`{"files":[],"x":"\ud83d\ude00 \\ud83d"}`],
  ])('takes %s', (_, text) => {
    expect(readJsonPage(text, FOO).looksLikeIndex).toBe(true);
  });

  it('only ever throws an InvalidUpstreamAnswerError', () => {
    const json = fc.oneof(
      fc.string(),
      fc.json(),
      fc.jsonValue().map((files) => JSON.stringify({ files: [files] })),
    );
    fc.assert(
      fc.property(json, (text) => {
        try {
          readJsonPage(text, FOO);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidUpstreamAnswerError);
        }
      }),
    );
  });

  it('survives any value under any key of a file', () => {
    const keys = [
      'filename',
      'url',
      'hashes',
      'size',
      'yanked',
      'core-metadata',
      'upload-time',
      'provenance',
    ];
    fc.assert(
      fc.property(fc.constantFrom(...keys), fc.jsonValue(), (key, value) => {
        expect(read({ files: [entry({ [key]: value })] }).detail.files.length).toBeLessThan(2);
      }),
    );
  });
});

describe('entries that are dropped, the others kept (faults B1, B7, B20)', () => {
  it.each([
    ['no object', 'bad-entry', undefined],
    ['no filename', 'bad-entry', { filename: undefined }],
    ['no url', 'bad-entry', { url: null }],
    ['a file: url', 'bad-url', { url: 'file:///etc/foo-1.0.tar.gz' }],
    ['an ftp: url', 'bad-url', { url: 'ftp://x/foo-1.0.tar.gz' }],
    ['a data: url', 'bad-url', { url: 'data:,/foo-1.0.tar.gz' }],
    ['a javascript: url', 'bad-url', { url: 'javascript:x//foo-1.0.tar.gz' }],
    ['an impossible url', 'bad-url', { url: 'https://[/foo-1.0.tar.gz' }],
    ['a url with broken encoding', 'bad-url', { url: 'https://x/foo-1.0%ff.tar.gz' }],
    ['a negative size', 'bad-size', { size: -1 }],
    ['a fractional size', 'bad-size', { size: 1.5 }],
    ['a size in words', 'bad-size', { size: '12' }],
    ['a size beyond reason', 'bad-size', { size: 1e300 }],
    ['a hash that is not hexadecimal', 'bad-hash', { hashes: { sha256: 'xyz' } }],
    ['a hash of the wrong length', 'bad-hash', { hashes: { sha256: 'abcd' } }],
    ['hashes that are no object', 'bad-hash', { hashes: 'sha256' }],
    ['a fragment against the hashes', 'bad-hash', { url: `/foo-1.0.tar.gz#sha256=${sha256('b')}` }],
    ['a filename that is not the url’s', 'filename-mismatch', { filename: 'foo-1.1.tar.gz' }],
    ['a filename in another case', 'filename-mismatch', { filename: 'Foo-1.0.tar.gz' }],
    ['a file of another project', 'other-project', { filename: 'bar-1.zip', url: '/bar-1.zip' }],
    [
      'something else than a distribution',
      'not-a-distribution',
      { filename: 'foo.txt', url: '/foo.txt' },
    ],
    [
      'a path in the filename',
      'not-a-distribution',
      { filename: '../foo-1.zip', url: '/..%2Ffoo-1.zip' },
    ],
  ] as const)('drops %s', (_, reason, facts) => {
    if (facts === undefined)
      expect(read({ files: ['x', null, []] }).dropped).toEqual({ 'bad-entry': 3 });
    else expect(droppedBy(facts)).toEqual({ [reason]: 1 });
  });

  it('keeps the first of two equal listings', () => {
    const reading = read({ files: [entry(), entry({ url: 'https://other.test/foo-1.0.tar.gz' })] });
    expect(reading.detail.files.map(({ url }) => url)).toEqual([
      'https://files.test/foo-1.0.tar.gz',
    ]);
    expect([reading.dropped, reading.conflicts]).toEqual([{ duplicate: 1 }, []]);
  });

  it('keeps none of contradicting listings, however many (fault B8)', () => {
    const other = entry({ hashes: { sha256: sha256('b') } });
    const reading = read({ files: [entry(), other, entry()] });
    expect(reading.detail.files).toEqual([]);
    expect([reading.dropped, reading.conflicts]).toEqual([{ conflict: 3 }, ['foo-1.0.tar.gz']]);
  });

  it('takes listings without a common digest for different files, unless the URL is the same', () => {
    const bare = { hashes: {} };
    expect(read({ files: [entry(), entry(bare)] }).conflicts).toEqual([]);
    expect(
      read({ files: [entry(), entry({ ...bare, url: '/foo-1.0.tar.gz' })] }).conflicts.length,
    ).toBe(1);
  });
});

describe('single facts', () => {
  it('resolves relative links and strips credentials and fragment (protocol §1, fault B4)', () => {
    expect(readEntry({ url: '../../p/foo-1.0.tar.gz' })?.url).toBe(
      'https://index.test/p/foo-1.0.tar.gz',
    );
    expect(readEntry({ url: 'https://u:p@files.test/foo-1.0.tar.gz#egg=foo' })?.url).toBe(
      'https://files.test/foo-1.0.tar.gz',
    );
  });

  it('does not inherit the credentials of the page’s own address', () => {
    const context = { ...FOO, pageUrl: 'https://u:p@index.test/simple/foo/' };
    const reading = readJsonPage(
      JSON.stringify(page({ files: [entry({ url: 'foo-1.0.tar.gz' })] })),
      context,
    );
    expect(reading.detail.files[0]?.url).toBe('https://index.test/simple/foo/foo-1.0.tar.gz');
  });

  it('takes a plus in the URL, encoded or not (protocol §1)', () => {
    const filename = 'foo-1.0+cpu.zip';
    expect(readEntry({ filename, url: '/foo-1.0+cpu.zip' })?.filename).toBe(filename);
    expect(readEntry({ filename, url: '/foo-1.0%2Bcpu.zip' })?.filename).toBe(filename);
  });

  it('adds digests of the fragment, in lower case', () => {
    const url = `/foo-1.0.tar.gz#md5=${'B'.repeat(32)}`;
    expect(readEntry({ url })?.hashes).toEqual({ sha256: sha256('a'), md5: 'b'.repeat(32) });
  });

  it('takes missing hashes as none', () => {
    expect(readEntry({ hashes: undefined })?.hashes).toEqual({});
  });

  it.each([
    [true, ''],
    ['bad', 'bad'],
    ['', false],
    [false, false],
    [null, false],
    [undefined, false],
    [1, false],
  ])('reads yanked %j as %j (PEP 691)', (yanked, expected) => {
    expect(readEntry({ yanked })?.yanked).toBe(expected);
  });

  it.each([
    [{ 'core-metadata': true }, true],
    [{ 'core-metadata': {} }, true],
    [{ 'core-metadata': { sha256: sha256('B') } }, { sha256: sha256('b') }],
    [{ 'core-metadata': { sha256: 'nonsense' } }, false],
    [{ 'core-metadata': false, 'dist-info-metadata': true }, false],
    [{ 'dist-info-metadata': { sha256: sha256('b') } }, { sha256: sha256('b') }],
    [{ 'data-dist-info-metadata': true }, true],
    [{}, false],
  ])('reads core metadata out of %j (PEP 714)', (facts, expected) => {
    expect(readEntry(facts)?.coreMetadata).toEqual(expected);
  });

  it.each([
    ['2024-05-06T07:08:09Z', '2024-05-06T07:08:09Z'],
    ['2024-05-06T07:08:09.123456+00:00', '2024-05-06T07:08:09.123456Z'],
    ['2024-05-06 07:08:09+02:00', '2024-05-06T05:08:09.000Z'],
    ['2024-05-06', null],
    ['2024-99-06T07:08:09Z', null],
    [7, null],
  ])('reads upload time %j as %j (PEP 700)', (time, expected) => {
    expect(readEntry({ 'upload-time': time })?.uploadTime).toBe(expected);
  });

  it('reads an unknown project status as active (PEP 792)', () => {
    expect(read({ 'project-status': { status: 'frozen' } }).detail.status).toBe('active');
    expect(read({ 'project-status': { status: 'quarantined' } }).detail.status).toBe('quarantined');
  });

  it('prefers the serial of the header', () => {
    const text = JSON.stringify(page({ meta: { '_last-serial': 5 } }));
    expect(readJsonPage(text, FOO).detail.lastSerial).toBe(5);
    expect(readJsonPage(text, { ...FOO, serial: 7 }).detail.lastSerial).toBe(7);
  });
});

describe('unknown keys (protocol §3)', () => {
  it('keeps them verbatim on the page, in meta and on files', () => {
    const { detail } = read({
      meta: { 'api-version': '1.5', _private: [1], future: { a: null } },
      namespaces: null,
      files: [entry({ variant: { x: [1, 2] } })],
    });
    expect(detail.extra).toEqual({
      namespaces: null,
      meta: { _private: [1], future: { a: null } },
    });
    expect(detail.files[0]?.extra).toEqual({ variant: { x: [1, 2] } });
  });

  it('leaves out __proto__, and values nested too deep to be written again', () => {
    const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
    const file = JSON.stringify(entry()).slice(0, -1);
    const { detail } = readJsonPage(
      `{"__proto__":{"polluted":1},"files":[${file},"__proto__":{"polluted":1},"deep":${deep},"constructor":2}]}`,
      FOO,
    );
    expect(Object.keys(detail.extra)).toEqual([]);
    expect(Object.entries(detail.files[0]?.extra ?? {})).toEqual([['constructor', 2]]);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(writeJsonPage(detail, { linkTo: () => 'x' })).toContain('"constructor":2');
  });
});
