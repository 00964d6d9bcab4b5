import { EventEmitter } from 'node:events';
import type { Clock } from '../core/clock.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { Database } from './database.ts';

/** Every process has read a change long before this. */
const CHANGES_KEPT_MS = 3_600_000;

/** In place of a name: the root page, whose revision rises when another project is held, or one no longer. */
export const ROOT_PAGE = '' as ProjectName;

/**
 * What changed, for this process and the others: a revision for each project, the revision of its page on
 * the disk, and the changes that other processes have committed.
 */
export class Revisions {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #events = new EventEmitter<{ changed: [ProjectName] }>();
  #lastDataVersion = 0;
  #lastSeq = 0;

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#events.setMaxListeners(0);
    this.begin();
  }

  /** Counts from what is there now: the database is another one. */
  begin(): void {
    // In this order: what is committed in between is read once too often, not overlooked.
    this.#lastDataVersion = this.#db.dataVersion();
    this.#lastSeq =
      this.#db.get<{ seq: number | null }>('SELECT MAX(seq) AS seq FROM changes')?.seq ?? 0;
  }

  /** The number that rises with every change that a static page of the project could show. */
  revisionOf(project: ProjectName): number {
    return (
      this.#db.get<{ revision: number }>('SELECT revision FROM projects WHERE project = ?', [
        project,
      ])?.revision ?? 0
    );
  }

  /** The revision of the static page on the disk; 0 when none was ever written. */
  staticRevisionOf(project: ProjectName): number {
    return (
      this.#db.get<{ r: number }>('SELECT static_revision AS r FROM projects WHERE project = ?', [
        project,
      ])?.r ?? 0
    );
  }

  /** Projects whose static page is older than their revision for at least `ageMs`. */
  projectsToWrite(ageMs: number): ProjectName[] {
    return this.#db
      .all<{ project: ProjectName }>(
        'SELECT project FROM projects WHERE revision <> static_revision AND changed_at <= ?',
        [this.#clock.now() - ageMs],
      )
      .map((row) => row.project);
  }

  /**
   * Runs `publish` (two renames) inside a transaction if the project is still at `revision`, so that
   * of two processes the one with the older page can never win. Resolves with whether it ran.
   */
  publishStatic(project: ProjectName, revision: number, publish: () => void): Promise<boolean> {
    return this.#db.write(() => {
      if (this.revisionOf(project) !== revision) return false;
      publish();
      this.#db.run('UPDATE projects SET static_revision = ? WHERE project = ?', [
        revision,
        project,
      ]);
      return true;
    });
  }

  /** Whether the page on the disk, if there is one, is older than the project's revision. */
  isPageBehind(project: ProjectName): boolean {
    return (
      this.#db.get('SELECT 1 FROM projects WHERE project = ? AND static_revision <> revision', [
        project,
      ]) !== undefined
    );
  }

  /**
   * Raises a project's revision; the first one is the time, so that no revision of a catalog is one of the
   * catalog before it, from which a server may remember pages. For this process and the others; only
   * inside a transaction.
   */
  raise(project: ProjectName): void {
    const at = this.#clock.now();
    this.#db.run(
      `INSERT INTO projects VALUES (?, ?, 0, ?)
       ON CONFLICT (project) DO UPDATE SET revision = revision + 1, changed_at = excluded.changed_at`,
      [project, at, at],
    );
    this.#db.run('INSERT INTO changes (project, at) VALUES (?, ?)', [project, at]);
  }

  /** Tells the listeners of this process, after the commit. */
  tell(project: ProjectName): void {
    this.#events.emit('changed', project);
  }

  /** Calls `listener` with each project that changed, here or in another process. */
  onChange(listener: (project: ProjectName) => void): () => void {
    this.#events.on('changed', listener);
    return () => this.#events.off('changed', listener);
  }

  /** Reads what other processes have committed since the last look. */
  readChanges(): void {
    const version = this.#db.dataVersion();
    if (version === this.#lastDataVersion) return;
    const rows = this.#db.all<{ seq: number; project: ProjectName }>(
      'SELECT seq, project FROM changes WHERE seq > ? ORDER BY seq',
      [this.#lastSeq],
    );
    this.#lastDataVersion = version;
    this.#lastSeq = rows.at(-1)?.seq ?? this.#lastSeq;
    for (const project of new Set(rows.map((row) => row.project))) this.tell(project);
  }

  /** Drops change rows that every process has long read; only inside a transaction. */
  trim(): void {
    this.#db.run('DELETE FROM changes WHERE at < ?', [this.#clock.now() - CHANGES_KEPT_MS]);
  }
}
