import type { Clock } from '../core/clock.ts';
import type { Database } from './database.ts';
import type { HeldFile } from './held-file.ts';

/** Access times and counters: gathered in memory, written in groups. */
export class Usage {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #uses = new Map<string, { upstream: string; path: string; at: number; hits: number }>();
  readonly #counts = new Map<string, number>();

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** Notes that a file was served; written in groups by `flush`. */
  noteUse(file: Pick<HeldFile, 'upstream' | 'path'>): void {
    const key = `${file.upstream}\n${file.path}`;
    const present = this.#uses.get(key);
    const at = this.#clock.now();
    if (present === undefined)
      this.#uses.set(key, { upstream: file.upstream, path: file.path, at, hits: 1 });
    else {
      present.at = at;
      present.hits++;
    }
  }

  /** Adds to a named counter; written in groups by `flush`. */
  count(name: string, amount = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + amount);
  }

  /** Counters of all processes since the catalog was made, with what this process has not written yet. */
  counters(): Record<string, number> {
    const totals: Record<string, number> = {};
    for (const row of this.#db.all<{ name: string; value: number }>(
      'SELECT name, value FROM counters',
    )) {
      totals[row.name] = row.value;
    }
    for (const [name, amount] of this.#counts) totals[name] = (totals[name] ?? 0) + amount;
    return totals;
  }

  /** Writes access times and counters gathered since the last call. */
  async flush(): Promise<void> {
    if (this.#uses.size === 0 && this.#counts.size === 0) return;
    const uses = [...this.#uses.values()];
    const counts = [...this.#counts];
    this.#uses.clear();
    this.#counts.clear();
    await this.#db.write(() => {
      for (const use of uses) {
        this.#db.run(
          'UPDATE files SET used_at = MAX(used_at, ?), hits = hits + ? WHERE upstream = ? AND path = ?',
          [use.at, use.hits, use.upstream, use.path],
        );
      }
      for (const [name, amount] of counts) {
        this.#db.run(
          'INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value',
          [name, amount],
        );
      }
    });
  }
}
