import { compare, valid } from '@renovatebot/pep440';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compareVersions,
  isPrerelease,
  isValidSpecifier,
  isValidVersion,
  matchesSpecifier,
  normalizeVersion,
  sortVersions,
} from '../../../src/packaging/versions.ts';

const ORDERED = [
  '1.0.dev456',
  '1.0a1',
  '1.0a2.dev456',
  '1.0a12.dev456',
  '1.0a12',
  '1.0b1.dev456',
  '1.0b2',
  '1.0b2.post345.dev456',
  '1.0b2.post345',
  '1.0rc1.dev456',
  '1.0rc1',
  '1.0',
  '1.0+abc.5',
  '1.0+abc.7',
  '1.0+5',
  '1.0.post456.dev34',
  '1.0.post456',
  '1.0.15',
  '1.1.dev1',
  '1.10',
  '2!0.1',
];

const number = fc.oneof(fc.nat(3), fc.nat(2000));
const version = fc
  .tuple(
    fc.option(number),
    fc.array(number, { minLength: 1, maxLength: 4 }),
    fc.option(fc.tuple(fc.constantFrom('a', 'b', 'rc', '-alpha.', 'preview'), number)),
    fc.option(number),
    fc.option(number),
    fc.option(
      fc.array(fc.oneof(number.map(String), fc.constantFrom('ab', 'abc', 'x1')), { minLength: 1 }),
    ),
  )
  .map(
    ([epoch, release, pre, post, dev, local]) =>
      (epoch === null ? '' : `${epoch}!`) +
      release.join('.') +
      (pre === null ? '' : pre.join('')) +
      (post === null ? '' : `.post${post}`) +
      (dev === null ? '' : `.dev${dev}`) +
      (local === null ? '' : `+${local.join('.')}`),
  );

describe('versions', () => {
  it('sorts as PEP 440 says', () => {
    expect(sortVersions(ORDERED.toReversed())).toEqual(ORDERED);
  });

  it('orders any two versions as the library does', () => {
    fc.assert(
      fc.property(version, version, (left, right) => {
        expect(valid(left)).not.toBeNull();
        expect(Math.sign(compareVersions(left, right))).toBe(Math.sign(compare(left, right)));
      }),
    );
  });

  it('takes differently written versions as equal', () => {
    expect(compareVersions('1.0', '1')).toBe(0);
    expect(compareVersions('v1.0-Alpha_1', '1.0a1')).toBe(0);
  });

  it('sorts invalid versions first and never throws', () => {
    expect(sortVersions(['1.0', 'trunk', '0.dev0', 'banana'])).toEqual([
      'banana',
      'trunk',
      '0.dev0',
      '1.0',
    ]);
    fc.assert(
      fc.property(fc.string(), fc.string(), (left, right) => {
        compareVersions(left, right);
        matchesSpecifier(left, right);
        isValidSpecifier(right);
      }),
    );
  });

  it('normalizes spellings, local versions included', () => {
    expect(normalizeVersion('1.0-Beta1')).toBe('1.0b1');
    expect(normalizeVersion('1.0-2')).toBe('1.0.post2');
    expect(normalizeVersion('2.1+CU118_x-1')).toBe('2.1+cu118.x.1');
    expect(normalizeVersion('trunk')).toBeUndefined();
    expect(isValidVersion('1'.repeat(300))).toBe(false);
  });

  it('tells pre-releases', () => {
    expect([isPrerelease('1.0rc1'), isPrerelease('1.0.dev1')]).toEqual([true, true]);
    expect([isPrerelease('1.0.post1'), isPrerelease('trunk')]).toEqual([false, false]);
  });
});

describe('specifiers', () => {
  it.each([
    ['3.12.1', '>=3.8', true],
    ['3.7', '>=3.8', false],
    ['3.12', '>=2.7,!=3.0.*,!=3.1.*', true],
    ['3.1.4', '>=2.7,!=3.0.*,!=3.1.*', false],
    ['1.4.9', '~=1.4.2', true],
    ['1.5', '~=1.4.2', false],
    ['1.0a1', '>=0.5', false],
    ['1.0a1', '==1.0a1', true],
    ['1.0', '', true],
    ['1.0', 'not a specifier', false],
    ['trunk', '>=0', false],
    ['trunk', '==1.*', false],
  ])('matches %s against %j: %s', (candidate, specifier, expected) => {
    expect(matchesSpecifier(candidate, specifier)).toBe(expected);
  });

  it('lets pre-releases in when asked to', () => {
    expect(matchesSpecifier('1.0a1', '>=0.5', { prereleases: true })).toBe(true);
  });

  it('knows a valid set', () => {
    expect([isValidSpecifier('>=3, <4'), isValidSpecifier(''), isValidSpecifier('>>3')]).toEqual([
      true,
      true,
      false,
    ]);
  });
});
