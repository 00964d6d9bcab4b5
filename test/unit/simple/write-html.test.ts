import { describe, expect, it } from 'vitest';
import type { ProjectName } from '../../../src/packaging/names.ts';
import type { DistributionFile, ProjectDetail } from '../../../src/simple/model.ts';
import { writeHtmlList, htmlPagePieces, writeHtmlPage } from '../../../src/simple/write-html.ts';
import { aFile, aPage, sha256 } from './pages.ts';

const linkTo = ({ filename }: DistributionFile): string => `../../packages/${filename}`;
const write = (detail: ProjectDetail): string => writeHtmlPage(detail, { linkTo });
const anchor = (facts: Partial<DistributionFile>): string =>
  write(aPage({ files: [aFile(facts)] })).match(/<a .*/)?.[0] ?? '';

describe('the HTML page (protocol §4)', () => {
  it('says everything that is known, with PyPI’s order of attributes', () => {
    const page = aPage({
      status: 'archived',
      statusReason: 'no "time"',
      lastSerial: 7,
      files: [
        aFile({
          filename: 'foo-1.0-py3-none-any.whl',
          hashes: { md5: 'd'.repeat(32), sha256: sha256('a') },
          requiresPython: '>=3.8,<4',
          sizeBytes: 12,
          uploadTime: '2024-05-06T07:08:09Z',
          coreMetadata: { sha256: sha256('b') },
          yanked: 'bad',
          provenance: 'https://index.test/p?a&b',
          gpgSig: true,
        }),
      ],
    });
    expect(write(page)).toBe(`<!DOCTYPE html>
<html>
  <head>
    <meta charset="utf-8">
    <meta name="pypi:repository-version" content="1.4">
    <meta name="generator" content="wheelcellar">
    <meta name="pypi:project-status" content="archived">
    <meta name="pypi:project-status-reason" content="no &quot;time&quot;">
    <title>Links for foo</title>
  </head>
  <body>
    <h1>Links for foo</h1>
    <a href="../../packages/foo-1.0-py3-none-any.whl#sha256=${sha256('a')}" data-requires-python="&gt;=3.8,&lt;4" data-yanked="bad" data-dist-info-metadata="sha256=${sha256('b')}" data-core-metadata="sha256=${sha256('b')}" data-provenance="https://index.test/p?a&amp;b" data-gpg-sig="true" data-upload-time="2024-05-06T07:08:09Z" data-size="12">foo-1.0-py3-none-any.whl</a><br>
  </body>
</html>
<!--SERIAL 7-->
`);
  });

  it('writes a bare file without attributes', () => {
    expect(anchor({})).toBe('<a href="../../packages/foo-1.0.tar.gz">foo-1.0.tar.gz</a><br>');
  });

  it('links with sha256, else with the strongest other digest', () => {
    const weak = { md5: 'd'.repeat(32), sha1: 'e'.repeat(40) };
    expect(anchor({ hashes: { ...weak, sha512: 'f'.repeat(128) } })).toContain('#sha512=');
    expect(anchor({ hashes: weak })).toContain('#sha1=');
  });

  it('keeps a yank, with and without a reason (PEP 592)', () => {
    expect(anchor({ yanked: '' })).toContain(' data-yanked=""');
    expect(anchor({ yanked: false })).not.toContain('data-yanked');
  });

  it('advertises metadata without digest as true', () => {
    expect(anchor({ coreMetadata: true })).toContain(
      'data-dist-info-metadata="true" data-core-metadata="true"',
    );
    const page = aPage({ files: [aFile({ coreMetadata: true })] });
    expect(writeHtmlPage(page, { linkTo, coreMetadataOf: () => false })).not.toContain('metadata');
  });

  it('escapes whatever upstream wrote, and keeps an anchor on one line (fault B6)', () => {
    const line = anchor({ yanked: '"><script>\n\'&', requiresPython: '">\r\n<img>' });
    expect(line).toContain('data-requires-python="&quot;&gt;&#13;&#10;&lt;img&gt;"');
    expect(line).toContain('data-yanked="&quot;&gt;&lt;script&gt;&#10;&#x27;&amp;"');
    expect(line).toMatch(/<\/a><br>$/);
  });

  it('declares 1.0 while a size is missing (PEP 700)', () => {
    const page = aPage({ files: [aFile({ sizeBytes: 1 }), aFile({ filename: 'foo-2.zip' })] });
    expect(write(page)).toContain('<meta name="pypi:repository-version" content="1.0">');
  });

  it('offers no files of a quarantined project (PEP 792)', () => {
    expect(write(aPage({ status: 'quarantined', files: [aFile()] }))).not.toContain('<a ');
  });

  it('writes a huge page in small pieces', () => {
    const page = aPage({
      files: Array.from({ length: 2000 }, (_, n) => aFile({ filename: `foo-${n}.zip` })),
    });
    const lengths = [...htmlPagePieces(page, { linkTo })].map((piece) => piece?.length ?? 0);
    expect(lengths.length).toBeGreaterThan(20);
    expect(Math.max(...lengths)).toBeLessThan(write(page).length / 10);
  });
});

describe('the HTML root page (protocol §1)', () => {
  it('links each project, relatively', () => {
    const page = writeHtmlList(['bar', 'foo'] as ProjectName[]);
    expect(page).toContain('<a href="bar/">bar</a><br>\n    <a href="foo/">foo</a><br>\n');
    expect(page).toContain('<meta name="pypi:repository-version" content="1.4">');
  });
});
