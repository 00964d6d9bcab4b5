import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidUpstreamAnswerError } from '../../../src/core/errors.ts';
import type { ProjectName } from '../../../src/packaging/names.ts';
import type { DistributionFile } from '../../../src/simple/model.ts';
import { readHtmlPage } from '../../../src/simple/read-html.ts';
import { aFile, FOO, sha256 } from './pages.ts';

const readAnchor = (attributes: string, href = '/foo-1.0.tar.gz'): DistributionFile | undefined =>
  readHtmlPage(`<a href="${href}" ${attributes}>foo-1.0.tar.gz</a>`, FOO).detail.files[0];

const filenames = (html: string): readonly string[] =>
  readHtmlPage(html, FOO).detail.files.map(({ filename }) => filename);

describe('shapes of pages in the wild', () => {
  it('reads the official index’s page (protocol §4)', () => {
    const reading = readHtmlPage(
      `<!DOCTYPE html>
<html>
  <head>
    <meta name="pypi:repository-version" content="1.4">
<meta name="pypi:project-status" content="archived">
<meta name="pypi:project-status-reason" content="no time &amp; no money">
    <title>Links for foo</title>
  </head>
  <body>
    <h1>Links for foo</h1>
<a href="https://files.test/packages/aa/foo-1.0-py3-none-any.whl#sha256=${sha256('a')}" data-requires-python="&gt;=3.8,&lt;4" data-dist-info-metadata="sha256=${sha256('b')}" data-core-metadata="sha256=${sha256('b')}" data-yanked="" data-provenance="https://index.test/integrity/x" data-gpg-sig="false">foo-1.0-py3-none-any.whl</a><br />
<a href="https://files.test/packages/bb/foo-1.0.tar.gz#sha256=${sha256('c')}" data-upload-time="2024-05-06T07:08:09.123456Z" data-size="321">foo-1.0.tar.gz</a><br />
</body>
</html>
<!--SERIAL 12345-->`,
      FOO,
    );
    expect(reading).toEqual({
      detail: {
        name: 'foo',
        status: 'archived',
        statusReason: 'no time & no money',
        versions: null,
        lastSerial: 12345,
        extra: {},
        files: [
          aFile({
            filename: 'foo-1.0-py3-none-any.whl',
            url: 'https://files.test/packages/aa/foo-1.0-py3-none-any.whl',
            hashes: { sha256: sha256('a') },
            requiresPython: '>=3.8,<4',
            coreMetadata: { sha256: sha256('b') },
            yanked: '',
            provenance: 'https://index.test/integrity/x',
            gpgSig: false,
          }),
          aFile({
            url: 'https://files.test/packages/bb/foo-1.0.tar.gz',
            hashes: { sha256: sha256('c') },
            sizeBytes: 321,
            uploadTime: '2024-05-06T07:08:09.123456Z',
          }),
        ],
      },
      dropped: {},
      conflicts: [],
      looksLikeIndex: true,
    });
  });

  it('reads a devpi page, with its root link and relative file links', () => {
    const reading = readHtmlPage(
      `<!DOCTYPE html><html><head><title>root/pypi: links for foo</title></head><body><h1>root/pypi: links for foo</h1>
<form action="/root/pypi/+simple/foo/refresh" method="post"><input name="refresh" type="submit" value="Refresh"></form>
  <a href="../../+f/aaa/foo-1.0.tar.gz#sha256=${sha256('a')}">foo-1.0.tar.gz</a><br/>
</body></html>`,
      { ...FOO, pageUrl: 'http://devpi.test/root/pypi/+simple/foo/' },
    );
    expect(reading.detail.files).toEqual([
      aFile({
        url: 'http://devpi.test/root/pypi/+f/aaa/foo-1.0.tar.gz',
        hashes: { sha256: sha256('a') },
      }),
    ]);
  });

  it('reads a PyTorch page, where a local version is encoded in the link', () => {
    const html = `<!DOCTYPE html><html><body><h1>Links for foo</h1>
    <a href="/whl/cu118/foo-2.1.0%2Bcu118-cp310-cp310-linux_x86_64.whl#sha256=${sha256('a')}">foo-2.1.0+cu118-cp310-cp310-linux_x86_64.whl</a><br/>
    </body></html><!--TIMESTAMP 1700000000-->`;
    expect(filenames(html)).toEqual(['foo-2.1.0+cu118-cp310-cp310-linux_x86_64.whl']);
  });

  it('takes one project’s files out of a find-links page', () => {
    const html = `<a href="cpu/foo-1.0-py3-none-any.whl">cpu/foo-1.0-py3-none-any.whl</a><br>
      <a href="cpu/bar-1.0-py3-none-any.whl">cpu/bar-1.0-py3-none-any.whl</a><br>
      <a href="../">Parent Directory</a> <a href="?C=M;O=A">Last modified</a>`;
    const context = {
      ...FOO,
      pageUrl: 'https://index.test/whl/torch_stable.html',
      layout: 'find-links' as const,
    };
    const reading = readHtmlPage(html, context);
    expect(reading.detail.files.map(({ url }) => url)).toEqual([
      'https://index.test/whl/cpu/foo-1.0-py3-none-any.whl',
    ]);
    expect(reading.dropped).toEqual({ 'other-project': 1, 'not-a-distribution': 2 });
    expect(readHtmlPage(html, { ...context, project: 'baz' as ProjectName }).looksLikeIndex).toBe(
      true,
    );
  });

  it('reads a GitLab page, with its hash folder and quoted specifiers', () => {
    const html = `<!DOCTYPE html>
<html>
<head><title>Links for foo</title></head>
<body><h1>Links for foo</h1>
<a href="https://gitlab.test/api/v4/projects/1/packages/pypi/files/${sha256('a')}/foo-1.0.tar.gz#sha256=${sha256('a')}" data-requires-python="&gt;=3.6">foo-1.0.tar.gz</a><br></body></html>`;
    expect(readHtmlPage(html, FOO).detail.files[0]).toMatchObject({ requiresPython: '>=3.6' });
  });
});

describe('what counts as an index page (fault B15)', () => {
  it('is not sure about a page without pypi: meta and without any distribution file', () => {
    expect(
      readHtmlPage('<html><form action="/login">Accept terms</form><a href="/help">?</a>', FOO)
        .looksLikeIndex,
    ).toBe(false);
    expect(readHtmlPage('', FOO).looksLikeIndex).toBe(false);
  });

  it('knows an empty index page by its meta element', () => {
    const html = '<meta name="pypi:repository-version" content="1.0">';
    expect(readHtmlPage(html, FOO)).toMatchObject({ looksLikeIndex: true, detail: { files: [] } });
  });

  it.each(['2.0', '11.0', 'nonsense', ''])('refuses repository version %j (PEP 629)', (version) => {
    const html = `<meta name="pypi:repository-version" content="${version}">`;
    expect(() => readHtmlPage(html, FOO)).toThrow(InvalidUpstreamAnswerError);
  });
});

describe('anchors', () => {
  it.each([
    ['data-yanked', ''],
    ['data-yanked=""', ''],
    ['data-yanked="&quot;>&lt;script>"', '"><script>'],
    ['', false],
  ])('reads yanked out of %j (PEP 592: presence counts)', (attributes, expected) => {
    expect(readAnchor(attributes)?.yanked).toBe(expected);
  });

  it.each([
    ['data-core-metadata="true"', true],
    [`data-core-metadata="sha256=${sha256('B')}"`, { sha256: sha256('b') }],
    ['data-core-metadata="sha256=nonsense"', false],
    ['data-core-metadata="false" data-dist-info-metadata="true"', false],
    [`data-dist-info-metadata="sha256=${sha256('b')}"`, { sha256: sha256('b') }],
    ['', false],
  ])('reads core metadata out of %j (PEP 714)', (attributes, expected) => {
    expect(readAnchor(attributes)?.coreMetadata).toEqual(expected);
  });

  it('reads digests of any algorithm out of the fragment', () => {
    const digests = {
      md5: 32,
      sha1: 40,
      sha224: 56,
      sha256: 64,
      sha384: 96,
      sha512: 128,
      blake2b: 128,
    };
    for (const [algorithm, length] of Object.entries(digests)) {
      const value = 'c'.repeat(length);
      expect(readAnchor('', `/foo-1.0.tar.gz#egg=foo&amp;${algorithm}=${value}`)?.hashes).toEqual({
        [algorithm]: value,
      });
    }
    expect(readAnchor('', '/foo-1.0.tar.gz#egg=foo-1.0')?.hashes).toEqual({});
    expect(readAnchor('', '/foo-1.0.tar.gz#sha256=')?.hashes).toEqual({});
    expect(readAnchor('', '/foo-1.0.tar.gz#sha256=zz')).toBeUndefined();
  });

  it('names the file by the URL, decoded once, whatever the text says (fault B7)', () => {
    expect(filenames('<a href="/foo-1.0%2Bx.zip">../../etc/passwd</a>')).toEqual(['foo-1.0+x.zip']);
    expect(filenames('<a href="/%252e%252e%252ffoo-1.0.zip">foo-1.0.zip</a>')).toEqual([]);
    expect(filenames('<a href="/..%2ffoo-1.0.zip">foo-1.0.zip</a>')).toEqual([]);
    expect(filenames('<a href="/foo-1.0.zip%00">foo-1.0.zip</a>')).toEqual([]);
  });

  it.each([
    'file:///foo-1.0.zip',
    'ftp://x/foo-1.0.zip',
    'data:text/plain,/foo-1.0.zip',
    'javascript:1//foo-1.0.zip',
    ' \tjava\nscript:foo-1.0.zip',
  ])('drops %j (fault B1)', (href) => {
    expect(filenames(`<a href="${href}">x</a>`)).toEqual([]);
  });

  it('strips credentials (fault B4)', () => {
    expect(readAnchor('', 'https://u:p@files.test/foo-1.0.tar.gz')?.url).toBe(
      'https://files.test/foo-1.0.tar.gz',
    );
  });

  it('resolves against the base element, wherever it stands (fault B5)', () => {
    const page = (base: string): string | undefined =>
      readHtmlPage(`<a href="foo-1.0.tar.gz">x</a>${base}<base href="https://late.test/">`, FOO)
        .detail.files[0]?.url;
    expect(page('<base href="/files/">')).toBe('https://index.test/files/foo-1.0.tar.gz');
    expect(page('<base href="javascript:1">')).toBe('https://index.test/simple/foo/foo-1.0.tar.gz');
    expect(page('<base target="x">')).toBe('https://late.test/foo-1.0.tar.gz');
  });

  it('sees no anchors in comments, scripts, styles and titles (fault B5)', () => {
    const anchor = '<a href="/foo-9.zip">foo-9.zip</a>';
    const html = `<title>${anchor}</title><!-- ${anchor} --><script>"${anchor}"</script><style>${anchor}</style><a href=/foo-1.zip`;
    expect(filenames(`${html}>x`)).toEqual(['foo-1.zip']);
    expect(filenames(html)).toEqual([]);
  });

  it('reads capital, unquoted and single-quoted markup, and a reason over two lines', () => {
    const file = readHtmlPage(
      `<A HREF='/foo-1.zip' Data-Yanked="a\nb" data-size=7 onclick=x>foo`,
      FOO,
    ).detail.files[0];
    expect(file).toMatchObject({ yanked: 'a\nb', sizeBytes: 7 });
  });

  it('keeps none of contradicting listings (fault B8)', () => {
    const html = `<a href="/a/foo-1.zip#sha256=${sha256('a')}">x</a><a href="/b/foo-1.zip#sha256=${sha256('b')}">x</a>`;
    expect(readHtmlPage(html, FOO)).toMatchObject({
      conflicts: ['foo-1.zip'],
      detail: { files: [] },
    });
  });
});

describe('hostile markup', () => {
  it('only ever throws an InvalidUpstreamAnswerError', () => {
    const tokens = fc.constantFrom(
      '<',
      '>',
      '/',
      '"',
      "'",
      '=',
      ' ',
      '&',
      '&#x0;',
      '&amp;',
      '<!--',
      '-->',
      '<a href=',
      '/foo-1.zip',
      '#sha256=',
      'a'.repeat(64),
      '<meta name="pypi:repository-version" content="',
      '<base href="',
      'http://[',
      '%',
      '%2',
      'data-yanked',
      '<script>',
      '</p>',
      '<svg>',
      '\0',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(tokens).map((parts) => parts.join('')),
          fc.string({ unit: 'binary' }),
        ),
        (html) => {
          try {
            readHtmlPage(html, FOO);
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidUpstreamAnswerError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it.each([
    '<div></b>',
    '<svg>',
    '<a>',
    '<p><form>',
    '</x>',
    '<!--',
    '<a b',
    '&amp',
    '<table><tr>',
    '<svg></b>',
    '<math><title>',
  ])('reads 400 KB of %j in linear time', (piece) => {
    const started = performance.now();
    readHtmlPage(piece.repeat(400_000 / piece.length), FOO);
    expect(performance.now() - started).toBeLessThan(1500);
  });
});
