import { join } from 'node:path';
import { sleep } from '../../core/sleep.ts';
import type { FillRequest } from './byte-source.ts';
import { DataFile } from './data-file.ts';
import { breakFillLock } from './fill-lock.ts';
import { claimSuccession, isForsaken, readFillState } from './fill-state.ts';
import type { FillState } from './fill-state.ts';
import type { FillEnvironment } from './fill-environment.ts';
import { errorFrom } from './fill-error.ts';
import type { FillProgress } from './progress.ts';

/** One fstat costs 1 µs: as quick as a file watcher, and works everywhere. */
const LOOK_EVERY_MS = 10;
/** Until the length is known the note is read this often: the first byte waits for it. */
const READ_EARLY_NOTE_EVERY_MS = 20;
/** Without growth for so long, the note is read … */
const TROUBLE_AFTER_MS = 100;
/** … for so long, the lock is tried, which finds a stale one … */
const TRY_LOCK_EVERY_MS = 500;
/** … without a note of an owner for so long, the work goes on without it: an owner leaves one at once … */
const GO_ON_WITHOUT_NOTE_AFTER_MS = 3_000;
/** … and in any case after this, the work goes on without it: no request waits longer than this for a lock. */
const GO_ON_AFTER_MS = 10_000;

/**
 * How following ended. `stored`: the row is there. `try-lock`: own it if the lock can be had.
 * `take-over`: own it, the succession is ours. `go-on`: own it without the lock. `failed`: the owner's word.
 */
export type FollowEnd =
  | { readonly kind: 'stored' | 'try-lock' | 'take-over' | 'go-on' | 'stopped' }
  | { readonly kind: 'failed'; readonly error: Error };

/**
 * Follows a fill that another process owns by the size and mode of its data file; one for all readers
 * of this process. The note beside the data is read on attaching and on trouble only. `run` may be
 * called again after `try-lock`: the times without growth count on. After an
 * ownership of our own, a new follower begins.
 */
export class Follower {
  readonly #env: FillEnvironment;
  readonly #request: FillRequest;
  readonly #key: string;
  readonly #progress: FillProgress;
  readonly #claims: Set<string>;
  #seenFailure: string | null;
  #knownBytes = -1;
  #grewAt: number;
  #readNoteAt = -Infinity;
  #triedLockAt: number;
  /** When there last was a note of somebody at work. */
  #notedAt: number;

  /** @param claims ownerships whose succession is this process's already */
  constructor(
    env: FillEnvironment,
    request: FillRequest,
    key: string,
    progress: FillProgress,
    claims: Set<string>,
  ) {
    this.#claims = claims;
    this.#env = env;
    this.#request = request;
    this.#key = key;
    this.#progress = progress;
    this.#grewAt = this.#triedLockAt = this.#notedAt = env.clock.monotonic();
    const present = readFillState(env.layout, key);
    // A failure from before this request says nothing about it.
    this.#seenFailure = present?.phase === 'failed' ? present.nonce : null;
  }

  async run(stop: AbortSignal): Promise<FollowEnd> {
    while (!stop.aborted) {
      const end = this.#look(this.#env.clock.monotonic());
      if (end !== undefined) return end;
      await sleep(LOOK_EVERY_MS, stop);
    }
    return { kind: 'stopped' };
  }

  #look(now: number): FollowEnd | undefined {
    this.#noticeGrowth(now);
    const quietMs = now - this.#grewAt;
    const file = this.#progress.file;
    const isEarly = file === null || this.#progress.totalBytes === null;
    const isTrouble = quietMs >= TROUBLE_AFTER_MS || (file !== null && file.state !== 'growing');
    if ((isEarly || isTrouble) && now - this.#readNoteAt >= READ_EARLY_NOTE_EVERY_MS) {
      this.#readNoteAt = now;
      const end = this.#readNote();
      if (end !== undefined) return end;
    }
    const noteless = now - this.#notedAt >= GO_ON_WITHOUT_NOTE_AFTER_MS;
    if (quietMs >= GO_ON_AFTER_MS || noteless) return { kind: 'go-on' };
    if (quietMs >= TROUBLE_AFTER_MS && now - this.#triedLockAt >= TRY_LOCK_EVERY_MS) {
      this.#triedLockAt = now;
      return { kind: 'try-lock' };
    }
    return undefined;
  }

  #noticeGrowth(now: number): void {
    const file = this.#progress.file;
    if (file === null) return;
    const before = file.state;
    file.look();
    if (file.sizeBytes === this.#knownBytes && file.state === before) return;
    this.#knownBytes = file.sizeBytes;
    this.#grewAt = this.#notedAt = now;
    this.#progress.wake();
  }

  #readNote(): FollowEnd | undefined {
    const { catalog, layout } = this.#env;
    if (catalog.findFile(this.#request.upstream, this.#request.path) !== undefined)
      return { kind: 'stored' };
    const state = readFillState(layout, this.#key);
    // None: the owner has not left one yet, or has just published. The lock or the row will tell.
    if (state === undefined || state.nonce === this.#seenFailure) return undefined;
    if (state.phase === 'failed') {
      this.#seenFailure = state.nonce;
      return { kind: 'failed', error: errorFrom(state.error) };
    }
    if (isForsaken(state)) {
      if (this.#claims.has(state.nonce)) return { kind: 'take-over' };
      if (!claimSuccession(layout, this.#key, state)) return undefined;
      this.#claims.add(state.nonce);
      breakFillLock(layout, this.#key);
      return { kind: 'take-over' };
    }
    this.#notedAt = this.#env.clock.monotonic();
    this.#attach(state);
    return undefined;
  }

  #attach(state: FillState): void {
    this.#progress.setTotal(state.totalBytes);
    const opened = DataFile.open(join(this.#env.layout.partialDir, state.dataFile));
    if (opened !== undefined) this.#progress.show(opened);
  }
}
