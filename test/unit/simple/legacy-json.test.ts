import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidUpstreamAnswerError } from '../../../src/core/errors.ts';
import { metadataFacts } from '../../../src/packaging/core-metadata.ts';
import type { DistributionFile } from '../../../src/simple/model.ts';
import {
  enrich,
  readLegacyJson,
  readLegacyJsonInSlices,
} from '../../../src/simple/read-legacy-json.ts';
import {
  describedVersion,
  legacyJsonPieces,
  writeLegacyJson,
} from '../../../src/simple/write-legacy-json.ts';
import { aFile, aPage, FOO, sha256 } from './pages.ts';

const { project } = FOO;
const WHEEL = 'foo-1.0-py3-none-any.whl';

/** An entry as the official index writes it, shortened. */
const ENTRY = {
  filename: WHEEL,
  digests: { md5: 'a'.repeat(32), sha256: sha256('a'), blake2b_256: sha256('b') },
  size: 1234,
  upload_time: '2024-05-06T07:08:09',
  upload_time_iso_8601: '2024-05-06T07:08:09.123456Z',
  requires_python: '>=3.8',
  yanked: true,
  yanked_reason: 'broken',
  'core-metadata': { sha256: sha256('c') },
  url: '../../packages/packages/nonsense.whl',
};
const FACTS = {
  hashes: ENTRY.digests,
  sizeBytes: 1234,
  uploadTime: '2024-05-06T07:08:09.123456Z',
  requiresPython: '>=3.8',
  yanked: 'broken',
  coreMetadata: { sha256: sha256('c') },
};

const legacy = (entries: readonly unknown[], more: object = {}): string =>
  JSON.stringify({ info: { name: 'Foo' }, last_serial: 7, releases: { '1.0': entries }, ...more });

const read = (entry: object) =>
  readLegacyJson(legacy([{ ...ENTRY, ...entry }]), project).files.get(WHEEL);

describe('readLegacyJson', () => {
  it('reads all that the page may leave unsaid, whole or in slices', async () => {
    const text = legacy([ENTRY]);
    expect(readLegacyJson(text, project)).toEqual({
      name: 'foo',
      lastSerial: 7,
      requires: null,
      files: new Map([[WHEEL, FACTS]]),
    });
    expect(await readLegacyJsonInSlices(Buffer.from(text), project)).toEqual(
      readLegacyJson(text, project),
    );
  });

  it('reads what its version requires, and passes over what is no text', () => {
    const requires = ['bar>=1', 'baz; extra == "more"'];
    const info = { name: 'foo', requires_dist: [...requires, 7, null] };
    expect(readLegacyJson(legacy([], { info }), project).requires).toEqual(requires);
    const none = { name: 'foo', requires_dist: 'bar' };
    expect(readLegacyJson(legacy([], { info: none }), project).requires).toBeNull();
  });

  it('reads a document about one version', () => {
    const text = JSON.stringify({ info: { name: 'foo' }, urls: [ENTRY] });
    expect(readLegacyJson(text, project)).toMatchObject({
      lastSerial: null,
      files: new Map([[WHEEL, FACTS]]),
    });
  });

  it('takes the older upload time as UTC', () => {
    expect(read({ upload_time_iso_8601: undefined })?.uploadTime).toBe('2024-05-06T07:08:09Z');
    expect(read({ upload_time_iso_8601: 'soon', upload_time: 5 })?.uploadTime).toBeNull();
  });

  it.each([
    [{ size: -1 }, { sizeBytes: null }],
    [{ size: '12' }, { sizeBytes: null }],
    [{ requires_python: '' }, { requiresPython: null }],
    [{ requires_python: '\ud800' }, { requiresPython: null }],
    [{ yanked: false }, { yanked: false }],
    [{ yanked_reason: null }, { yanked: '' }],
    [{ 'core-metadata': true }, { coreMetadata: true }],
    [{ 'core-metadata': undefined }, { coreMetadata: false }],
    [{ 'core-metadata': { sha256: 'zz' } }, { coreMetadata: false }],
    [{ digests: undefined }, { hashes: {} }],
  ])('reads %j as %j', (entry, expected) => {
    expect(read(entry)).toMatchObject(expected);
  });

  it('leaves out entries that cannot be used', () => {
    const bad = [
      null,
      5,
      [],
      {},
      { ...ENTRY, filename: 5 },
      { ...ENTRY, filename: '../foo-1.0.tar.gz' },
      { ...ENTRY, filename: 'bar-1.0.tar.gz' },
      { ...ENTRY, filename: 'foo-1.0.txt' },
      { ...ENTRY, filename: 'foo-2.0.tar.gz', digests: { sha256: 'short' } },
    ];
    expect([...readLegacyJson(legacy([...bad, ENTRY, ENTRY]), project).files.keys()]).toEqual([
      WHEEL,
    ]);
    const other = { ...ENTRY, digests: { sha256: sha256('f') } };
    expect(readLegacyJson(legacy([ENTRY, other, ENTRY]), project).files.size).toBe(0);
  });

  it.each([
    ['not JSON'],
    ['[]'],
    ['null'],
    ['{"info":{"name":"bar"}}'],
    ['{"info":{"name":5}}'],
    ['[['.repeat(50_000)],
  ])('refuses %.30s', (text) => {
    expect(() => readLegacyJson(text, project)).toThrow(InvalidUpstreamAnswerError);
  });

  it('takes any other shape without complaint', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (releases, urls, serial) => {
        const text = JSON.stringify({
          releases: { a: releases, b: [releases] },
          urls,
          last_serial: serial,
        });
        return readLegacyJson(text, project).files.size === 0;
      }),
    );
    expect(readLegacyJson('{"__proto__":{"releases":{}},"info":null}', project).files.size).toBe(0);
  });
});

describe('enrich', () => {
  const facts = readLegacyJson(legacy([ENTRY]), project);
  const enrichFile = (file: Partial<DistributionFile>): DistributionFile | undefined =>
    enrich(
      aPage({ files: [aFile({ filename: WHEEL, hashes: { sha256: sha256('a') }, ...file })] }),
      facts,
    ).files[0];

  it('fills in what the page leaves unsaid, and nothing else', () => {
    const { hashes: _hashes, yanked: _yanked, ...filled } = FACTS;
    const file = aFile({ filename: WHEEL, hashes: { sha256: sha256('a') } });
    const enriched = enrich(aPage({ files: [file] }), facts);
    expect(enriched).toEqual(aPage({ files: [{ ...file, ...filled }], lastSerial: 7 }));
  });

  it('never changes what the page says', () => {
    const said = {
      sizeBytes: 1,
      uploadTime: '2020-01-01T00:00:00Z',
      requiresPython: '>=2',
      coreMetadata: true,
      yanked: 'other',
    } as const;
    expect(enrichFile(said)).toMatchObject(said);
    expect(enrich(aPage({ lastSerial: 3 }), facts).lastSerial).toBe(3);
  });

  it('adds the reason of a yank, but does not yank', () => {
    expect(enrichFile({ yanked: '' })?.yanked).toBe('broken');
    expect(enrichFile({ yanked: false })?.yanked).toBe(false);
  });

  it('takes no metadata without a digest', () => {
    const vague = readLegacyJson(legacy([{ ...ENTRY, 'core-metadata': true }]), project);
    const page = aPage({ files: [aFile({ filename: WHEEL, hashes: { sha256: sha256('a') } })] });
    expect(enrich(page, vague).files[0]?.coreMetadata).toBe(false);
  });

  it.each([
    ['the same md5, where the page gives no more', { md5: 'a'.repeat(32) }, ENTRY.digests, 1234],
    ['another sha256', { sha256: sha256('0') }, ENTRY.digests, null],
    ['another md5', { md5: '0'.repeat(32) }, ENTRY.digests, null],
    [
      'the same sha256 and another md5',
      { sha256: sha256('a'), md5: '0'.repeat(32) },
      ENTRY.digests,
      null,
    ],
    ['no digest on the page', {}, ENTRY.digests, null],
    ['no digest in the legacy JSON', { sha256: sha256('a') }, {}, null],
    [
      'only an md5 in the legacy JSON',
      { sha256: sha256('a'), md5: 'a'.repeat(32) },
      { md5: 'a'.repeat(32) },
      null,
    ],
  ])('with %s', (_, hashes, digests, sizeBytes) => {
    const told = readLegacyJson(legacy([{ ...ENTRY, digests }]), project);
    const page = aPage({ files: [aFile({ filename: WHEEL, hashes })] });
    expect(enrich(page, told).files[0]?.sizeBytes).toBe(sizeBytes);
  });

  it('gives the page itself when there is nothing to add', () => {
    const page = aPage({ files: [aFile()], lastSerial: 1 });
    expect(enrich(page, facts)).toBe(page);
    const done = enrich(
      aPage({ files: [aFile({ filename: WHEEL, hashes: ENTRY.digests })] }),
      facts,
    );
    expect(enrich(done, facts)).toBe(done);
  });
});

describe('writeLegacyJson', () => {
  const linkTo = ({ filename }: DistributionFile): string =>
    `http://mirror.test/packages/${filename}`;
  const write = (files: readonly DistributionFile[], more: object = {}) => {
    const text = writeLegacyJson(aPage({ files, lastSerial: 9 }), { linkTo, ...more });
    return text === undefined ? undefined : (JSON.parse(text) as Record<string, any>); // oxlint-disable-line typescript/no-explicit-any -- a document to look into
  };
  const named = (filename: string, yanked: false | string = false) => aFile({ filename, yanked });

  it('writes what pip-tools reads: normalized versions, URLs, sha256 and package types', () => {
    const sdist = aFile({ filename: 'foo-1.0.0-1.tar.gz', hashes: { sha256: sha256('1') } });
    const wheel = aFile({
      filename: 'foo-1.0.0.post1-py2.py3-none-any.whl',
      hashes: { sha256: sha256('2') },
      sizeBytes: 5,
      uploadTime: '2024-05-06T07:08:09.123Z',
      requiresPython: '>=3',
      yanked: 'bad',
    });
    const document = write([sdist, wheel]);
    expect(Object.keys(document?.['releases'])).toEqual(['1.0.0.post1']);
    expect(document?.['releases']['1.0.0.post1']).toEqual(document?.['urls']);
    expect(document?.['urls']).toMatchObject([
      {
        packagetype: 'sdist',
        python_version: 'source',
        digests: { sha256: sha256('1') },
        url: linkTo(sdist),
        yanked: false,
        yanked_reason: null,
        upload_time: null,
      },
      {
        packagetype: 'bdist_wheel',
        python_version: 'py2.py3',
        digests: { sha256: sha256('2') },
        size: 5,
        requires_python: '>=3',
        upload_time: '2024-05-06T07:08:09',
        upload_time_iso_8601: '2024-05-06T07:08:09.123Z',
        yanked: true,
        yanked_reason: 'bad',
      },
    ]);
    expect(document).toMatchObject({
      last_serial: 9,
      info: { name: 'foo', version: '1.0.0.post1', yanked: false },
    });
    expect(document).not.toHaveProperty('vulnerabilities');
  });

  it.each([
    [
      'the newest final version',
      ['foo-1.9.tar.gz', 'foo-1.10.tar.gz', 'foo-2.0rc1.tar.gz'],
      [],
      '1.10',
    ],
    [
      'the newest that is not yanked',
      ['foo-1.9.tar.gz', 'foo-1.10.tar.gz'],
      ['foo-1.10.tar.gz'],
      '1.9',
    ],
    [
      'a pre-release before a yanked one',
      ['foo-1.0.tar.gz', 'foo-2.0a1.tar.gz'],
      ['foo-1.0.tar.gz'],
      '2.0a1',
    ],
    [
      'the newest yanked one when all are',
      ['foo-1.0.tar.gz', 'foo-2.0.tar.gz'],
      ['foo-1.0.tar.gz', 'foo-2.0.tar.gz'],
      '2.0',
    ],
    ['a version that is none', ['foo-final.tar.gz'], [], 'final'],
  ])('describes %s', async (_, filenames, yanked, expected) => {
    const files = filenames.map((filename) =>
      named(filename, yanked.includes(filename) ? '' : false),
    );
    expect(write(files)?.['info'].version).toBe(expected);
    expect(await describedVersion(aPage({ files }))).toBe(expected);
  });

  it('writes one version, in whatever spelling it is asked for', () => {
    const files = [named('foo-1.0.tar.gz'), named('foo-2.0rc1.tar.gz', 'why')];
    const document = write(files, { version: '2.0-RC.1' });
    expect(document?.['info']).toMatchObject({
      version: '2.0rc1',
      yanked: true,
      yanked_reason: 'why',
    });
    expect(document?.['urls']).toHaveLength(1);
    expect(document).not.toHaveProperty('releases');
  });

  it('writes nothing about a version or project that has no files', async () => {
    expect(write([named('foo-1.0.tar.gz')], { version: '3' })).toBeUndefined();
    expect(write([named('foo-1.0.tar.gz')], { version: '__proto__' })).toBeUndefined();
    expect(write([])).toBeUndefined();
    const page = aPage({ files: [named('foo-1.0.tar.gz')], status: 'quarantined' });
    expect(writeLegacyJson(page, { linkTo })).toBeUndefined();
    expect(await describedVersion(page)).toBeUndefined();
  });

  it('takes requirements out of core metadata of that very version', () => {
    const text =
      'Name: Foo\nVersion: 1.0\nSummary: s\nRequires-Python: >=3.9\nRequires-Dist: a\nProject-URL: Source, https://a.test/\n';
    const metadata = metadataFacts(Buffer.from(text));
    expect(write([named('foo-1.0.tar.gz')], { metadata })?.['info']).toMatchObject({
      name: 'Foo',
      summary: 's',
      requires_dist: ['a'],
      requires_python: '>=3.9',
      project_urls: { Source: 'https://a.test/' },
    });
    expect(write([named('foo-1.1.tar.gz')], { metadata })?.['info']).toMatchObject({
      name: 'foo',
      summary: null,
      requires_dist: null,
    });
  });

  it('writes a huge project in small pieces, and what it writes can be read', async () => {
    const files = Array.from({ length: 2000 }, (_, index) =>
      aFile({
        filename: `foo-${index >> 1}.0${index % 2 === 0 ? '.tar.gz' : '-py3-none-any.whl'}`,
        hashes: { sha256: sha256('a') },
        sizeBytes: index,
      }),
    );
    const page = aPage({ files });
    const text = writeLegacyJson(page, { linkTo }) ?? '';
    const pieces = [...legacyJsonPieces(page, { linkTo })];
    expect(Math.max(...pieces.map((piece) => piece?.length ?? 0))).toBeLessThan(100_000);
    const bare = aPage({ files: files.map((file) => ({ ...file, sizeBytes: null })) });
    expect(enrich(bare, await readLegacyJsonInSlices(Buffer.from(text), project))).toEqual(page);
  });
});
