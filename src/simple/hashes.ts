import type { Hashes } from './model.ts';

/** Length of a digest in hexadecimal digits, strongest algorithm first. */
const DIGEST_LENGTHS: ReadonlyMap<string, number> = new Map([
  ['sha256', 64],
  ['sha512', 128],
  ['sha384', 96],
  ['blake2b', 128],
  ['blake2b_256', 64],
  ['blake2_256', 64],
  ['blake2s', 64],
  ['sha3_512', 128],
  ['sha3_384', 96],
  ['sha3_256', 64],
  ['sha3_224', 56],
  ['sha224', 56],
  ['sha1', 40],
  ['md5', 32],
]);

/** Algorithm names of `hashlib`; this excludes `__proto__`. */
const ALGORITHM = /^[a-z][a-z0-9_-]{0,31}$/;
const HEXADECIMAL = /^[0-9a-f]{1,256}$/;

/** One digest of a file. */
export interface Digest {
  readonly algorithm: string;
  /** Lower-case hexadecimal. */
  readonly value: string;
}

/** A digest in lower case, or `undefined` when it is none: unusable name, not hexadecimal, wrong length. */
export function parseDigest(algorithm: string, value: unknown): Digest | undefined {
  if (typeof value !== 'string') return undefined;
  const name = algorithm.toLowerCase();
  const digits = value.toLowerCase();
  if (!ALGORITHM.test(name) || !HEXADECIMAL.test(digits)) return undefined;
  const length = DIGEST_LENGTHS.get(name);
  if (length !== undefined && length !== digits.length) return undefined;
  return { algorithm: name, value: digits };
}

/** Digests out of a JSON object, or `undefined` when `value` is no object or one of them is malformed. */
export function parseHashes(value: unknown): Hashes | undefined {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) return undefined;
  const digests = Object.entries(value).map(([algorithm, digits]) =>
    parseDigest(algorithm, digits),
  );
  return digests.includes(undefined) ? undefined : hashesOf(digests as readonly Digest[]);
}

/**
 * Digests out of a URL fragment (`sha256=…`, `egg=x&md5=…`; PEP 503), or `undefined` when one of a
 * known algorithm is malformed. Other parts of the fragment, and empty values, say nothing.
 */
export function parseFragment(fragment: string): Hashes | undefined {
  const digests: Digest[] = [];
  for (const part of fragment.split('&')) {
    const at = part.indexOf('=');
    const algorithm = part.slice(0, Math.max(at, 0)).toLowerCase();
    if (!DIGEST_LENGTHS.has(algorithm) || at === part.length - 1) continue;
    const digest = parseDigest(algorithm, part.slice(at + 1));
    if (digest === undefined) return undefined;
    digests.push(digest);
  }
  return hashesOf(digests);
}

/** The digest to put into an HTML link, which has room for one: sha256, else the strongest other. */
export function strongestDigest(hashes: Hashes): Digest | undefined {
  for (const algorithm of DIGEST_LENGTHS.keys()) {
    const value = hashes[algorithm];
    if (value !== undefined) return { algorithm, value };
  }
  return undefined;
}

/** Whether two listings can mean the same bytes: they share a digest, and all that they share agree. */
export function hashesAgree(left: Hashes, right: Hashes): boolean {
  const shared = Object.keys(left).filter((algorithm) => right[algorithm] !== undefined);
  return shared.length > 0 && shared.every((algorithm) => left[algorithm] === right[algorithm]);
}

/** Whether two listings certainly mean different bytes: a digest that both have differs. */
export function hashesContradict(left: Hashes, right: Hashes): boolean {
  return Object.keys(left).some(
    (algorithm) => right[algorithm] !== undefined && left[algorithm] !== right[algorithm],
  );
}

function hashesOf(digests: readonly Digest[]): Hashes {
  return Object.fromEntries(digests.map(({ algorithm, value }) => [algorithm, value]));
}
