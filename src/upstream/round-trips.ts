/** So many of the latest answers count. */
const REMEMBERED = 16;

/**
 * How far away a host is: the time from a request to the head of its answer. The lower quartile of the
 * latest answers, since a machine that is busy, or a connection that is new, only ever adds to it.
 */
export class RoundTrips {
  readonly #latest: number[] = [];
  #next = 0;

  /** @param ms from sending the request to the head of the answer */
  note(ms: number): void {
    this.#latest[this.#next] = ms;
    this.#next = (this.#next + 1) % REMEMBERED;
  }

  /** Milliseconds; `null` before the first answer. */
  get typicalMs(): number | null {
    if (this.#latest.length === 0) return null;
    const sorted = this.#latest.toSorted((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 4)] ?? null;
  }
}
