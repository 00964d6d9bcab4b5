import { expect, it } from 'vitest';
import { noneMatchFails } from '../../../src/server/conditional.ts';

it.each(['"a"', 'W/"a"', '"b", "a"', '*', ' * ', 'W/"b",W/"a"'])('knows "a" in %s', (header) => {
  expect(noneMatchFails(header, '"a"')).toBe(true);
});

it.each([undefined, '', '"b"', 'a', '"a', '"A"'])('does not know "a" in %s', (header) => {
  expect(noneMatchFails(header, '"a"')).toBe(false);
});

it('finds nothing where there is no tag yet', () => {
  expect(noneMatchFails('"a"', null)).toBe(false);
});
