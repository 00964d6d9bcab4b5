import { statSync, unlinkSync } from 'node:fs';
import { EventEmitter } from 'node:events';
import { codeOf } from '../core/errors.ts';
import type { Clock } from '../core/clock.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import { Database } from './database.ts';
import type { Layout } from './layout.ts';
import { LOCAL_UPSTREAM } from './layout.ts';
import { CATALOG_SCHEMA, CATALOG_VERSION } from './schema.ts';

/** How a file came to be held. `added` and `adopted` files belong to people and are never evicted. */
export type Origin = 'fetched' | 'added' | 'adopted';

/** One file that is held. The row is the commit. */
export interface HeldFile {
  readonly upstream: string;
  /** Relative to `mirror/`, decoded: `packages/aa/bb/…/flask-3.0.0-py3-none-any.whl`. */
  readonly path: string;
  readonly project: ProjectName;
  readonly filename: string;
  readonly kind: 'distribution' | 'metadata';
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Modification time as published, whole milliseconds since the epoch. */
  readonly mtimeMs: number;
  /** The facts its index last listed; `null` for core metadata. */
  readonly entry: DistributionFile | null;
  /** Whether its index still lists it. */
  readonly listed: boolean;
  readonly origin: Origin;
}

/** What is known of one upstream page without reading it. Times are epoch milliseconds. */
export interface PageRow {
  readonly upstream: string;
  readonly project: ProjectName;
  readonly indexUrl: string;
  readonly absent: boolean;
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly bodyDigest: string;
  readonly lastSerial: number | null;
  readonly sizeBytes: number;
  readonly fetchedAt: number;
  readonly checkedAt: number;
  readonly maxAgeMs: number | null;
  readonly missingSince: number | null;
}

interface FileRow {
  upstream: string;
  path: string;
  project: string;
  filename: string;
  kind: string;
  sha256: string;
  size_bytes: number;
  mtime_ms: number;
  entry: string | null;
  listed: number;
  origin: string;
}

const FILE_COLUMNS =
  'upstream, path, project, filename, kind, sha256, size_bytes, mtime_ms, entry, listed, origin';

/**
 * The catalog: which files are held, which pages are known, what changed. Shared by all processes on
 * a cache folder; `watch` brings the others' changes.
 *
 * Removal keeps every page's links alive: the row goes first (the project's revision rises and its
 * static page is written again), the bytes follow after the grace time.
 */
export class Catalog {
  readonly #db: Database;
  readonly #layout: Layout;
  readonly #clock: Clock;
  readonly #events = new EventEmitter<{ changed: [ProjectName] }>();
  readonly #uses = new Map<string, { upstream: string; path: string; at: number; hits: number }>();
  readonly #counts = new Map<string, number>();
  #lastSeq = 0;
  #lastDataVersion = 0;
  #watcher: NodeJS.Timeout | null = null;

  private constructor(db: Database, layout: Layout, clock: Clock) {
    this.#db = db;
    this.#layout = layout;
    this.#clock = clock;
    this.#events.setMaxListeners(0);
    this.#lastSeq = this.#newestChange();
    this.#lastDataVersion = db.dataVersion();
  }

  /** Opens (or makes) the catalog of a prepared cache folder. @throws StorageError */
  static async open(layout: Layout, clock: Clock): Promise<Catalog> {
    const db = await Database.open({
      file: layout.catalogFile,
      schema: CATALOG_SCHEMA,
      version: CATALOG_VERSION,
      isDerived: true,
      synchronous: 'NORMAL',
    });
    return new Catalog(db, layout, clock);
  }

  /** Whether the catalog was just made: files on the disk are unknown to it. */
  get isNew(): boolean {
    return this.#db.isNew;
  }

  // ---- files -------------------------------------------------------------------------------

  /** The held file at this path, or `undefined`. */
  findFile(upstream: string, path: string): HeldFile | undefined {
    const row = this.#db.get<FileRow>(
      `SELECT ${FILE_COLUMNS} FROM files WHERE upstream = ? AND path = ?`,
      [upstream, path],
    );
    return row && fromRow(row);
  }

  /** All held files of a project, of every upstream and both kinds. */
  filesOf(project: ProjectName): HeldFile[] {
    return this.#db
      .all<FileRow>(`SELECT ${FILE_COLUMNS} FROM files WHERE project = ? ORDER BY path`, [project])
      .map(fromRow);
  }

  /** A held distribution file with this digest, wherever it came from. */
  findBySha256(project: ProjectName, sha256: string): HeldFile | undefined {
    return this.filesOf(project).find(
      (file) => file.kind === 'distribution' && file.sha256 === sha256,
    );
  }

  /** Names with at least one held distribution file, sorted. */
  heldProjects(): ProjectName[] {
    return this.#db
      .all<{ project: ProjectName }>(
        `SELECT DISTINCT project FROM files WHERE kind = 'distribution' AND listed = 1 ORDER BY project`,
      )
      .map((row) => row.project);
  }

  /**
   * Records a file whose bytes are in place. `place` runs inside the transaction and must make sure that
   * they are (a file due for deletion can vanish between the link and the commit).
   */
  async addFile(file: HeldFile, place: () => void): Promise<void> {
    await this.#db.write(() => {
      place();
      this.#insertFile(file);
      this.#db.run('DELETE FROM departed WHERE upstream = ? AND path = ?', [
        file.upstream,
        file.path,
      ]);
      this.#touchProject(file.project);
    });
    this.#emit(file.project);
  }

  /**
   * Takes files out of the catalog; their bytes stay until `graceMs` from now. Files that people added
   * are left alone unless `evenAdded`.
   */
  async removeFiles(
    files: readonly Pick<HeldFile, 'upstream' | 'path'>[],
    graceMs: number,
  ): Promise<HeldFile[]> {
    const removed = await this.#db.write(() => {
      const gone: HeldFile[] = [];
      for (const { upstream, path } of files) {
        const file = this.findFile(upstream, path);
        if (file === undefined) continue;
        this.#db.run('DELETE FROM files WHERE upstream = ? AND path = ?', [upstream, path]);
        this.#db.run('INSERT OR REPLACE INTO departed VALUES (?, ?, ?, ?)', [
          upstream,
          path,
          JSON.stringify(file),
          this.#clock.now() + graceMs,
        ]);
        this.#touchProject(file.project);
        gone.push(file);
      }
      return gone;
    });
    for (const project of new Set(removed.map((file) => file.project))) this.#emit(project);
    return removed;
  }

  /** Forgets a file whose bytes are gone or wrong: there is nothing to keep for a grace time. */
  async forgetFile(file: HeldFile): Promise<void> {
    await this.#db.write(() => {
      this.#db.run('DELETE FROM files WHERE upstream = ? AND path = ? AND mtime_ms = ?', [
        file.upstream,
        file.path,
        file.mtimeMs,
      ]);
      this.#touchProject(file.project);
    });
    this.#emit(file.project);
  }

  /** Brings back a file that was taken out but whose bytes are still there. */
  async returnFile(upstream: string, path: string): Promise<HeldFile | undefined> {
    const departed = this.#db.get('SELECT 1 FROM departed WHERE upstream = ? AND path = ?', [
      upstream,
      path,
    ]);
    if (departed === undefined) return undefined;
    const returned = await this.#db.write(() => {
      const found = this.#db.get<{ row: string }>(
        'SELECT row FROM departed WHERE upstream = ? AND path = ?',
        [upstream, path],
      );
      if (found === undefined) return undefined;
      const file = JSON.parse(found.row) as HeldFile;
      if (!isIntact(this.#layout, file)) return undefined;
      this.#insertFile(file);
      this.#db.run('DELETE FROM departed WHERE upstream = ? AND path = ?', [upstream, path]);
      this.#touchProject(file.project);
      return file;
    });
    if (returned !== undefined) this.#emit(returned.project);
    return returned;
  }

  /**
   * Deletes the bytes of departed files whose grace time is over. The unlink happens inside the write
   * transaction: no other process can record the same path between the look and the deletion.
   */
  async deleteDeparted(): Promise<number> {
    const due = this.#db.all<{ upstream: string; path: string }>(
      'SELECT upstream, path FROM departed WHERE delete_after <= ? LIMIT 500',
      [this.#clock.now()],
    );
    let deleted = 0;
    for (const { upstream, path } of due) {
      await this.#db.write(() => {
        const still = this.#db.run(
          'DELETE FROM departed WHERE upstream = ? AND path = ? AND delete_after <= ?',
          [upstream, path, this.#clock.now()],
        );
        if (still === 0 || this.findFile(upstream, path) !== undefined) return;
        try {
          unlinkSync(this.#layout.fileAt(path));
          deleted++;
        } catch (error) {
          if (codeOf(error) !== 'ENOENT') throw error;
        }
      });
    }
    return deleted;
  }

  /** Bytes of all held files. */
  heldBytes(): number {
    return (
      this.#db.get<{ total: number }>('SELECT COALESCE(SUM(size_bytes), 0) AS total FROM files')
        ?.total ?? 0
    );
  }

  /** Numbers for `stats`. */
  heldCounts(): { projects: number; files: number; bytes: number } {
    return (
      this.#db.get<{ projects: number; files: number; bytes: number }>(
        `SELECT COUNT(DISTINCT project) AS projects, COUNT(*) AS files, COALESCE(SUM(size_bytes), 0) AS bytes
         FROM files WHERE kind = 'distribution'`,
      ) ?? { projects: 0, files: 0, bytes: 0 }
    );
  }

  /** Held files that may be evicted, least recently used first. */
  leastRecentlyUsed(
    limit: number,
  ): { upstream: string; path: string; sizeBytes: number; usedAt: number }[] {
    return this.#db.all(
      `SELECT upstream, path, size_bytes AS sizeBytes, used_at AS usedAt FROM files
       WHERE origin = 'fetched' AND pinned = 0 ORDER BY used_at LIMIT ?`,
      [limit],
    );
  }

  // ---- use and counters ---------------------------------------------------------------------

  /** Notes that a file was served; written in groups by `flushUses`. */
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

  /** Adds to a named counter; written in groups by `flushUses`. */
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
  async flushUses(): Promise<void> {
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

  // ---- upstream pages -----------------------------------------------------------------------

  /** What is known of an upstream's page. A row of another index URL counts as unknown. */
  findPage(upstream: string, project: ProjectName, indexUrl: string): PageRow | undefined {
    const row = this.#db.get<Omit<PageRow, 'absent'> & { absent: number }>(
      `SELECT upstream, project, index_url AS indexUrl, absent, etag, last_modified AS lastModified,
         body_digest AS bodyDigest, last_serial AS lastSerial, size_bytes AS sizeBytes,
         fetched_at AS fetchedAt, checked_at AS checkedAt, max_age_ms AS maxAgeMs, missing_since AS missingSince
       FROM pages WHERE upstream = ? AND project = ? AND index_url = ?`,
      [upstream, project, indexUrl],
    );
    return row && { ...row, absent: row.absent === 1 };
  }

  /**
   * Records a fetched page, or that the project is absent. With `detailFiles`, the facts of held files
   * of this upstream are brought up to date: `pathOf` gives the mirror path of an entry.
   */
  async putPage(
    page: PageRow,
    listing: {
      readonly files: readonly DistributionFile[];
      pathOf(file: DistributionFile): string;
    } | null,
  ): Promise<void> {
    await this.#db.write(() => {
      this.#db.run(`INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, [
        page.upstream,
        page.project,
        page.indexUrl,
        page.absent ? 1 : 0,
        page.etag,
        page.lastModified,
        page.bodyDigest,
        page.lastSerial,
        page.sizeBytes,
        page.fetchedAt,
        page.checkedAt,
        page.maxAgeMs,
        page.missingSince,
      ]);
      if (listing !== null) this.#updateEntries(page, listing);
      this.#touchProject(page.project);
    });
    this.#emit(page.project);
  }

  /** Records that the upstream confirmed the page as it is: nothing that is rendered changes. */
  async confirmPage(
    upstream: string,
    project: ProjectName,
    maxAgeMs: number | null,
  ): Promise<void> {
    await this.#db.write(() => {
      this.#db.run(
        `UPDATE pages SET checked_at = ?, max_age_ms = ?, missing_since = NULL WHERE upstream = ? AND project = ?`,
        [this.#clock.now(), maxAgeMs, upstream, project],
      );
    });
  }

  /** Names for which this upstream has a stored page, for a rebuild. */
  pageCount(): number {
    return this.#db.get<{ n: number }>('SELECT COUNT(*) AS n FROM pages WHERE absent = 0')?.n ?? 0;
  }

  // ---- static pages -------------------------------------------------------------------------

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

  /** Raises the project's revision: its pages will be rendered again, here and in other processes. */
  async touch(project: ProjectName): Promise<void> {
    await this.#db.write(() => this.#touchProject(project));
    this.#emit(project);
  }

  // ---- notes --------------------------------------------------------------------------------

  /** A named remark that outlives the process, such as "the folder was adopted". */
  note(name: string): string | undefined {
    return this.#db.get<{ value: string }>('SELECT value FROM notes WHERE name = ?', [name])?.value;
  }

  /** All remarks whose name begins so. */
  notes(prefix: string): string[] {
    return this.#db
      .all<{ value: string }>('SELECT value FROM notes WHERE substr(name, 1, ?) = ?', [
        prefix.length,
        prefix,
      ])
      .map((row) => row.value);
  }

  /** Stores a named remark; `null` removes it. */
  async setNote(name: string, value: string | null): Promise<void> {
    await this.#db.write(() => {
      if (value === null) this.#db.run('DELETE FROM notes WHERE name = ?', [name]);
      else this.#db.run('INSERT OR REPLACE INTO notes VALUES (?, ?)', [name, value]);
    });
  }

  // ---- changes ------------------------------------------------------------------------------

  /** Calls `listener` with each project that changed, here or (while watching) in another process. */
  onChange(listener: (project: ProjectName) => void): () => void {
    this.#events.on('changed', listener);
    return () => this.#events.off('changed', listener);
  }

  /** Looks for other processes' commits every `intervalMs`. */
  watch(intervalMs: number): void {
    this.#watcher ??= setInterval(() => this.readChanges(), intervalMs).unref();
  }

  /** Reads what other processes have committed since the last look. */
  readChanges(): void {
    const version = this.#db.dataVersion();
    if (version === this.#lastDataVersion) return;
    this.#lastDataVersion = version;
    const rows = this.#db.all<{ seq: number; project: ProjectName }>(
      'SELECT seq, project FROM changes WHERE seq > ? ORDER BY seq',
      [this.#lastSeq],
    );
    this.#lastSeq = rows.at(-1)?.seq ?? this.#lastSeq;
    for (const project of new Set(rows.map((row) => row.project)))
      this.#events.emit('changed', project);
  }

  /** Drops change rows that every process has long read, and all but the newest 10,000 unknown names. */
  async trim(): Promise<void> {
    await this.#db.write(() => {
      this.#db.run('DELETE FROM changes WHERE at < ?', [this.#clock.now() - 3_600_000]);
      this.#db.run(
        `DELETE FROM pages WHERE absent = 1 AND checked_at < COALESCE((SELECT checked_at FROM pages
           WHERE absent = 1 ORDER BY checked_at DESC LIMIT 1 OFFSET 10000), 0)`,
      );
    });
  }

  /** `ok`, or what SQLite found wrong. */
  quickCheck(): string {
    return this.#db.quickCheck();
  }

  /** Writes what is pending and closes the database. */
  async close(): Promise<void> {
    if (this.#watcher !== null) clearInterval(this.#watcher);
    await this.flushUses();
    await this.#db.close();
  }

  #insertFile(file: HeldFile): void {
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

  #updateEntries(
    page: PageRow,
    listing: {
      readonly files: readonly DistributionFile[];
      pathOf(file: DistributionFile): string;
    },
  ): void {
    const held = this.filesOf(page.project).filter(
      (file) =>
        file.upstream === page.upstream &&
        file.kind === 'distribution' &&
        file.upstream !== LOCAL_UPSTREAM,
    );
    if (held.length === 0) return;
    const entries = new Map(listing.files.map((entry) => [listing.pathOf(entry), entry]));
    for (const file of held) {
      const entry = entries.get(file.path);
      // A listing with another digest does not speak of the bytes that are held.
      const isSame = entry !== undefined && (entry.hashes['sha256'] ?? file.sha256) === file.sha256;
      if (isSame) {
        this.#db.run('UPDATE files SET entry = ?, listed = 1 WHERE upstream = ? AND path = ?', [
          JSON.stringify(entry),
          file.upstream,
          file.path,
        ]);
      } else {
        this.#db.run('UPDATE files SET listed = 0 WHERE upstream = ? AND path = ?', [
          file.upstream,
          file.path,
        ]);
      }
    }
  }

  #touchProject(project: ProjectName): void {
    const at = this.#clock.now();
    this.#db.run(
      `INSERT INTO projects VALUES (?, 1, 0, ?)
       ON CONFLICT (project) DO UPDATE SET revision = revision + 1, changed_at = excluded.changed_at`,
      [project, at],
    );
    this.#db.run('INSERT INTO changes (project, at) VALUES (?, ?)', [project, at]);
  }

  #newestChange(): number {
    return this.#db.get<{ seq: number | null }>('SELECT MAX(seq) AS seq FROM changes')?.seq ?? 0;
  }

  #emit(project: ProjectName): void {
    this.#events.emit('changed', project);
  }
}

function fromRow(row: FileRow): HeldFile {
  return {
    upstream: row.upstream,
    path: row.path,
    project: row.project as ProjectName,
    filename: row.filename,
    kind: row.kind as HeldFile['kind'],
    sha256: row.sha256,
    sizeBytes: row.size_bytes,
    mtimeMs: row.mtime_ms,
    entry: row.entry === null ? null : (JSON.parse(row.entry) as DistributionFile),
    listed: row.listed === 1,
    origin: row.origin as Origin,
  };
}

/** Whether the file on the disk still has the size and the time it was published with. */
export function isIntact(layout: Layout, file: HeldFile): boolean {
  try {
    const stat = statSync(layout.fileAt(file.path));
    return (
      stat.isFile() && stat.size === file.sizeBytes && Math.floor(stat.mtimeMs) === file.mtimeMs
    );
  } catch {
    return false;
  }
}
