import type { Clock } from '../core/clock.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { Database } from './database.ts';
import { FILE_COLUMNS, fromRow } from './held-file.ts';
import type { FileRow, HeldFile, Origin } from './held-file.ts';
import { LOCAL_UPSTREAM } from './layout.ts';

/** What an eviction looks at. Times are epoch milliseconds. */
export interface EvictableFile {
  readonly upstream: string;
  readonly path: string;
  readonly project: ProjectName;
  readonly sizeBytes: number;
  readonly storedAt: number;
  readonly usedAt: number;
  /** Requests that were answered from the disk. */
  readonly hits: number;
}

/** The table of held files: single statements; transactions are the catalog's. */
export class FileTable {
  readonly #db: Database;
  readonly #clock: Clock;

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /** The held file at this path, or `undefined`. */
  find(upstream: string, path: string): HeldFile | undefined {
    const row = this.#db.get<FileRow>(
      `SELECT ${FILE_COLUMNS} FROM files WHERE upstream = ? AND path = ?`,
      [upstream, path],
    );
    return row && fromRow(row);
  }

  /** All held files of a project, of every upstream and both kinds. */
  ofProject(project: ProjectName): HeldFile[] {
    return this.#db
      .all<FileRow>(`SELECT ${FILE_COLUMNS} FROM files WHERE project = ? ORDER BY path`, [project])
      .map(fromRow);
  }

  /** A held distribution file with this digest, wherever it came from. */
  findBySha256(project: ProjectName, sha256: string): HeldFile | undefined {
    return this.ofProject(project).find(
      (file) => file.kind === 'distribution' && file.sha256 === sha256,
    );
  }

  /** Whether there is a local file of this project and origin. */
  hasLocal(project: ProjectName, origin: Origin): boolean {
    const sql = 'SELECT 1 FROM files WHERE project = ? AND upstream = ? AND origin = ? LIMIT 1';
    return this.#db.get(sql, [project, LOCAL_UPSTREAM, origin]) !== undefined;
  }

  /** Names with at least one distribution file that is held and listed, sorted. */
  heldProjects(): ProjectName[] {
    return this.#db
      .all<{ project: ProjectName }>('SELECT project FROM held WHERE listed > 0 ORDER BY project')
      .map((row) => row.project);
  }

  /** Takes out a row; only inside a transaction. */
  delete(upstream: string, path: string): void {
    this.#db.run('DELETE FROM files WHERE upstream = ? AND path = ?', [upstream, path]);
  }

  /** Inserts or replaces a row; only inside a transaction. */
  insert(file: HeldFile): void {
    const at = this.#clock.now();
    this.#db.run(
      `INSERT INTO files (${FILE_COLUMNS}, stored_at, used_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (upstream, path) DO UPDATE SET sha256 = excluded.sha256, size_bytes = excluded.size_bytes,
         mtime_ms = excluded.mtime_ms, entry = excluded.entry, listed = excluded.listed, origin = excluded.origin`,
      [
        file.upstream,
        file.path,
        file.project,
        file.filename,
        file.kind,
        file.sha256,
        file.sizeBytes,
        file.mtimeMs,
        file.entry === null ? null : JSON.stringify(file.entry),
        file.listed ? 1 : 0,
        file.origin,
        at,
        at,
      ],
    );
  }

  /** Bytes of all held files. */
  heldBytes(): number {
    return this.#db.get<{ total: number }>('SELECT SUM(bytes) AS total FROM held')?.total ?? 0;
  }

  /** Numbers for `stats`. */
  heldCounts(): { projects: number; files: number; bytes: number } {
    return (
      this.#db.get<{ projects: number; files: number; bytes: number }>(
        `SELECT COUNT(*) AS projects, COALESCE(SUM(files), 0) AS files,
           COALESCE(SUM(file_bytes), 0) AS bytes FROM held WHERE files > 0`,
      ) ?? { projects: 0, files: 0, bytes: 0 }
    );
  }

  /**
   * Held files that may be evicted, least recently used first. Nothing may be written while they are read.
   */
  evictable(): IterableIterator<EvictableFile> {
    return this.#db.iterate<EvictableFile>(
      `SELECT upstream, path, project, size_bytes AS sizeBytes, stored_at AS storedAt,
         used_at AS usedAt, hits FROM files
       WHERE origin = 'fetched' AND pinned = 0 ORDER BY used_at`,
    );
  }

  /** Sets or clears the mark of files that are never evicted; only inside a transaction. */
  setPinned(files: readonly Pick<HeldFile, 'upstream' | 'path'>[], isPinned: boolean): void {
    for (const { upstream, path } of files) {
      this.#db.run('UPDATE files SET pinned = ? WHERE upstream = ? AND path = ?', [
        isPinned ? 1 : 0,
        upstream,
        path,
      ]);
    }
  }

  /** The files with that mark. */
  pinned(): Pick<HeldFile, 'upstream' | 'path'>[] {
    return this.#db.all('SELECT upstream, path FROM files WHERE pinned = 1');
  }
}
