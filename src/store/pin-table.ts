import type { Clock } from '../core/clock.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { Database } from './database.ts';

/** The table of pins, a part of `records.sqlite`: people decided them. */
export const PIN_SCHEMA = `
-- What people want kept: files of the project whose version fulfils the specifier ('' is every version).
CREATE TABLE IF NOT EXISTS pins (
  project   TEXT NOT NULL,
  specifier TEXT NOT NULL,
  pinned_at INTEGER NOT NULL,
  PRIMARY KEY (project, specifier)
) WITHOUT ROWID;
`;

/** One wish to keep files, held now or later. */
export interface Pin {
  readonly project: ProjectName;
  /** Specifier set (PEP 440); empty for every version. */
  readonly specifier: string;
  /** Epoch milliseconds. */
  readonly pinnedAt: number;
}

/** The pins of a cache folder. What they mean for held files is mirrored by `KeptFiles`. */
export class PinTable {
  readonly #db: Database;
  readonly #clock: Clock;

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** All pins, by project and specifier. */
  all(): Pin[] {
    return this.#db.all<Pin>(
      'SELECT project, specifier, pinned_at AS pinnedAt FROM pins ORDER BY project, specifier',
    );
  }

  /** The pins of one project. */
  ofProject(project: ProjectName): Pin[] {
    return this.all().filter((pin) => pin.project === project);
  }

  /** Adds a pin; the same again changes nothing. */
  async add(project: ProjectName, specifier: string): Promise<void> {
    await this.#db.write(() => {
      this.#db.run('INSERT OR IGNORE INTO pins VALUES (?, ?, ?)', [
        project,
        specifier,
        this.#clock.now(),
      ]);
    });
  }

  /**
   * Removes the pin with exactly this specifier, or with `null` all pins of the project.
   *
   * @returns how many there were
   */
  async remove(project: ProjectName, specifier: string | null): Promise<number> {
    return await this.#db.write(() =>
      specifier === null
        ? this.#db.run('DELETE FROM pins WHERE project = ?', [project])
        : this.#db.run('DELETE FROM pins WHERE project = ? AND specifier = ?', [
            project,
            specifier,
          ]),
    );
  }
}
