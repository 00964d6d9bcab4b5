import type { Clock } from '../core/clock.ts';

/** Response headers by lower-case name; repeated ones are joined with `, `. */
export type ResponseHeaders = Readonly<Record<string, string>>;

/** Longer waits than this are not believed; a client would give up first. */
const LONGEST_RETRY_AFTER_SECONDS = 60;

function directives(header: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of header.split(',')) {
    const [name = '', value = ''] = part.split('=', 2);
    const key = name.trim().toLowerCase();
    if (key !== '' && !found.has(key)) found.set(key, value.trim().replaceAll('"', ''));
  }
  return found;
}

const secondsOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,12}$/.test(text) ? Number(text) : undefined;

/**
 * How much longer an answer stays fresh, in milliseconds; `null` when the upstream does not say or
 * forbids a shared cache (RFC 9111 §5.2.2). `Age` is taken off (RFC 9111 §4.2.3).
 */
export function freshForMs(headers: ResponseHeaders): number | null {
  const header = headers['cache-control'];
  if (header === undefined) return null;
  const given = directives(header);
  if (given.has('no-store') || given.has('private')) return null;
  if (given.has('no-cache')) return 0;
  const lifetime = secondsOf(given.get('s-maxage')) ?? secondsOf(given.get('max-age'));
  if (lifetime === undefined) return null;
  return Math.max(0, lifetime - (secondsOf(headers['age']) ?? 0)) * 1000;
}

/**
 * `Retry-After` in seconds, between 0 and 60; `undefined` when absent or unreadable. A date in the
 * past is 0 (RFC 9110 §10.2.3).
 */
export function retryAfterSeconds(headers: ResponseHeaders, clock: Clock): number | undefined {
  const text = headers['retry-after']?.trim();
  if (text === undefined || text === '') return undefined;
  const seconds = /^\d+$/.test(text)
    ? Number(text)
    : Math.ceil((Date.parse(text) - clock.now()) / 1000);
  if (Number.isNaN(seconds)) return undefined;
  return Math.min(LONGEST_RETRY_AFTER_SECONDS, Math.max(0, seconds));
}

/** `X-PyPI-Last-Serial`, when it is a number. */
export function lastSerialOf(headers: ResponseHeaders): number | null {
  const text = headers['x-pypi-last-serial'];
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** The ETag when it is a strong one, which alone can vouch for parts of a file (RFC 9110 §8.8.3). */
export function strongEtagOf(headers: ResponseHeaders): string | null {
  const etag = headers['etag'];
  return etag !== undefined && /^"[\x21\x23-\x7e]*"$/.test(etag) ? etag : null;
}

/** `Content-Length`, when it is a number. */
export function contentLengthOf(headers: ResponseHeaders): number | null {
  const text = headers['content-length'];
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}
