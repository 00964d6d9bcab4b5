import { describe, expect, it } from 'vitest';
import { negotiate, negotiateCoding } from '../../../src/simple/negotiate.ts';

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';
const HTML_TYPE = 'application/vnd.pypi.simple.v1+html';

describe('content negotiation (protocol §2)', () => {
  it.each([
    ['no header (buildout, easy_install)', undefined, 'text/html'],
    ['an empty header', '', 'text/html'],
    ['anything', '*/*', 'text/html'],
    ['any application type', 'application/*', HTML_TYPE],
    ['any text type', 'text/*', 'text/html'],
    ['JSON', JSON_TYPE, JSON_TYPE],
    ['versioned HTML', HTML_TYPE, HTML_TYPE],
    ['HTML (pip before 22.2)', 'text/html', 'text/html'],
    ['pip', `${JSON_TYPE}, ${HTML_TYPE}; q=0.1, text/html; q=0.01`, JSON_TYPE],
    ['uv', `${JSON_TYPE}, ${HTML_TYPE};q=0.2, text/html;q=0.01`, JSON_TYPE],
    ['poetry', `${JSON_TYPE}, */*;q=0.1`, JSON_TYPE],
    [
      'pypi-simple, where JSON and HTML tie',
      `${JSON_TYPE}, ${HTML_TYPE}, text/html;q=0.01`,
      JSON_TYPE,
    ],
    ['the same tie the other way round', `${HTML_TYPE}, ${JSON_TYPE}`, JSON_TYPE],
    ['a browser', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'text/html'],
    ['JSON excluded by q=0', `${JSON_TYPE};q=0, text/html`, 'text/html'],
    ['JSON excluded from a wildcard', `${JSON_TYPE};q=0, application/*`, HTML_TYPE],
    ['the latest JSON, by its real name', 'application/vnd.pypi.simple.latest+json', JSON_TYPE],
    ['the latest HTML, by its real name', 'application/vnd.pypi.simple.latest+html', HTML_TYPE],
    ['a named type beside a wildcard of equal weight', `*/*, ${JSON_TYPE}`, JSON_TYPE],
    ['capital letters', `Application/VND.PyPI.Simple.V1+JSON ; Q=1.000`, JSON_TYPE],
    ['other parameters', 'text/html;level=1;charset=utf-8', 'text/html'],
    [
      'weights that differ in the third decimal',
      `text/html;q=0.501, ${JSON_TYPE};q=0.5`,
      'text/html',
    ],
    ['only malformed weights, as if nothing was asked for', `${JSON_TYPE};q=2`, 'text/html'],
  ])('answers %s', (_, accept, type) => {
    expect(negotiate(accept, undefined)).toEqual({ type });
  });

  it.each([
    ['another version', 'application/vnd.pypi.simple.v2+json'],
    ['a type we do not have', 'application/xml'],
    ['nothing but exclusions', 'text/html;q=0, */*;q=0'],
  ])('has nothing for %s', (_, accept) => {
    expect(negotiate(accept, undefined)).toBeUndefined();
  });

  it.each(['NaN', '2', '-1', '', '1.5', '1e0', '.5', '0x1'])(
    'ignores a member with weight %j',
    (weight) => {
      expect(negotiate(`${JSON_TYPE};q=${weight}, text/html;q=0.1`, undefined)).toEqual({
        type: 'text/html',
      });
    },
  );

  it('lets the format parameter win over the header', () => {
    expect(negotiate('text/html', JSON_TYPE)).toEqual({ type: JSON_TYPE });
    expect(negotiate(JSON_TYPE, 'text/html')).toEqual({ type: 'text/html' });
    expect(negotiate(undefined, 'application/vnd.pypi.simple.latest+html')).toEqual({
      type: HTML_TYPE,
    });
  });

  it('takes a format parameter whose plus became a space', () => {
    expect(negotiate(undefined, JSON_TYPE.replace('+', ' '))).toEqual({ type: JSON_TYPE });
  });

  it('has nothing for an unknown format, and ignores an empty one', () => {
    expect(negotiate('text/html', '<script>')).toBeUndefined();
    expect(negotiate('text/html', '')).toEqual({ type: 'text/html' });
  });

  it('reads 100 KB of header in linear time', () => {
    for (const piece of [`${JSON_TYPE};q=0.1,`, ',;', 'q=', ' \t', ';q=0.', 'a/b;'.repeat(50)]) {
      const started = performance.now();
      negotiate(piece.repeat(Math.ceil(100_000 / piece.length)), undefined);
      expect(performance.now() - started).toBeLessThan(250);
    }
  });
});

describe('negotiateCoding', () => {
  it.each([
    [undefined, 'identity'],
    ['', 'identity'],
    ['gzip, deflate, zstd', 'gzip'],
    ['GZIP;q=0.5', 'gzip'],
    ['x-gzip', 'gzip'],
    ['gzip;q=0', 'identity'],
    ['gzip;q=0, *', 'identity'],
    ['*', 'gzip'],
    ['*;q=0', 'identity'],
    ['identity;q=1, gzip;q=0.5', 'identity'],
    ['br, zstd', 'identity'],
    ['gzip;q=9', 'identity'],
  ] as const)('answers %j with %s', (header, coding) => {
    expect(negotiateCoding(header)).toBe(coding);
  });
});
