import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJsonSteps } from '../../../src/simple/json-steps.ts';
import { finish } from '../../../src/simple/slices.ts';

/** More than is parsed at once. */
const PADDING = 'x'.repeat(140_000);

function parse(
  text: string | Uint8Array,
  path: readonly [string, ...string[]] = ['files'],
): unknown {
  return finish(parseJsonSteps(Buffer.from(text as string), path));
}

/** How the parts were that were parsed at once. */
function partsOf(text: string, path: readonly [string, ...string[]]): number[] {
  const lengths: number[] = [];
  finish(parseJsonSteps(Buffer.from(text), path, (part) => lengths.push(part.length)));
  return lengths;
}

const MANY = Array.from({ length: 4_000 }, (_, n) => ({
  n,
  text: `"\\ [{,:é😀}] ${'y'.repeat(90)}`,
}));

describe('parsing JSON in steps', () => {
  it.each([
    ['an array', { meta: { files: [1] }, files: MANY, name: 'files' }, ['files']],
    [
      'an array further in',
      { a: 1, detail: { name: 'x', files: MANY, z: [] }, b: 2 },
      ['detail', 'files'],
    ],
    ['an object', { urls: [1], releases: Object.fromEntries(MANY.entries()) }, ['releases']],
  ] as const)('reads %s as JSON.parse does, no part longer than 80 KB', (_, value, path) => {
    for (const text of [JSON.stringify(value), JSON.stringify(value, null, 1)]) {
      expect(parse(text, path)).toEqual(value);
      expect(partsOf(text, path).length).toBeGreaterThan(5);
      expect(Math.max(...partsOf(text, path))).toBeLessThan(80_000);
    }
  });

  it('keeps the order of keys, and __proto__ as a key', () => {
    const text = `{"b":1,"releases":{"__proto__":[1],"z":"${PADDING}","a":[2]},"a":2}`;
    const value = parse(text, ['releases']) as { releases: object };
    expect(Object.keys(value)).toEqual(['b', 'releases', 'a']);
    expect(Object.keys(value.releases)).toEqual(['__proto__', 'z', 'a']);
    expect(Object.getPrototypeOf(value.releases)).toBe(Object.prototype);
  });

  it.each([
    ['the key twice', `{"files":["${PADDING}"],"files":[2]}`],
    ['the key twice, once escaped', `{"files":["${PADDING}"],"f\\u0069les":[2]}`],
    ['the key twice, escaped first', `{"f\\u0069les":[2],"files":["${PADDING}"]}`],
    ['no such key', `{"file":["${PADDING}"]}`],
    ['another kind of value', `{"files":"${PADDING}"}`],
    [
      'the key at another depth',
      `{"a":{"files":[1]},"b":["files",{"files":[2]}],"c":"${PADDING}"}`,
    ],
    ['an empty container', `{"a":"${PADDING}","files":[]}`],
    ['a byte order mark', `\ufeff{"files":["${PADDING}"]}`],
    ['no object', `["files",["${PADDING}"]]`],
  ])('reads a text with %s as JSON.parse does', (_, text) => {
    expect(parse(text)).toEqual(JSON.parse(text.replace(/^\ufeff/, '')));
  });

  it('sees the later of two outer values', () => {
    const text = `{"detail":{"files":["${PADDING}"]},"detail":null}`;
    expect(parse(text, ['detail', 'files'])).toEqual({ detail: null });
  });

  const broken: readonly (readonly [string, string])[] = [
    ['a comma too many at the end', `{"files":["${PADDING}",]}`],
    ['a comma too many at the front', `{"files":[,"${PADDING}"]}`],
    ['a comma too many between', `{"files":["${PADDING}",,1]}`],
    ['only space before a comma', `{"files":[${' '.repeat(140_000)},1]}`],
    ['a bracket of the wrong kind', `{"files":["${PADDING}",1}}`],
    ['brackets crossed inside', `{"files":["${PADDING}",[{]}]}`],
    ['no end', `{"files":["${PADDING}",1`],
    ['a string without an end', `{"files":["${PADDING}`],
    ['more behind the end', `{"files":["${PADDING}"]}]`],
    ['a byte order mark inside', `{"files":["${PADDING}",\ufeff1]}`],
    ['a line end in a string', `{"files":["${PADDING}","\n"]}`],
  ];
  it.each(broken)('refuses %s, as JSON.parse does', (_, text) => {
    expect(() => JSON.parse(text) as unknown).toThrow(SyntaxError);
    expect(() => parse(text)).toThrow(SyntaxError);
  });

  it('refuses what is not UTF-8, wherever it stands', () => {
    for (const text of [`{"files":["${PADDING}","\xe9"]}`, `{"files":["${PADDING}"],"a":"\xe9"}`])
      expect(() => parse(Buffer.from(text, 'latin1'))).toThrow(TypeError);
  });

  it('agrees with JSON.parse on texts with a few characters changed', () => {
    const text = JSON.stringify({
      a: { files: [1, 'x'] },
      files: MANY.slice(0, 1_100),
      z: null,
    }).replaceAll('😀', '');
    const edits = fc.array(
      fc.record({
        at: fc.oneof(
          fc.nat(60),
          fc.nat(text.length - 1),
          fc.integer({ min: text.length - 60, max: text.length - 1 }),
        ),
        put: fc.constantFrom(
          '',
          '"',
          ',',
          '[',
          ']',
          '{',
          '}',
          ':',
          '\\',
          '1',
          ' ',
          ',"files":[1],',
        ),
      }),
      { maxLength: 3 },
    );
    fc.assert(
      fc.property(edits, (changes) => {
        let changed = text;
        for (const { at, put } of changes)
          changed = changed.slice(0, at) + put + changed.slice(at + 1);
        expect(outcome(() => parse(changed))).toEqual(
          outcome(() => JSON.parse(changed) as unknown),
        );
      }),
      { numRuns: 150 },
    );
  });
});

function outcome(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return (error as Error).name;
  }
}
