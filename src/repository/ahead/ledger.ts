import { LRUCache } from 'lru-cache';
import type { Catalog } from '../../store/catalog.ts';
import type { Session } from './session.ts';

/** What was fetched ahead and not asked for yet, remembered at a time. */
const MOST_ENTRIES = 20_000;

/** What is fetched ahead. */
export type AheadKind = 'page' | 'metadata' | 'file' | 'facts';

interface Entry {
  readonly kind: AheadKind;
  readonly session: Session;
  /** As far as is known. */
  bytes: number;
  isDone: boolean;
  isAsked: boolean;
}

/** What asking ahead has come to, since the catalog was made, in all processes. */
export interface AheadCounts {
  readonly pages: number;
  readonly metadata: number;
  readonly files: number;
  /** Documents that say what a project's newest version requires. */
  readonly facts: number;
  readonly bytes: number;
  /** Of these, what some client has asked for since. */
  readonly usedBytes: number;
  readonly hits: number;
  readonly misses: number;
}

/** Keeps account of what was fetched ahead, and for whom, until somebody asks for it. */
export class Ledger {
  readonly #catalog: Pick<Catalog, 'count'>;
  readonly #entries = new LRUCache<string, Entry>({ max: MOST_ENTRIES });

  constructor(catalog: Pick<Catalog, 'count'>) {
    this.#catalog = catalog;
  }

  /**
   * A fetch begins, of so many bytes as far as is known.
   *
   * @returns to be called when it has ended, with the bytes that had to be fetched: 0 when it was there or failed
   */
  begin(
    key: string,
    kind: AheadKind,
    session: Session,
    bytes: number,
  ): (fetchedBytes: number) => void {
    // Somebody else's installer wants the same: one fetch, on that account.
    if (this.#entries.peek(key) !== undefined) return () => {};
    const entry = { kind, session, bytes, isDone: false, isAsked: false };
    this.#entries.set(key, entry);
    session.fetched(bytes);
    return (fetchedBytes) => this.#end(key, entry, fetchedBytes);
  }

  /**
   * A client has asked for it: it was not in vain.
   *
   * @returns how many bytes were fetched ahead, 0 for none
   */
  asked(key: string): number {
    const entry = this.#entries.peek(key);
    if (entry === undefined || entry.isAsked) return 0;
    entry.session.fetched(-entry.bytes);
    entry.isAsked = true;
    if (!entry.isDone) return 0;
    this.#catalog.count('ahead_used_bytes', entry.bytes);
    this.#entries.delete(key);
    return entry.bytes;
  }

  /** Counts how a guess turned out. */
  judged(outcome: 'hit' | 'miss'): void {
    this.#catalog.count(`ahead_${outcome}`);
  }

  #end(key: string, entry: Entry, fetchedBytes: number): void {
    if (!entry.isAsked) entry.session.fetched(fetchedBytes - entry.bytes);
    entry.bytes = fetchedBytes;
    entry.isDone = true;
    if (fetchedBytes > 0) {
      this.#catalog.count(`ahead_${entry.kind}`);
      this.#catalog.count('ahead_bytes', fetchedBytes);
    }
    if (entry.isAsked) this.#catalog.count('ahead_used_bytes', fetchedBytes);
    if (entry.isAsked || fetchedBytes === 0) this.#entries.delete(key);
  }
}

/** The account, out of the counters of the catalog. */
export function aheadCounts(counters: Readonly<Record<string, number>>): AheadCounts {
  const count = (name: string): number => counters[`ahead_${name}`] ?? 0;
  return {
    pages: count('page'),
    metadata: count('metadata'),
    files: count('file'),
    facts: count('facts'),
    bytes: count('bytes'),
    usedBytes: count('used_bytes'),
    hits: count('hit'),
    misses: count('miss'),
  };
}
