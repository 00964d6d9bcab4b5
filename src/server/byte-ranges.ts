import { RangeNotSatisfiableError } from '../core/errors.ts';
import type { ByteRange } from '../repository/repository.ts';

const IN_BYTES = /^bytes=/i;
const ONE_RANGE = /^[ \t]*(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))[ \t]*$/;

/**
 * The range a `Range` header asks for; `null` when the whole file is to be sent: no header, another
 * unit, bad syntax, or several ranges that leave a gap. Ranges that meet are one (RFC 9110 §15.3.7.2);
 * for others a server may ignore the header (§14.2), and no installer reads `multipart/byteranges`.
 *
 * @throws RangeNotSatisfiableError when all of it lies outside the file
 */
export function parseRange(header: string | undefined, sizeBytes: number): ByteRange | null {
  if (header === undefined || !IN_BYTES.test(header)) return null;
  const ranges: ByteRange[] = [];
  for (const text of header.slice('bytes='.length).split(',')) {
    const range = readRange(text, sizeBytes);
    if (range === null) return null;
    if (range.start < range.end) ranges.push(range);
  }
  return merged(ranges, sizeBytes);
}

/**
 * Whether a `Range` header asks for more than `most` ranges: a broken client, or one that means harm
 * (RFC 9110 §14.2, §17.15). Counts commas, so that the header need not be read.
 */
export function hasTooManyRanges(header: string | undefined, most: number): boolean {
  if (header === undefined) return false;
  let ranges = 1;
  for (let at = header.indexOf(','); at >= 0; at = header.indexOf(',', at + 1)) {
    if (++ranges > most) return true;
  }
  return ranges > most;
}

/** One range, cut to the file; empty when it lies outside, `null` when it is none. */
function readRange(text: string, sizeBytes: number): ByteRange | null {
  const match = ONE_RANGE.exec(text);
  if (match === null) return null;
  const [, first, last, suffix] = match;
  if (suffix !== undefined)
    return { start: Math.max(0, sizeBytes - Number(suffix)), end: sizeBytes };
  const start = Number(first);
  if (last === undefined || last === '') return { start, end: sizeBytes };
  return Number(last) < start ? null : { start, end: Math.min(sizeBytes, Number(last) + 1) };
}

/** @throws RangeNotSatisfiableError when there is none */
function merged(ranges: ByteRange[], sizeBytes: number): ByteRange | null {
  const [first, ...others] = ranges.toSorted((one, other) => one.start - other.start);
  if (first === undefined) throw new RangeNotSatisfiableError(sizeBytes);
  let { end } = first;
  for (const other of others) {
    if (other.start > end) return null;
    end = Math.max(end, other.end);
  }
  return { start: first.start, end };
}

/**
 * Whether `If-Range` lets the range stand: absent, or the very strong entity tag (RFC 9110 §13.1.5). Dates
 * never match, since we send none.
 */
export function ifRangeHolds(header: string | undefined, etag: string | null): boolean {
  return header === undefined || (etag !== null && header.trim() === etag);
}
