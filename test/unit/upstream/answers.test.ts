import { describe, expect, it } from 'vitest';
import { parseProjectName } from '../../../src/packaging/names.ts';
import {
  freshForMs,
  retryAfterSeconds,
  strongEtagOf,
} from '../../../src/upstream/cache-headers.ts';
import { checkedRange, rangeHeaderFor } from '../../../src/upstream/content-range.ts';
import { createCredentials, parseNetrc } from '../../../src/upstream/credentials.ts';
import { projectFilter } from '../../../src/upstream/project-globs.ts';
import { ManualClock } from '../../support/manual-clock.ts';

describe('freshForMs', () => {
  it.each([
    ['max-age=600, public', {}, 600_000],
    ['MAX-AGE="60"', {}, 60_000],
    ['max-age=600', { age: '500' }, 100_000],
    ['max-age=600', { age: '700' }, 0],
    ['max-age=600, s-maxage=30', {}, 30_000],
    ['no-cache, max-age=600', {}, 0],
    ['no-store, max-age=600', {}, null],
    ['private, max-age=600', {}, null],
    ['public', {}, null],
    ['max-age=-1', {}, null],
    ['max-age=soon', {}, null],
  ])('%s %o', (header, others, expected) => {
    expect(freshForMs({ 'cache-control': header, ...others })).toBe(expected);
  });

  it('is unknown without Cache-Control', () => {
    expect(freshForMs({})).toBeNull();
  });
});

describe('retryAfterSeconds', () => {
  const clock = new ManualClock(Date.UTC(2026, 0, 1));
  it.each([
    ['5', 5],
    ['999999', 60],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['Thu, 01 Jan 2026 00:00:09 GMT', 9],
    ['soon', undefined],
    ['', undefined],
  ])('%s is %s', (text, expected) => {
    expect(retryAfterSeconds({ 'retry-after': text }, clock)).toBe(expected);
  });
});

describe('strongEtagOf', () => {
  it.each([
    ['"abc"', '"abc"'],
    ['W/"abc"', null],
    ['abc', null],
    ['"a"b"', null],
  ])('%s is %s', (etag, expected) => {
    expect(strongEtagOf({ etag })).toBe(expected);
  });
});

describe('ranges', () => {
  it('are asked for as the standard has it', () => {
    expect(rangeHeaderFor({})).toBeUndefined();
    expect(rangeHeaderFor({ firstByte: 0 })).toBeUndefined();
    expect(rangeHeaderFor({ firstByte: 7 })).toBe('bytes=7-');
    expect(rangeHeaderFor({ firstByte: 0, lastByte: 3 })).toBe('bytes=0-3');
    expect(rangeHeaderFor({ suffixBytes: 9 })).toBe('bytes=-9');
  });

  it.each([
    ['bytes 7-99/100', { firstByte: 7 }],
    ['bytes 7-9/*', { firstByte: 7, lastByte: 9 }],
    ['bytes 91-99/100', { suffixBytes: 9 }],
    ['bytes 0-4/5', { suffixBytes: 9 }],
  ])('%s answers %o', (header, options) => {
    expect(checkedRange(header, options, 'u')).toMatchObject({ first: expect.any(Number) });
  });

  it.each([
    ['bytes 8-99/100', { firstByte: 7 }],
    ['bytes 7-98/100', { firstByte: 7 }],
    ['bytes 7-100/100', { firstByte: 7 }],
    ['bytes 9-7/100', { firstByte: 9 }],
    ['bytes 7-10/100', { firstByte: 7, lastByte: 9 }],
    ['bytes 90-99/100', { suffixBytes: 9 }],
    ['items 7-99/100', { firstByte: 7 }],
    [undefined, { firstByte: 7 }],
  ])('%s does not answer %o', (header, options) => {
    expect(() => checkedRange(header, options, 'u')).toThrow('answered');
  });
});

describe('netrc', () => {
  it('is read with comments, several lines and macros, but without a default', () => {
    const machines = parseNetrc(
      [
        '# mine',
        'machine Example.org login ana password s#ecret # not this',
        'machine two.example',
        '  login bo',
        '  password two',
        'macdef init',
        'machine evil.example login x password y',
        '',
        'machine three.example login c account z password three',
        'default login anonymous password nobody',
      ].join('\n'),
    );
    expect(Object.fromEntries(machines)).toEqual({
      'example.org': { username: 'ana', password: 's#ecret' },
      'two.example': { username: 'bo', password: 'two' },
      'three.example': { username: 'c', password: 'three' },
    });
  });
});

describe('credentials', () => {
  it('are bound to scheme, host and port', async () => {
    const credentials = createCredentials({
      indexUrl: new URL('https://index.example/simple/'),
      login: { username: 'ana', password: 'x' },
      netrcPath: null,
    });
    expect(await credentials.headerFor(new URL('https://index.example/files/a'))).toMatch(
      /^Basic /,
    );
    for (const other of ['http://index.example/', 'https://index.example:8443/', 'https://x.y/']) {
      expect(await credentials.headerFor(new URL(other))).toBeUndefined();
    }
  });
});

describe('projectFilter', () => {
  const serves = (globs: readonly string[] | undefined, name: string): boolean =>
    projectFilter(globs)(parseProjectName(name)!);

  it.each([
    [undefined, 'anything', true],
    [[], 'anything', false],
    [['*'], 'anything', true],
    [['torch*'], 'torchvision', true],
    [['torch*'], 'pytorch', false],
    [['Acme_*'], 'acme-tools', true],
    [['acme.core'], 'acme-core', true],
    [['acme.core'], 'acmexcore', false],
    [['a?c'], 'abc', true],
    [['a+'], 'aa', false],
  ])('%o %s: %s', (globs, name, expected) => {
    expect(serves(globs, name)).toBe(expected);
  });
});
