import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import type { Hashes } from '../../simple/model.ts';

/** Listed algorithms we can compute, strongest first, with OpenSSL's names. */
const ALGORITHMS: readonly (readonly [listed: string, computed: string])[] = [
  ['sha256', 'sha256'],
  ['sha512', 'sha512'],
  ['sha384', 'sha384'],
  ['sha3_256', 'sha3-256'],
  ['sha3_512', 'sha3-512'],
  ['blake2b', 'blake2b512'],
  ['sha224', 'sha224'],
  ['sha1', 'sha1'],
  ['md5', 'md5'],
];

/**
 * Digests bytes as they pass. sha256 is always computed, since everything stored is known by it; when
 * the index lists none, the strongest listed digest decides.
 */
export class Verifier {
  readonly #sha256: Hash = createHash('sha256');
  readonly #other: { readonly hash: Hash; readonly expected: string; readonly name: string } | null;
  readonly #expectedSha256: string | null;
  #result: { sha256: string; other: string | null } | null = null;

  constructor(hashes: Hashes) {
    this.#expectedSha256 = hashes['sha256']?.toLowerCase() ?? null;
    this.#other = this.#expectedSha256 === null ? strongestOther(hashes) : null;
  }

  /** Whether there is a listed digest to hold the bytes against. */
  get hasDigest(): boolean {
    return this.#expectedSha256 !== null || this.#other !== null;
  }

  update(bytes: Uint8Array): void {
    this.#sha256.update(bytes);
    this.#other?.hash.update(bytes);
  }

  /** The sha256 of everything that passed, in hexadecimal. Ends the digesting. */
  get sha256(): string {
    return this.#finish().sha256;
  }

  /** `null` when the listed digest holds (or none is listed), else a sentence. Ends the digesting. */
  mismatch(): string | null {
    const { sha256, other } = this.#finish();
    if (this.#expectedSha256 !== null) {
      return sha256 === this.#expectedSha256
        ? null
        : `sha256 is ${sha256}, but the index lists ${this.#expectedSha256}`;
    }
    if (this.#other === null || other === this.#other.expected) return null;
    return `${this.#other.name} is ${other}, but the index lists ${this.#other.expected}`;
  }

  /** Whether what passed so far is already the whole listed file. Digesting can go on. */
  matchesSoFar(): boolean {
    if (this.#expectedSha256 !== null)
      return this.#sha256.copy().digest('hex') === this.#expectedSha256;
    return this.#other !== null && this.#other.hash.copy().digest('hex') === this.#other.expected;
  }

  #finish(): { sha256: string; other: string | null } {
    this.#result ??= {
      sha256: this.#sha256.digest('hex'),
      other: this.#other?.hash.digest('hex') ?? null,
    };
    return this.#result;
  }
}

function strongestOther(hashes: Hashes): { hash: Hash; expected: string; name: string } | null {
  for (const [listed, computed] of ALGORITHMS) {
    const expected = hashes[listed];
    if (expected !== undefined)
      return { hash: createHash(computed), expected: expected.toLowerCase(), name: listed };
  }
  return null;
}
