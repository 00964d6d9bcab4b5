import type { Clock } from '../core/clock.ts';
import type { ProjectName } from '../packaging/names.ts';
import { Database } from './database.ts';
import type { Layout } from './layout.ts';
import { PIN_SCHEMA, PinTable } from './pin-table.ts';
import { SET_SCHEMA, SetTable } from './set-table.ts';

/**
 * What cannot be made again: what was seen first, what was found wrong. Kept past eviction and past
 * the loss of the catalog; written through to the disk (`synchronous = FULL`).
 */
const RECORDS_SCHEMA = `
-- The sha256 that a file had when it was first fetched, where its index lists none.
CREATE TABLE IF NOT EXISTS first_seen (
  upstream   TEXT NOT NULL,
  path       TEXT NOT NULL,
  sha256     TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL,
  PRIMARY KEY (upstream, path)
) WITHOUT ROWID;

-- Core metadata that must not be advertised, its bytes were found wrong: until the index lists another digest.
CREATE TABLE IF NOT EXISTS withdrawn_metadata (
  upstream TEXT NOT NULL,
  path     TEXT NOT NULL,
  reason   TEXT NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (upstream, path)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS alarms (
  kind     TEXT NOT NULL,
  upstream TEXT NOT NULL,
  project  TEXT NOT NULL,
  message  TEXT NOT NULL,
  first_at INTEGER NOT NULL,
  last_at  INTEGER NOT NULL,
  times    INTEGER NOT NULL,
  PRIMARY KEY (kind, upstream, project, message)
) WITHOUT ROWID;
${PIN_SCHEMA}${SET_SCHEMA}`;

const RECORDS_VERSION = 1;

const NONE: ReadonlySet<string> = new Set();

/**
 * - `changed-digest`: a known filename was listed with another digest.
 * - `went-back`: a page with a lower serial, or suddenly without files.
 * - `wrong-metadata`: core metadata that differs from what the wheel holds.
 */
export type AlarmKind = 'changed-digest' | 'went-back' | 'wrong-metadata';

/** Something a person should look at. Times are epoch milliseconds. */
export interface Alarm {
  readonly kind: AlarmKind;
  readonly upstream: string;
  readonly project: ProjectName;
  readonly message: string;
  readonly firstAt: number;
  readonly lastAt: number;
  /** How often it was seen. */
  readonly times: number;
}

/** The digest that a file is held to because it was seen first. */
export interface FirstSeen {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** `state-v1/records.sqlite`; shared by all processes on a cache folder. */
export class Records {
  /** What people want kept. */
  readonly pins: PinTable;
  /** What builds have used. */
  readonly sets: SetTable;
  readonly #db: Database;
  readonly #clock: Clock;
  /** By upstream. */
  readonly #withdrawn = new Map<string, Set<string>>();
  #withdrawnVersion = -1;

  private constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.pins = new PinTable(db, clock);
    this.sets = new SetTable(db);
  }

  /** @throws StorageError */
  static async open(layout: Layout, clock: Clock): Promise<Records> {
    const db = await Database.open({
      file: layout.recordsFile,
      schema: RECORDS_SCHEMA,
      version: RECORDS_VERSION,
      isDerived: false,
      synchronous: 'FULL',
    });
    return new Records(db, clock);
  }

  /** What a file without a listed digest was when it was fetched first. */
  firstSeen(upstream: string, path: string): FirstSeen | undefined {
    return this.#db.get<FirstSeen>(
      'SELECT sha256, size_bytes AS sizeBytes FROM first_seen WHERE upstream = ? AND path = ?',
      [upstream, path],
    );
  }

  /**
   * Records what a file is. Of two processes with different bytes the first one decides: resolves with the
   * record that holds.
   */
  async seeFirst(upstream: string, path: string, seen: FirstSeen): Promise<FirstSeen> {
    return await this.#db.write(() => {
      this.#db.run('INSERT OR IGNORE INTO first_seen VALUES (?, ?, ?, ?, ?)', [
        upstream,
        path,
        seen.sha256,
        seen.sizeBytes,
        this.#clock.now(),
      ]);
      return this.firstSeen(upstream, path) ?? seen;
    });
  }

  /** Stops advertising the core metadata of the file at `path`. */
  async withdrawMetadata(upstream: string, path: string, reason: string): Promise<void> {
    await this.#db.write(() => {
      this.#db.run('INSERT OR REPLACE INTO withdrawn_metadata VALUES (?, ?, ?, ?)', [
        upstream,
        path,
        reason,
        this.#clock.now(),
      ]);
    });
    this.#withdrawnVersion = -1;
  }

  /** Gives the core metadata of these files another chance. */
  async restoreMetadata(upstream: string, paths: readonly string[]): Promise<void> {
    await this.#db.write(() => {
      for (const path of paths) {
        this.#db.run('DELETE FROM withdrawn_metadata WHERE upstream = ? AND path = ?', [
          upstream,
          path,
        ]);
      }
    });
    this.#withdrawnVersion = -1;
  }

  /** Paths of the upstream's files whose core metadata must not be advertised, as of now. */
  withdrawnMetadata(upstream: string): ReadonlySet<string> {
    const version = this.#db.dataVersion();
    if (version !== this.#withdrawnVersion) {
      const rows = this.#db.all<{ upstream: string; path: string }>(
        'SELECT upstream, path FROM withdrawn_metadata',
      );
      this.#withdrawn.clear();
      for (const row of rows) {
        const paths = this.#withdrawn.get(row.upstream) ?? new Set();
        this.#withdrawn.set(row.upstream, paths.add(row.path));
      }
      this.#withdrawnVersion = version;
    }
    return this.#withdrawn.get(upstream) ?? NONE;
  }

  /** Raises an alarm, or counts it again. */
  async raise(alarm: Pick<Alarm, 'kind' | 'upstream' | 'project' | 'message'>): Promise<void> {
    const at = this.#clock.now();
    await this.#db.write(() => {
      this.#db.run(
        `INSERT INTO alarms VALUES (?, ?, ?, ?, ?, ?, 1)
         ON CONFLICT (kind, upstream, project, message) DO UPDATE SET last_at = excluded.last_at, times = times + 1`,
        [alarm.kind, alarm.upstream, alarm.project, alarm.message, at, at],
      );
    });
  }

  /** The newest alarms. */
  alarms(limit: number): Alarm[] {
    return this.#db.all<Alarm>(
      `SELECT kind, upstream, project, message, first_at AS firstAt, last_at AS lastAt, times
       FROM alarms ORDER BY last_at DESC LIMIT ?`,
      [limit],
    );
  }

  /** `ok`, or what SQLite found wrong. */
  quickCheck(): string {
    return this.#db.quickCheck();
  }

  async close(): Promise<void> {
    await this.#db.close();
  }
}
