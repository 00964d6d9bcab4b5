import { describe, expect, it } from 'vitest';
import type { ProjectName } from '../../../src/packaging/names.ts';
import type { DistributionFile, ProjectDetail } from '../../../src/simple/model.ts';
import { writeJsonList, jsonPagePieces, writeJsonPage } from '../../../src/simple/write-json.ts';
import { aFile, aPage, sha256 } from './pages.ts';

const linkTo = ({ filename }: DistributionFile): string => `../../packages/${filename}`;
const write = (detail: ProjectDetail): unknown => JSON.parse(writeJsonPage(detail, { linkTo }));
const writeFile = (facts: Partial<DistributionFile>): unknown =>
  (write(aPage({ files: [aFile(facts)] })) as { files: unknown[] }).files[0];

const full = aFile({
  filename: 'foo-1.0-py3-none-any.whl',
  hashes: { sha256: sha256('a') },
  requiresPython: '>=3.8',
  sizeBytes: 0,
  uploadTime: '2024-05-06T07:08:09Z',
  coreMetadata: { sha256: sha256('b') },
  yanked: 'bad "quotes"\n',
  provenance: 'https://index.test/p',
  gpgSig: true,
  extra: { future: [1] },
});

describe('the JSON page (protocol §3)', () => {
  it('says everything that is known, in a stable order', () => {
    const page = aPage({
      status: 'deprecated',
      statusReason: 'use bar',
      lastSerial: 7,
      files: [full],
      extra: { other: null, meta: { future: 1 } },
    });
    expect(writeJsonPage(page, { linkTo })).toBe(
      '{"meta":{"api-version":"1.4","_last-serial":7,"future":1},"name":"foo",' +
        '"project-status":{"status":"deprecated","reason":"use bar"},"versions":["1.0"],"other":null,' +
        '"files":[{"filename":"foo-1.0-py3-none-any.whl","url":"../../packages/foo-1.0-py3-none-any.whl",' +
        `"hashes":{"sha256":"${sha256('a')}"},"requires-python":">=3.8","size":0,` +
        `"upload-time":"2024-05-06T07:08:09Z","core-metadata":{"sha256":"${sha256('b')}"},` +
        '"yanked":"bad \\"quotes\\"\\n","provenance":"https://index.test/p","gpg-sig":true,"future":[1]}]}',
    );
  });

  it('leaves out what says nothing, but never hashes (PEP 691)', () => {
    expect(writeFile({ gpgSig: false })).toEqual({
      filename: 'foo-1.0.tar.gz',
      url: '../../packages/foo-1.0.tar.gz',
      hashes: {},
    });
  });

  it('writes a yank without reason as true (PEP 592)', () => {
    expect(writeFile({ yanked: '' })).toMatchObject({ yanked: true });
  });

  it('declares 1.0 and no versions while a size is missing (PEP 700)', () => {
    const page = aPage({ versions: ['1.0'], files: [full, aFile()] });
    expect(write(page)).toMatchObject({ meta: { 'api-version': '1.0' } });
    expect(write(page)).not.toHaveProperty('versions');
    expect(write(page)).toHaveProperty(['files', 0, 'size'], 0);
    expect(write(page)).toHaveProperty(['files', 0, 'upload-time']);
  });

  it('declares 1.4 for a page without files', () => {
    expect(write(aPage())).toEqual({
      meta: { 'api-version': '1.4' },
      name: 'foo',
      versions: [],
      files: [],
    });
  });

  it('gives the index’s own versions, else those of the filenames, normalized and sorted', () => {
    const names = [
      'foo-1.10.zip',
      'foo-1.9.zip',
      'foo-1.9-py3-none-any.whl',
      'foo-2.0-Beta1.zip',
      'foo-x.zip',
    ];
    const files = names.map((filename) => aFile({ filename, sizeBytes: 1 }));
    expect(write(aPage({ files }))).toMatchObject({ versions: ['1.9', '1.10', '2.0b1'] });
    expect(write(aPage({ files, versions: ['9', '1'] }))).toMatchObject({ versions: ['9', '1'] });
  });

  it('never lets an unknown key override a known one, said or unsaid', () => {
    const extra = { url: 'evil', yanked: true, size: 5, hashes: {} };
    expect(writeFile({ extra })).toEqual({
      filename: 'foo-1.0.tar.gz',
      url: '../../packages/foo-1.0.tar.gz',
      hashes: {},
    });
    const page = write(
      aPage({
        extra: {
          name: 'evil',
          files: [1],
          versions: ['6'],
          meta: { 'api-version': '9', '_last-serial': 9 },
        },
      }),
    );
    expect(page).toEqual({ meta: { 'api-version': '1.4' }, name: 'foo', versions: [], files: [] });
  });

  it('advertises the core metadata that it is told to (protocol §1)', () => {
    const page = aPage({ files: [full] });
    expect(JSON.parse(writeJsonPage(page, { linkTo, coreMetadataOf: () => true }))).toHaveProperty(
      ['files', 0, 'core-metadata'],
      true,
    );
    expect(
      JSON.parse(writeJsonPage(page, { linkTo, coreMetadataOf: () => false })),
    ).not.toHaveProperty(['files', 0, 'core-metadata']);
  });

  it('offers no files of a quarantined project (PEP 792)', () => {
    const page = aPage({ status: 'quarantined', versions: ['1.0'], files: [full] });
    expect(write(page)).toMatchObject({ 'project-status': { status: 'quarantined' }, files: [] });
  });

  it('writes a huge page in small pieces', () => {
    const files = Array.from({ length: 2000 }, (_, n) =>
      aFile({ filename: `foo-${n}.zip`, sizeBytes: n }),
    );
    const page = aPage({ files });
    const pieces = [...jsonPagePieces(page, { linkTo })];
    const lengths = pieces.map((piece) => piece?.length ?? 0);
    expect(lengths.length).toBeGreaterThan(20);
    expect(Math.max(...lengths)).toBeLessThan(writeJsonPage(page, { linkTo }).length / 10);
  });
});

describe('the JSON root page (protocol §1)', () => {
  it('names each project once', () => {
    expect(writeJsonList(['bar', 'foo'] as ProjectName[])).toBe(
      '{"meta":{"api-version":"1.4"},"projects":[{"name":"bar"},{"name":"foo"}]}',
    );
  });
});
