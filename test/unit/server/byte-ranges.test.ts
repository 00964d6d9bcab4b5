import { describe, expect, it } from 'vitest';
import { RangeNotSatisfiableError } from '../../../src/core/errors.ts';
import { hasTooManyRanges, ifRangeHolds, parseRange } from '../../../src/server/byte-ranges.ts';

describe('a Range header', () => {
  it.each([
    ['bytes=0-0', 0, 1],
    ['bytes=2-4', 2, 5],
    ['bytes=2-', 2, 10],
    ['bytes=2-99', 2, 10],
    ['bytes=-3', 7, 10],
    ['bytes=-99', 0, 10],
    ['Bytes=0-4', 0, 5],
    ['bytes= 0-4 ', 0, 5],
    ['bytes=0-1,2-4', 0, 5],
    ['bytes=4-6, 1-3', 1, 7],
    ['bytes=0-9,2-3', 0, 10],
    ['bytes=5-,-2', 5, 10],
    ['bytes=2-4,20-30', 2, 5],
  ])('%s of ten bytes asks for %i to %i', (header, start, end) => {
    expect(parseRange(header, 10)).toEqual({ start, end });
  });

  it.each([
    'bytes=4-2',
    'bytes=0-1,3-4',
    `bytes=${'0-,'.repeat(1_000)}`,
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'bytes=1',
    'lines=0-4',
    'bytes=18446744073709551615-',
  ])('%s is ignored', (header) => {
    expect(parseRange(header, 10)).toBeNull();
  });

  it.each(['bytes=10-', 'bytes=10-12', 'bytes=10-12,-0', 'bytes=-0', 'bytes=999999999999999-'])(
    '%s lies outside ten bytes',
    (header) => {
      expect(() => parseRange(header, 10)).toThrow(RangeNotSatisfiableError);
    },
  );

  it('has nothing to ask for in an empty file', () => {
    expect(() => parseRange('bytes=0-', 0)).toThrow(RangeNotSatisfiableError);
    expect(() => parseRange('bytes=-1', 0)).toThrow(RangeNotSatisfiableError);
  });

  it('asks for too much when it asks for more ranges than allowed', () => {
    expect(hasTooManyRanges(undefined, 1)).toBe(false);
    expect(hasTooManyRanges('bytes=0-1', 1)).toBe(false);
    expect(hasTooManyRanges('bytes=0-1,2-3', 1)).toBe(true);
    expect(hasTooManyRanges('bytes=0-1,2-3,4-5', 3)).toBe(false);
    expect(hasTooManyRanges(`bytes=${'0-,'.repeat(3)}`, 3)).toBe(true);
  });

  it('stands only under the very entity tag of If-Range', () => {
    expect(ifRangeHolds(undefined, '"a"')).toBe(true);
    expect(ifRangeHolds('"a"', '"a"')).toBe(true);
    expect(ifRangeHolds('"b"', '"a"')).toBe(false);
    expect(ifRangeHolds('W/"a"', '"a"')).toBe(false);
    expect(ifRangeHolds('"a"', null)).toBe(false);
    expect(ifRangeHolds('Tue, 01 Jan 2030 00:00:00 GMT', '"a"')).toBe(false);
  });
});
