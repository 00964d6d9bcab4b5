import type { Clock } from '../core/clock.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { Database } from './database.ts';

/** What was learned of a project the last time that an installer asked for its core metadata. */
export interface LearnedProject {
  /** Whose page it was on: a name that no other index will have. */
  readonly index: string;
  readonly version: string;
  /** `Requires-Dist`, as written. */
  readonly requires: readonly string[];
}

/** The least recently learned go. */
const MOST_PROJECTS = 50_000;

/** Longer lists are not worth keeping: they are extras, nearly always. */
const LONGEST_REQUIRES = 64 * 1024;

/**
 * Which projects need which others, kept when files and pages are long evicted. Losing it costs some round
 * trips and nothing else, so it lies in the catalog.
 */
export class DependencyTable {
  readonly #db: Database;
  readonly #clock: Clock;

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** What is known of a project. */
  find(project: ProjectName): LearnedProject | undefined {
    const row = this.#db.get<{ index: string; version: string; requires: string }>(
      'SELECT upstream AS "index", version, requires FROM dependencies WHERE project = ?',
      [project],
    );
    return row && { ...row, requires: JSON.parse(row.requires) as string[] };
  }

  /** Number of projects. */
  get size(): number {
    return this.#db.get<{ n: number }>('SELECT COUNT(*) AS n FROM dependencies')?.n ?? 0;
  }

  /** Keeps what was learned, in place of what was known. */
  async learn(project: ProjectName, learned: LearnedProject): Promise<void> {
    const requires = JSON.stringify(learned.requires);
    if (requires.length > LONGEST_REQUIRES) return;
    const known = this.find(project);
    const isSame =
      known?.index === learned.index &&
      known.version === learned.version &&
      JSON.stringify(known.requires) === requires;
    if (isSame) return;
    await this.#db.write(() =>
      this.#db.run('INSERT OR REPLACE INTO dependencies VALUES (?, ?, ?, ?, ?)', [
        project,
        learned.index,
        learned.version,
        requires,
        this.#clock.now(),
      ]),
    );
  }

  /** Drops all but the latest; inside a write. */
  trim(): void {
    this.#db.run(
      `DELETE FROM dependencies WHERE learned_at <
         (SELECT learned_at FROM dependencies ORDER BY learned_at DESC LIMIT 1 OFFSET ?)`,
      [MOST_PROJECTS],
    );
  }
}
