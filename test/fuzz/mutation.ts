import fc from 'fast-check';

/** How long each target is tried, in milliseconds: `WHEELCELLAR_FUZZ_SECONDS` is for all of them. */
export function budgetMs(targets: number): number {
  return (Number(process.env['WHEELCELLAR_FUZZ_SECONDS'] ?? 24) * 1_000) / targets;
}

/** Runs until the time is over; a failure names the seed and the smallest input. */
export function within(ms: number): fc.Parameters<unknown> {
  return { numRuns: 10_000_000, interruptAfterTimeLimit: ms, endOnFailure: false };
}

/** One change of a sample. Offsets are shares of its length. */
type Change =
  | { readonly kind: 'set'; readonly at: number; readonly byte: number }
  | { readonly kind: 'cut'; readonly at: number; readonly length: number }
  | { readonly kind: 'copy'; readonly at: number; readonly length: number; readonly to: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array };

const share = fc.double({ min: 0, max: 1, noNaN: true });
const length = fc.nat(64);

/** Bytes that have a meaning somewhere: quotes, brackets, ends of lines, zeroes, all ones. */
const telling = fc.constantFrom(
  '"',
  "'",
  '<',
  '>',
  '&',
  '{',
  '[',
  ']',
  '}',
  ',',
  ':',
  '\\',
  '/',
  '%',
  '#',
  '\n',
  '\r',
  '\0',
  '../',
  '<!--',
  '</',
  '-->',
  'file:',
  '__proto__',
  '\ufeff',
  '\u212a',
  '9'.repeat(20),
  'PK\x01\x02',
  '&#0;',
  '\xff\xff\xff\xff',
  '- &a [*a]',
  '!!js/function',
  '1e999',
  '-1',
  '[[[[[[[[',
);

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: share, byte: fc.nat(255) }),
  fc.record({ kind: fc.constant('cut' as const), at: share, length }),
  fc.record({ kind: fc.constant('copy' as const), at: share, length, to: share }),
  fc.record({
    kind: fc.constant('insert' as const),
    at: share,
    bytes: telling.map((text) => Buffer.from(text, 'utf8')),
  }),
);

function changed(sample: Buffer, one: Change): Buffer {
  const at = Math.floor(one.at * sample.length);
  const before = sample.subarray(0, at);
  switch (one.kind) {
    case 'set':
      return Buffer.concat([before, Buffer.from([one.byte]), sample.subarray(at + 1)]);
    case 'cut':
      return Buffer.concat([before, sample.subarray(at + one.length)]);
    case 'insert':
      return Buffer.concat([before, one.bytes, sample.subarray(at)]);
    case 'copy': {
      const to = Math.floor(one.to * sample.length);
      const piece = sample.subarray(at, at + one.length);
      return Buffer.concat([sample.subarray(0, to), piece, sample.subarray(to)]);
    }
  }
}

/** One of the samples after up to twelve changes. */
export function mutationOf(...samples: readonly (Buffer | string)[]): fc.Arbitrary<Buffer> {
  return fc
    .tuple(
      fc.constantFrom(...samples.map((sample) => Buffer.from(sample))),
      fc.array(change, { maxLength: 12 }),
    )
    .map(([sample, changes]) => changes.reduce(changed, sample));
}
