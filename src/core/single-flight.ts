/**
 * Runs one piece of work for a key at a time; whoever asks meanwhile shares its outcome. The work is
 * never cancelled because one asker left.
 */
export class SingleFlight<T> {
  readonly #underWay = new Map<string, Promise<T>>();

  /** The outcome of the work under way for `key`, started by `work` if there is none. */
  run(key: string, work: () => Promise<T>): Promise<T> {
    const present = this.#underWay.get(key);
    if (present !== undefined) return present;
    const started = work().finally(() => {
      if (this.#underWay.get(key) === started) this.#underWay.delete(key);
    });
    this.#underWay.set(key, started);
    return started;
  }

  /** Whether work for `key` is under way. */
  has(key: string): boolean {
    return this.#underWay.has(key);
  }

  /** Number of keys with work under way. */
  get size(): number {
    return this.#underWay.size;
  }

  /** Resolves when everything that is under way now has ended, however it ended. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay.values());
  }
}
