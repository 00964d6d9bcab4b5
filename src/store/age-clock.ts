import type { Clock } from '../core/clock.ts';

/** Where the time of the last look is kept. */
interface Notes {
  note(name: string): string | undefined;
  setNote(name: string, value: string | null): Promise<void>;
}

/** Wall-clock time, epoch milliseconds, of the last look of any process. */
const LOOKED_AT = 'age-looked-at';
/** Time servers correct minutes; a sleeping computer is away for hours: neither makes a file old. */
const SMALLEST_JUMP_MS = 3_600_000;
/** Beyond this share of the greatest age a jump could make files old that are not. */
const JUMP_SHARE = 0.25;
/** After a jump the clock is believed when it went evenly for so long, or for the greatest age if that is shorter. */
const EVEN_FOR_MS = 24 * 3_600_000;

/**
 * Says whether the wall clock may be believed when it calls files old. A clock that jumps ahead (an empty
 * battery, a typing error, a time server that lies) would otherwise empty the cache within a minute, and
 * nothing brings the files back when it is set right. A computer that was switched off for months looks the
 * same: then, too, there is no hurry.
 */
export class AgeClock {
  readonly #clock: Clock;
  readonly #notes: Notes;
  readonly #largestJumpMs: number;
  readonly #evenForMs: number;
  #last: { readonly wall: number; readonly monotonic: number } | null = null;
  /** Monotonic time of the last jump. */
  #jumpedAt = -Infinity;

  /** @param maxAgeMs the greatest age of a file */
  constructor(clock: Clock, notes: Notes, maxAgeMs: number) {
    this.#clock = clock;
    this.#notes = notes;
    this.#largestJumpMs = Math.max(SMALLEST_JUMP_MS, maxAgeMs * JUMP_SHARE);
    this.#evenForMs = Math.min(EVEN_FOR_MS, maxAgeMs);
  }

  /** Looks at the clock, once a minute or so. Whether files may go by their age now. */
  async isEven(): Promise<boolean> {
    const now = { wall: this.#clock.now(), monotonic: this.#clock.monotonic() };
    if (this.#aheadMs(now) > this.#largestJumpMs) this.#jumpedAt = now.monotonic;
    this.#last = now;
    await this.#notes.setNote(LOOKED_AT, String(now.wall));
    return now.monotonic - this.#jumpedAt >= this.#evenForMs;
  }

  /** How far the wall clock went ahead of the time that has passed; at the first look nobody knows how much has. */
  #aheadMs(now: { readonly wall: number; readonly monotonic: number }): number {
    if (this.#last !== null)
      return now.wall - this.#last.wall - (now.monotonic - this.#last.monotonic);
    const noted = Number(this.#notes.note(LOOKED_AT) ?? now.wall);
    return now.wall - noted;
  }
}
