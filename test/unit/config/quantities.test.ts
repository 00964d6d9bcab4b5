import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatDuration,
  formatSize,
  parseDuration,
  parseSize,
} from '../../../src/config/quantities.ts';

describe('durations and sizes', () => {
  it.each([
    ['300ms', 300],
    ['20s', 20_000],
    ['10m', 600_000],
    ['1h', 3_600_000],
    ['2d', 172_800_000],
    ['1.5h', 5_400_000],
    ['0s', 0],
  ])('reads the duration %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    ['1000B', 1000],
    ['64KB', 64_000],
    ['512MB', 512_000_000],
    ['20GB', 20_000_000_000],
    ['10MiB', 10_485_760],
    ['1GiB', 1_073_741_824],
    ['1.5GB', 1_500_000_000],
  ])('reads the size %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each(['', '10', 'm', '-1m', '10 minutes', '1e3s', '10M', '10m5s', '٣m', '999999999999d'])(
    'takes %j for no duration',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  it.each(['', '20', 'GB', '20G', '20gb', '-1B', '20 GB extra', '999999999999999TB'])(
    'takes %j for no size',
    (text) => {
      expect(parseSize(text)).toBeUndefined();
    },
  );

  it('writes the shortest exact form', () => {
    expect([600_000, 60_000, 1500, 0, 90_000].map(formatDuration)).toEqual([
      '10m',
      '1m',
      '1500ms',
      '0ms',
      '90s',
    ]);
    expect([20e9, 512e6, 10_485_760, 1023, 0].map(formatSize)).toEqual([
      '20GB',
      '512MB',
      '10MiB',
      '1023B',
      '0B',
    ]);
  });

  it('reads back exactly what it writes', () => {
    fc.assert(
      fc.property(fc.nat({ max: 1e12 }), (value) => {
        expect(parseDuration(formatDuration(value))).toBe(value);
        expect(parseSize(formatSize(value))).toBe(value);
      }),
    );
  });
});
