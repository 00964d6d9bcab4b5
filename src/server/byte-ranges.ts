import { RangeNotSatisfiableError } from '../core/errors.ts';
import type { ByteRange } from '../repository/repository.ts';

const ONE_RANGE = /^bytes=[ \t]*(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))[ \t]*$/i;

/**
 * The range a `Range` header asks for; `null` when the whole file is to be sent: no header, another
 * unit, bad syntax, or several ranges (RFC 9110 §14.2 lets a server ignore it).
 *
 * @throws RangeNotSatisfiableError when the range lies outside the file
 */
export function parseRange(header: string | undefined, sizeBytes: number): ByteRange | null {
  if (header === undefined || header.length > 100) return null;
  const match = ONE_RANGE.exec(header);
  if (match === null) return null;
  const [, first, last, suffix] = match;
  if (suffix !== undefined) {
    const length = Number(suffix);
    if (length === 0 || sizeBytes === 0) throw new RangeNotSatisfiableError(sizeBytes);
    return { start: Math.max(0, sizeBytes - length), end: sizeBytes };
  }
  const start = Number(first);
  const end = last === '' || last === undefined ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  if (last !== '' && last !== undefined && Number(last) < start) return null;
  if (start >= sizeBytes) throw new RangeNotSatisfiableError(sizeBytes);
  return { start, end };
}

/**
 * Whether `If-Range` lets the range stand: absent, or the very strong entity tag (RFC 9110 §13.1.5). Dates
 * never match, since we send none.
 */
export function ifRangeHolds(header: string | undefined, etag: string | null): boolean {
  return header === undefined || (etag !== null && header.trim() === etag);
}
