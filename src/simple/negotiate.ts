/** The JSON form of the Simple API (PEP 691). */
export const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';
/** The HTML form by its versioned name (PEP 691). */
export const HTML_TYPE = 'application/vnd.pypi.simple.v1+html';
/** The HTML form by its old name (PEP 503). */
export const LEGACY_HTML_TYPE = 'text/html';

/** A content type in which pages can be served. */
export type PageType = typeof JSON_TYPE | typeof HTML_TYPE | typeof LEGACY_HTML_TYPE;

/** The content type to answer with. */
export interface NegotiatedPage {
  readonly type: PageType;
}

/** The content coding to answer with. */
export type PageCoding = 'identity' | 'gzip' | 'zstd';

/** All content types that pages are served in, for the body of a 406. */
export const PAGE_TYPES: readonly PageType[] = [JSON_TYPE, HTML_TYPE, LEGACY_HTML_TYPE];

/** `latest` names the newest version there is, and the answer carries its real name (PEP 691). */
const NAMED_TYPES: ReadonlyMap<string, PageType> = new Map<string, PageType>([
  ...PAGE_TYPES.map((type) => [type, type] as const),
  ['application/vnd.pypi.simple.latest+json', JSON_TYPE],
  ['application/vnd.pypi.simple.latest+html', HTML_TYPE],
]);

/** Preference where a wildcard leaves the choice to us: what every client can read first. */
const WILDCARD_ORDER: readonly PageType[] = [LEGACY_HTML_TYPE, HTML_TYPE, JSON_TYPE];

/** A weight in thousandths, and how exactly the type was named: 0 as anything, 1 by family, 2 outright. */
interface Claim {
  readonly weight: number;
  readonly exactness: number;
}

/**
 * The content type that fits an Accept header best (RFC 9110 §12.5.1, PEP 691), or `undefined` for a
 * 406. An absent header accepts everything. Of equal weights, a type named outright beats a wildcard
 * and JSON beats HTML. `format`, the query parameter of PEP 691, wins over the header. Members with a
 * malformed weight are ignored. Linear in the header's length.
 */
export function negotiate(
  accept: string | undefined,
  format: string | undefined,
): NegotiatedPage | undefined {
  if (format !== undefined && format !== '') return formatType(format);
  const claims = readClaims(accept ?? '');
  if (claims.size === 0) return { type: LEGACY_HTML_TYPE };
  const best = PAGE_TYPES.map((type) => ({ type, ...claimFor(type, claims) }))
    .filter(({ weight }) => weight > 0)
    .sort((left, right) => right.weight - left.weight || right.exactness - left.exactness);
  const first = best[0];
  if (first === undefined) return undefined;
  if (first.exactness === 2) return { type: first.type };
  // `sort` is stable: all that tie with the first one are candidates of the same wildcard.
  const tied = best.filter(
    ({ weight, exactness }) => weight === first.weight && exactness === first.exactness,
  );
  const type = WILDCARD_ORDER.find((candidate) => tied.some((other) => other.type === candidate));
  return type === undefined ? undefined : { type };
}

/**
 * The content coding that fits an Accept-Encoding header best (RFC 9110 §12.5.3); of equal weights the
 * first of `available`. Identity when the header is absent, and when nothing that we have is acceptable.
 */
export function negotiateCoding(
  acceptEncoding: string | undefined,
  available: readonly Exclude<PageCoding, 'identity'>[] = ['gzip'],
): PageCoding {
  const weights = readMembers(acceptEncoding ?? '');
  let best: { coding: PageCoding; weight: number } = { coding: 'identity', weight: 0 };
  for (const coding of available) {
    const alias = coding === 'gzip' ? weights.get('x-gzip') : undefined;
    const weight = weights.get(coding) ?? alias ?? weights.get('*') ?? 0;
    if (weight > best.weight) best = { coding, weight };
  }
  return best.weight >= (weights.get('identity') ?? 0) ? best.coding : 'identity';
}

/** An unencoded `+` in a query string arrives as a space. */
function formatType(format: string): NegotiatedPage | undefined {
  const type = NAMED_TYPES.get(format.trim().toLowerCase().replaceAll(' ', '+'));
  return type === undefined ? undefined : { type };
}

function claimFor(type: PageType, claims: ReadonlyMap<string, number>): Claim {
  const exact = claims.get(type);
  if (exact !== undefined) return { weight: exact, exactness: 2 };
  const family = claims.get(`${type.slice(0, type.indexOf('/'))}/*`);
  if (family !== undefined) return { weight: family, exactness: 1 };
  return { weight: claims.get('*/*') ?? 0, exactness: 0 };
}

/** Weights by type, `latest` already under its real name. Of two weights for one type, the higher. */
function readClaims(accept: string): ReadonlyMap<string, number> {
  const claims = new Map<string, number>();
  for (const [name, weight] of readMembers(accept)) {
    const type = NAMED_TYPES.get(name) ?? name;
    claims.set(type, Math.max(weight, claims.get(type) ?? 0));
  }
  return claims;
}

/** The members of a list header, lower-case, with their weight in thousandths. */
function readMembers(header: string): ReadonlyMap<string, number> {
  const members = new Map<string, number>();
  for (const member of header.toLowerCase().split(',')) {
    const [name = '', ...parameters] = member.split(';').map((part) => part.trim());
    const weight = readWeight(parameters);
    if (name !== '' && weight !== undefined)
      members.set(name, Math.max(weight, members.get(name) ?? 0));
  }
  return members;
}

/** In thousandths, further digits cut off; `undefined` when malformed (RFC 9110 §12.4.2). */
function readWeight(parameters: readonly string[]): number | undefined {
  const parameter = parameters.find((candidate) => /^q\s*=/.test(candidate));
  if (parameter === undefined) return 1000;
  const value = parameter.slice(parameter.indexOf('=') + 1).trim();
  if (!/^(?:0(?:\.\d*)?|1(?:\.0*)?)$/.test(value)) return undefined;
  return Math.round(Number(value.slice(0, 5)) * 1000);
}
