import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { Database } from './database.ts';

/** The tables of recorded sets, a part of `records.sqlite`: what a build has used cannot be found out again. */
export const SET_SCHEMA = `
CREATE TABLE IF NOT EXISTS sets (
  name        TEXT NOT NULL PRIMARY KEY,
  recorded_at INTEGER NOT NULL,
  command     TEXT NOT NULL,
  pages       TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS set_files (
  set_name        TEXT NOT NULL,
  upstream        TEXT NOT NULL,
  path            TEXT NOT NULL,
  project         TEXT NOT NULL,
  version         TEXT,
  sha256          TEXT NOT NULL,
  size_bytes      INTEGER NOT NULL,
  metadata_sha256 TEXT,
  last_used       INTEGER NOT NULL,
  entry           TEXT NOT NULL,
  PRIMARY KEY (set_name, upstream, path)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS set_files_by_project ON set_files (project);
`;

/** One file that a build has used. */
export interface RecordedFile {
  readonly upstream: string;
  /** Its mirror path. */
  readonly path: string;
  readonly project: ProjectName;
  /** `null` when its filename does not say. */
  readonly version: string | null;
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Digest of the core metadata beside it, `null` when there is none (PEP 658). */
  readonly metadataSha256: string | null;
  /** Files with a higher number were asked for later, counted through the whole build. */
  readonly lastUsed: number;
  /** What its page said of it then. */
  readonly entry: DistributionFile;
}

/** One page that a build has read. */
export interface RecordedPage {
  readonly project: ProjectName;
  /** Whose page it was; `null` when it showed nothing. */
  readonly upstream: string | null;
  /** The filenames that it showed. */
  readonly filenames: readonly string[];
}

/** What one build has used. */
export interface RecordedSet {
  readonly name: string;
  /** Epoch milliseconds. */
  readonly recordedAt: number;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** In the order of their projects. */
  readonly pages: readonly RecordedPage[];
  /** In the order of projects and filenames. */
  readonly files: readonly RecordedFile[];
}

/** A set without what is in it; sizes in bytes. */
export interface SetSummary {
  readonly name: string;
  /** Epoch milliseconds. */
  readonly recordedAt: number;
  readonly command: readonly string[];
  readonly projects: number;
  readonly files: number;
  readonly bytes: number;
}

/** A file of any set, as far as its row in the catalog goes. */
export type SetMember = Pick<RecordedFile, 'upstream' | 'path' | 'project' | 'entry' | 'sha256'>;

interface SetRow {
  readonly name: string;
  readonly recorded_at: number;
  readonly command: string;
  readonly pages: string;
}

interface FileRow extends Omit<RecordedFile, 'entry'> {
  readonly entry: string;
}

const FILE_COLUMNS = `upstream, path, project, version, sha256, size_bytes AS sizeBytes,
  metadata_sha256 AS metadataSha256, last_used AS lastUsed, entry`;

/** The recorded sets of a cache folder. Their files are kept from eviction by `KeptFiles`. */
export class SetTable {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** All sets, by name. */
  summaries(): SetSummary[] {
    const rows = this.#db.all<Omit<SetSummary, 'command'> & { command: string }>(
      `SELECT name, recorded_at AS recordedAt, command, COUNT(path) AS files,
              COUNT(DISTINCT project) AS projects, COALESCE(SUM(size_bytes), 0) AS bytes
       FROM sets LEFT JOIN set_files ON set_name = name GROUP BY name ORDER BY name`,
    );
    return rows.map((row) => ({ ...row, command: JSON.parse(row.command) as string[] }));
  }

  /** One set, whole. */
  find(name: string): RecordedSet | undefined {
    const row = this.#db.get<SetRow>('SELECT * FROM sets WHERE name = ?', [name]);
    if (row === undefined) return undefined;
    const files = this.#db.all<FileRow>(
      `SELECT ${FILE_COLUMNS} FROM set_files WHERE set_name = ? ORDER BY project, path`,
      [name],
    );
    return {
      name,
      recordedAt: row.recorded_at,
      command: JSON.parse(row.command) as string[],
      pages: JSON.parse(row.pages) as RecordedPage[],
      files: files.map((file) => ({ ...file, entry: JSON.parse(file.entry) as DistributionFile })),
    };
  }

  /** Keeps a set in the place of any that has its name: wholly, or (killed before the end) not at all. */
  async put(set: RecordedSet): Promise<void> {
    await this.#db.write(() => {
      this.#delete(set.name);
      this.#db.run('INSERT INTO sets VALUES (?, ?, ?, ?)', [
        set.name,
        set.recordedAt,
        JSON.stringify(set.command),
        JSON.stringify(set.pages),
      ]);
      for (const file of set.files) {
        this.#db.run('INSERT INTO set_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', [
          set.name,
          file.upstream,
          file.path,
          file.project,
          file.version,
          file.sha256,
          file.sizeBytes,
          file.metadataSha256,
          file.lastUsed,
          JSON.stringify(file.entry),
        ]);
      }
    });
  }

  /** Forgets a set; its files stay until they are evicted. @returns whether there was one */
  async remove(name: string): Promise<boolean> {
    return await this.#db.write(() => this.#delete(name));
  }

  /** The files of all sets; those of several once for each. */
  members(): SetMember[] {
    const rows = this.#db.all<Omit<SetMember, 'entry'> & { entry: string }>(
      'SELECT DISTINCT upstream, path, project, sha256, entry FROM set_files',
    );
    return rows.map((row) => ({ ...row, entry: JSON.parse(row.entry) as DistributionFile }));
  }

  /** Where the files of all sets lie. */
  paths(): Pick<RecordedFile, 'upstream' | 'path'>[] {
    return this.#db.all('SELECT DISTINCT upstream, path FROM set_files');
  }

  /** The names of the sets that a file is in, by its mirror path; for the files of one project. */
  namesByPath(project: ProjectName): Map<string, string[]> {
    const rows = this.#db.all<{ path: string; name: string }>(
      'SELECT path, set_name AS name FROM set_files WHERE project = ? ORDER BY path, set_name',
      [project],
    );
    const names = new Map<string, string[]>();
    for (const { path, name } of rows) names.set(path, [...(names.get(path) ?? []), name]);
    return names;
  }

  #delete(name: string): boolean {
    this.#db.run('DELETE FROM set_files WHERE set_name = ?', [name]);
    return this.#db.run('DELETE FROM sets WHERE name = ?', [name]) > 0;
  }
}
