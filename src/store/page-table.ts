import type { Clock } from '../core/clock.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { Database } from './database.ts';
import type { FileTable } from './file-table.ts';
import { LOCAL_UPSTREAM } from './layout.ts';
import type { Revisions } from './revisions.ts';

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

/** What a page lists. */
export interface PageListing {
  /** The entry of the file at a mirror path; `undefined` when the page offers no such file. Asked inside a transaction: quick. */
  entryAt(path: string): DistributionFile | undefined;
}

/** After so many new unknown names, as a share of those that are remembered, the oldest are dropped. */
const TRIM_AT = 0.1;

/** What is known of upstream pages, and what they say about held files. */
export class PageTable {
  readonly #db: Database;
  readonly #files: FileTable;
  readonly #revisions: Revisions;
  readonly #clock: Clock;
  readonly #maxUnknownNames: number;
  #absentSinceTrim = 0;

  constructor(
    db: Database,
    files: FileTable,
    revisions: Revisions,
    clock: Clock,
    maxUnknownNames: number,
  ) {
    this.#db = db;
    this.#files = files;
    this.#revisions = revisions;
    this.#clock = clock;
    this.#maxUnknownNames = maxUnknownNames;
  }

  /** What is known of an upstream's page. A row of another index URL counts as unknown. */
  find(upstream: string, project: ProjectName, indexUrl: string): PageRow | undefined {
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
   * Records a fetched page, or that the project is absent. With a listing, the facts of held files
   * of this upstream are brought up to date.
   */
  async put(page: PageRow, listing: PageListing | null): Promise<void> {
    const shows = await this.#db.write(() => {
      const shows = !page.absent || this.#hasShown(page);
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
      if (shows) this.#revisions.raise(page.project);
      return shows;
    });
    if (shows) this.#revisions.tell(page.project);
    if (page.absent && ++this.#absentSinceTrim >= this.#maxUnknownNames * TRIM_AT) {
      // At once: thousands that were written together would each trim otherwise.
      this.#absentSinceTrim = 0;
      await this.#db.write(() => this.trimAbsent());
    }
  }

  /** A flood of names that nobody has must not leave a revision, a change and a page to write for each. */
  #hasShown({ upstream, project }: PageRow): boolean {
    const known = this.#db.get<{ absent: number }>(
      'SELECT absent FROM pages WHERE upstream = ? AND project = ?',
      [upstream, project],
    );
    return known?.absent === 0 || this.#files.ofProject(project).length > 0;
  }

  /** Records that the upstream confirmed the page as it is: nothing that is rendered changes. */
  async confirm(upstream: string, project: ProjectName, maxAgeMs: number | null): Promise<void> {
    await this.#db.write(() => {
      this.#db.run(
        `UPDATE pages SET checked_at = ?, max_age_ms = ?, missing_since = NULL WHERE upstream = ? AND project = ?`,
        [this.#clock.now(), maxAgeMs, upstream, project],
      );
    });
  }

  /** Takes out a row; only inside a transaction. */
  delete(upstream: string, project: ProjectName): void {
    this.#db.run('DELETE FROM pages WHERE upstream = ? AND project = ?', [upstream, project]);
  }

  /** Drops all but the newest unknown names; only inside a transaction. */
  trimAbsent(): void {
    this.#absentSinceTrim = 0;
    this.#db.run(
      `DELETE FROM pages WHERE (upstream, project) IN (SELECT upstream, project FROM pages
         WHERE absent = 1 ORDER BY checked_at DESC LIMIT -1 OFFSET ?)`,
      [this.#maxUnknownNames],
    );
  }

  #updateEntries(page: PageRow, listing: PageListing): void {
    const held = this.#files
      .ofProject(page.project)
      .filter(
        (file) =>
          file.upstream === page.upstream &&
          file.kind === 'distribution' &&
          file.upstream !== LOCAL_UPSTREAM,
      );
    for (const file of held) {
      const entry = listing.entryAt(file.path);
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
}
