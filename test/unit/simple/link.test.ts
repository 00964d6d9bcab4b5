import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePathSegments, relativeLink } from '../../../src/simple/link.ts';

describe('links (protocol §1)', () => {
  it('encodes a plus, which some servers read as a space', () => {
    expect(encodePathSegments('a/torch-1+cpu.whl')).toBe('a/torch-1%2Bcpu.whl');
  });

  it('encodes what would end a path or a segment', () => {
    expect(encodePathSegments("a b/50%?#'.zip")).toBe('a%20b/50%25%3F%23%27.zip');
  });

  it('climbs out of the page’s folder', () => {
    expect(relativeLink(2, 'packages/aa/foo-1.0.zip')).toBe('../../packages/aa/foo-1.0.zip');
    expect(relativeLink(0, 'c:/x')).toBe('c%3A/x');
  });

  it('comes back to the same path, whatever is in it', () => {
    const segment = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((text) => !/^\.+$|\//.test(text));
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1 }), (segments) => {
        const url = new URL(relativeLink(2, segments.join('/')), 'http://host/simple/x/');
        expect(url.search + url.hash).toBe('');
        expect(url.pathname.slice(1).split('/').map(decodeURIComponent)).toEqual(segments);
      }),
    );
  });
});
