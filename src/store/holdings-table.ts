import type { ProjectName } from '../packaging/names.ts';
import type { Database } from './database.ts';
import { FILE_COLUMNS, fromRow } from './held-file.ts';
import type { FileRow, HeldFile } from './held-file.ts';

/** What is held of one project, in sums. Times are epoch milliseconds, sizes bytes. */
export interface ProjectHoldings {
  readonly project: ProjectName;
  /** Distribution files. */
  readonly files: number;
  /** Core metadata files. */
  readonly metadata: number;
  /** Of both kinds. */
  readonly bytes: number;
  /** Where they came from, in no order. */
  readonly upstreams: readonly string[];
  /** When the first of them was stored. */
  readonly storedAt: number;
  readonly usedAt: number;
  /** Requests answered from the disk, of distribution files. */
  readonly hits: number;
  readonly yanked: number;
  /** Files that their index names no longer. */
  readonly delisted: number;
  /** Distribution files that are never evicted because people said so. */
  readonly kept: number;
}

/** One held file and how it was used. */
export interface FileHolding extends HeldFile {
  readonly pinned: boolean;
  readonly storedAt: number;
  readonly usedAt: number;
  readonly hits: number;
}

/** What is known of one index's page. Times are epoch milliseconds. */
export interface KnownPage {
  readonly upstream: string;
  readonly indexUrl: string;
  /** The index said that it has no such project. */
  readonly absent: boolean;
  readonly fetchedAt: number;
  /** When the index last confirmed it; 0 when it has not since the catalog was made again. */
  readonly checkedAt: number;
  readonly lastSerial: number | null;
}

type ProjectRow = Omit<ProjectHoldings, 'upstreams'> & { readonly upstreams: string };

type HoldingRow = FileRow & {
  pinned: number;
  stored_at: number;
  used_at: number;
  hits: number;
};

/** What people ask of the held files; nothing of it is on the way of a request. */
export class HoldingsTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Sums of every project of which something is held, by name. */
  projects(): ProjectHoldings[] {
    return this.#db
      .all<ProjectRow>(
        `SELECT project,
           SUM(kind = 'distribution') AS files,
           SUM(kind = 'metadata') AS metadata,
           SUM(size_bytes) AS bytes,
           GROUP_CONCAT(DISTINCT upstream) AS upstreams,
           MIN(stored_at) AS storedAt,
           MAX(used_at) AS usedAt,
           SUM(CASE kind WHEN 'distribution' THEN hits ELSE 0 END) AS hits,
           SUM(entry IS NOT NULL AND json_type(entry, '$.yanked') = 'text') AS yanked,
           SUM(listed = 0 AND kind = 'distribution') AS delisted,
           SUM(pinned = 1 AND kind = 'distribution') AS kept
         FROM files GROUP BY project ORDER BY project`,
      )
      .map((row) => ({ ...row, upstreams: row.upstreams.split(',') }));
  }

  /** All held files of a project with their use, of every upstream and both kinds, by path. */
  files(project: ProjectName): FileHolding[] {
    return this.#db
      .all<HoldingRow>(
        `SELECT ${FILE_COLUMNS}, pinned, stored_at, used_at, hits FROM files
         WHERE project = ? ORDER BY path`,
        [project],
      )
      .map((row) => ({
        ...fromRow(row),
        pinned: row.pinned === 1,
        storedAt: row.stored_at,
        usedAt: row.used_at,
        hits: row.hits,
      }));
  }

  /** Held files in the order of their key, from behind `after`; at most `limit`. */
  filesAfter(after: Pick<HeldFile, 'upstream' | 'path'> | null, limit: number): HeldFile[] {
    return this.#db
      .all<FileRow>(
        `SELECT ${FILE_COLUMNS} FROM files WHERE (upstream, path) > (?, ?)
         ORDER BY upstream, path LIMIT ?`,
        [after?.upstream ?? '', after?.path ?? '', limit],
      )
      .map(fromRow);
  }

  /** What is known of a project's pages, whichever index URL they came from. */
  pagesOf(project: ProjectName): KnownPage[] {
    return this.#db
      .all<Omit<KnownPage, 'absent'> & { absent: number }>(
        `SELECT upstream, index_url AS indexUrl, absent, fetched_at AS fetchedAt,
           checked_at AS checkedAt, last_serial AS lastSerial
         FROM pages WHERE project = ? ORDER BY upstream`,
        [project],
      )
      .map((row) => ({ ...row, absent: row.absent === 1 }));
  }

  /** Rows of upstream pages that say a project is there. */
  pageKeys(): { upstream: string; project: ProjectName; sizeBytes: number }[] {
    return this.#db.all(
      `SELECT upstream, project, size_bytes AS sizeBytes FROM pages WHERE absent = 0
       ORDER BY upstream, project`,
    );
  }

  /** Number of rows in the table of held files, of both kinds. */
  fileCount(): number {
    return this.#db.get<{ count: number }>('SELECT COUNT(*) AS count FROM files')?.count ?? 0;
  }

  /** Paths of files that left the catalog and whose bytes stay for the grace time. */
  departedPaths(): string[] {
    return this.#db.all<{ path: string }>('SELECT path FROM departed').map((row) => row.path);
  }

  /** Bytes that leave the disk when the grace time of what was taken out is over. */
  departedBytes(): number {
    return (
      this.#db.get<{ total: number }>(
        `SELECT COALESCE(SUM(json_extract(row, '$.sizeBytes')), 0) AS total FROM departed`,
      )?.total ?? 0
    );
  }

  /** Projects with the revision of their page, and the one that is on the disk. */
  projectRevisions(): { project: ProjectName; revision: number; staticRevision: number }[] {
    return this.#db.all(
      `SELECT project, revision, static_revision AS staticRevision FROM projects ORDER BY project`,
    );
  }
}
