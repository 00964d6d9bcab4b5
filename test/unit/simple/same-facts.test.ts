import fc from 'fast-check';
import { expect, it } from 'vitest';
import { strongestDigest } from '../../../src/simple/hashes.ts';
import { encodePathSegments } from '../../../src/simple/link.ts';
import type { DistributionFile, Hashes, ProjectDetail } from '../../../src/simple/model.ts';
import { readPage } from '../../../src/simple/read-page.ts';
import { writeHtmlPage } from '../../../src/simple/write-html.ts';
import { writeJsonPage } from '../../../src/simple/write-json.ts';
import { aPage, FOO } from './pages.ts';

const BASE = 'https://index.test/';
const linkTo = ({ url }: DistributionFile): string => `../../${url.slice(BASE.length)}`;

const HEX_DIGITS = Array.from({ length: 16 }, (_, value) => value.toString(16));

const hex = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...HEX_DIGITS), minLength: length, maxLength: length });

const hashes: fc.Arbitrary<Hashes> = fc
  .record({ md5: hex(32), sha1: hex(40), sha256: hex(64), sha512: hex(128) }, { requiredKeys: [] })
  .map((record) => ({ ...record }));

/** Any text that is not empty and is Unicode; an HTML parser replaces NUL. */
const text = fc.string({ unit: 'binary', minLength: 1 }).filter((value) => !value.includes('\0'));

const files: fc.Arbitrary<readonly DistributionFile[]> = fc.uniqueArray(
  fc
    .record({
      version: fc.constantFrom('1.0', '1.0+cpu.1', '2!3', '4.0-1', "5'6 é"),
      kind: fc.constantFrom('.tar.gz', '.zip', '-py3-none-any.whl'),
      hashes,
      requiresPython: fc.option(text),
      sizeBytes: fc.option(fc.maxSafeNat()),
      uploadTime: fc.constantFrom(null, '2024-05-06T07:08:09Z', '2024-05-06T07:08:09.000001Z'),
      coreMetadata: fc.oneof(
        fc.boolean(),
        hex(64).map((sha256) => ({ sha256 })),
      ),
      yanked: fc.oneof(fc.constantFrom(false as const, ''), text),
      provenance: fc.option(fc.webUrl({ validSchemes: ['https'] }).map((url) => new URL(url).href)),
      gpgSig: fc.constantFrom(true, null),
    })
    .map(({ version, kind, ...facts }) => {
      const filename = `foo-${version}${kind}`;
      const url = BASE + encodePathSegments(`packages/aa/${filename}`);
      return { filename, url, ...facts, extra: {} };
    }),
  { selector: ({ filename }) => filename, maxLength: 6 },
);

const pages: fc.Arbitrary<ProjectDetail> = fc
  .record({
    status: fc.constantFrom('active' as const, 'archived' as const, 'deprecated' as const),
    reason: fc.option(text.map((reason) => reason.trim()).filter((reason) => reason !== '')),
    lastSerial: fc.option(fc.nat()),
    files,
  })
  .map(({ reason, ...facts }) => {
    const statusReason = facts.status === 'active' ? null : reason;
    return aPage({ ...facts, statusReason });
  });

const readJson = (json: string): ProjectDetail =>
  readPage({ ...FOO, contentType: 'application/vnd.pypi.simple.v1+json', body: Buffer.from(json) })
    .detail;
const readHtml = (html: string): ProjectDetail =>
  readPage({ ...FOO, contentType: 'text/html', body: Buffer.from(html) }).detail;

/** An HTML link has room for one digest. */
function withOneDigest(file: DistributionFile): DistributionFile {
  const digest = strongestDigest(file.hashes);
  return { ...file, hashes: digest === undefined ? {} : { [digest.algorithm]: digest.value } };
}

it('writes JSON and HTML that carry the same facts, and reads both back', () => {
  fc.assert(
    fc.property(pages, (page) => {
      const fromJson = readJson(writeJsonPage(page, { linkTo }));
      const fromHtml = readHtml(writeHtmlPage(page, { linkTo }));
      expect({ ...fromJson, versions: null }).toEqual(page);
      expect(fromHtml).toEqual({ ...page, files: page.files.map(withOneDigest) });
      // And crosswise: each form survives the way through the other one.
      expect(readJson(writeJsonPage(fromHtml, { linkTo })).files).toEqual(fromHtml.files);
      expect(readHtml(writeHtmlPage(fromJson, { linkTo }))).toEqual(fromHtml);
    }),
    { numRuns: 300 },
  );
});
