import { InvalidUpstreamAnswerError } from '../core/errors.ts';
import type { OpenFileOptions } from './answers.ts';

/** Bytes `first` to `last`, inclusive, of `total`. */
export interface ContentRange {
  readonly first: number;
  readonly last: number;
  readonly total: number | null;
}

/** The `Range` header for what is wanted; `undefined` for the whole file (RFC 9110 §14.2). */
export function rangeHeaderFor(options: OpenFileOptions): string | undefined {
  const { firstByte, lastByte, suffixBytes } = options;
  if (suffixBytes !== undefined) return `bytes=-${suffixBytes}`;
  if (lastByte !== undefined) return `bytes=${firstByte ?? 0}-${lastByte}`;
  return firstByte === undefined || firstByte === 0 ? undefined : `bytes=${firstByte}-`;
}

/** The length that a 416 tells, if it does. */
export function lengthBeyondEnd(header: string | undefined): number | null {
  const told = /^bytes \*\/(\d{1,15})$/.exec(header ?? '');
  return told === null ? null : Number(told[1]);
}

function parse(header: string | undefined): ContentRange | undefined {
  const found = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(header ?? '');
  if (found === null) return undefined;
  const total = found[3] === '*' ? null : Number(found[3]);
  const range = { first: Number(found[1]), last: Number(found[2]), total };
  const isPossible = range.first <= range.last && (total === null || range.last < total);
  return isPossible ? range : undefined;
}

/** Whether the part is exactly what was asked for, as far as that can be told. */
function isAsAsked(range: ContentRange, options: OpenFileOptions): boolean {
  const { total } = range;
  if (options.suffixBytes !== undefined) {
    if (total === null) return range.last - range.first + 1 === options.suffixBytes;
    return range.first === Math.max(0, total - options.suffixBytes) && range.last === total - 1;
  }
  if (range.first !== (options.firstByte ?? 0)) return false;
  const end = total === null ? options.lastByte : Math.min(options.lastByte ?? Infinity, total - 1);
  return end === undefined || range.last === end;
}

/**
 * The `Content-Range` of a 206 to a request with these options.
 *
 * @throws InvalidUpstreamAnswerError when it is missing, impossible, or another part than asked for:
 *   appending such bytes would make a wrong file
 */
export function checkedRange(
  header: string | undefined,
  options: OpenFileOptions,
  url: string,
): ContentRange {
  const range = parse(header);
  if (range !== undefined && isAsAsked(range, options)) return range;
  throw new InvalidUpstreamAnswerError(
    `${url} answered ${JSON.stringify(rangeHeaderFor(options) ?? 'no range')} with the part ${JSON.stringify((header ?? 'unknown').slice(0, 80))}.`,
  );
}
