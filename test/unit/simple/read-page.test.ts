import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InvalidUpstreamAnswerError } from '../../../src/core/errors.ts';
import { readPage, readPageInSlices, type PageAnswer } from '../../../src/simple/read-page.ts';
import { FOO } from './pages.ts';

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';
const JSON_PAGE =
  '{"name":"foo","files":[{"filename":"foo-1.zip","url":"/foo-1.zip","hashes":{}}]}';
const HTML_PAGE = '<!DOCTYPE html><a href="/foo-2.zip">foo-2.zip</a>';

const answer = (contentType: string | null, body: string | Uint8Array): PageAnswer => ({
  ...FOO,
  contentType,
  body: typeof body === 'string' ? Buffer.from(body) : body,
});

const fileIn = (contentType: string | null, body: string | Uint8Array): string | undefined =>
  readPage(answer(contentType, body)).detail.files[0]?.filename;

describe('the form of a page (fault B24)', () => {
  it.each([
    [JSON_TYPE, JSON_PAGE, 'foo-1.zip'],
    ['Application/VND.pypi.simple.v1+JSON; charset=utf-8', JSON_PAGE, 'foo-1.zip'],
    ['application/vnd.pypi.simple.v1+html', HTML_PAGE, 'foo-2.zip'],
    ['text/html; charset=UTF-8', HTML_PAGE, 'foo-2.zip'],
    ['text/html', `\n ${JSON_PAGE}`, 'foo-1.zip'],
    ['application/json', JSON_PAGE, 'foo-1.zip'],
    ['application/json', HTML_PAGE, 'foo-2.zip'],
    ['', JSON_PAGE, 'foo-1.zip'],
    [null, HTML_PAGE, 'foo-2.zip'],
    ['text/html', `\ufeff${JSON_PAGE}`, 'foo-1.zip'],
    [JSON_TYPE, `\ufeff${JSON_PAGE}`, 'foo-1.zip'],
    ['text/html', `text first ${HTML_PAGE}`, 'foo-2.zip'],
  ])('reads %j %j', (contentType, body, filename) => {
    expect(fileIn(contentType, body)).toBe(filename);
  });

  it.each([
    ['text/plain', HTML_PAGE],
    ['application/octet-stream', JSON_PAGE],
    ['application/vnd.pypi.simple.v2+json', JSON_PAGE],
    ['application/json', ''],
    [JSON_TYPE, HTML_PAGE],
  ])('refuses %j %j', (contentType, body) => {
    expect(() => fileIn(contentType, body)).toThrow(InvalidUpstreamAnswerError);
  });
});

describe('the characters of a page (fault B19)', () => {
  it('refuses JSON that is not UTF-8', () => {
    const latin = Buffer.from('{"files":[],"x":"\xe9"}', 'latin1');
    expect(() => fileIn(JSON_TYPE, latin)).toThrow(InvalidUpstreamAnswerError);
    expect(() => fileIn(JSON_TYPE, Buffer.from(JSON_PAGE, 'utf16le'))).toThrow(
      InvalidUpstreamAnswerError,
    );
  });

  it('replaces what is not UTF-8 in HTML, and gives no file such a name', () => {
    const html = Buffer.from(
      '<a href="/foo-1.zip" data-yanked="caf\xe9">x</a><a href="/foo-2\xe9.zip">x</a>',
      'latin1',
    );
    const { files } = readPage(answer('text/html', html)).detail;
    expect(files.map(({ filename, yanked }) => [filename, yanked])).toEqual([
      ['foo-1.zip', 'caf\ufffd'],
    ]);
  });

  it('only ever throws an InvalidUpstreamAnswerError, whatever the bytes', () => {
    const types = fc.constantFrom(JSON_TYPE, 'text/html', 'application/json', 'text/html; x', null);
    fc.assert(
      fc.property(types, fc.uint8Array({ maxLength: 300 }), (contentType, body) => {
        try {
          readPage(answer(contentType, body));
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidUpstreamAnswerError);
        }
      }),
    );
  });
});

describe('readPageInSlices', () => {
  const anchors = Array.from({ length: 3000 }, (_, number) => `<a href="/foo-${number}.zip">x</a>`);
  const files = anchors.map((_, number) => ({
    filename: `foo-${number}.zip`,
    url: `/foo-${number}.zip`,
  }));

  it.each([
    ['text/html', anchors.join('\n')],
    [JSON_TYPE, JSON.stringify({ files })],
  ])(
    'reads the same as readPage, and lets other work in between: %s',
    async (contentType, body) => {
      let turns = 0;
      const ticker = setInterval(() => turns++, 0);
      const counting = (): void => {
        turns++;
        immediate = setImmediate(counting);
      };
      let immediate = setImmediate(counting);
      const reading = await readPageInSlices(answer(contentType, body));
      clearInterval(ticker);
      clearImmediate(immediate);
      expect(reading).toEqual(readPage(answer(contentType, body)));
      expect(reading.detail.files.length).toBe(3000);
      expect(turns).toBeGreaterThan(4);
    },
  );

  it('rejects with what readPage throws', async () => {
    await expect(readPageInSlices(answer(JSON_TYPE, '{'))).rejects.toBeInstanceOf(
      InvalidUpstreamAnswerError,
    );
    await expect(readPageInSlices(answer('image/png', '{'))).rejects.toBeInstanceOf(
      InvalidUpstreamAnswerError,
    );
  });
});
