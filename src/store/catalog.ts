import type { Clock } from '../core/clock.ts';
import type { ProjectName } from '../packaging/names.ts';
import { Database } from './database.ts';
import { Departures } from './departures.ts';
import { DependencyTable } from './dependency-table.ts';
import { FileTable } from './file-table.ts';
import type { EvictableFile } from './file-table.ts';
import type { HeldFile, Origin } from './held-file.ts';
import { HoldingsTable } from './holdings-table.ts';
import type { Layout } from './layout.ts';
import { PageTable } from './page-table.ts';
import type { PageListing, PageRow } from './page-table.ts';
import { Revisions } from './revisions.ts';
import { CATALOG_SCHEMA, CATALOG_VERSION } from './schema.ts';
import { Usage } from './usage.ts';

export type { HeldFile, Origin } from './held-file.ts';
export type { PageRow } from './page-table.ts';

/** So many free pages of 4 KiB go back to the disk at a time. */
const SHRINK_PAGES = 2_000;

/** For those who only look. */
const UNKNOWN_NAMES = 10_000;

/**
 * The catalog: which files are held, which pages are known, what changed. Shared by all processes on
 * a cache folder; `watch` brings the others' changes. What it says of one table is said there; here is
 * what belongs into one transaction.
 */
export class Catalog {
  /** What people ask of the held files. */
  readonly holdings: HoldingsTable;
  /** What installers were seen to need. */
  readonly dependencies: DependencyTable;
  readonly #db: Database;
  readonly #files: FileTable;
  readonly #pages: PageTable;
  readonly #departures: Departures;
  readonly #revisions: Revisions;
  readonly #usage: Usage;
  readonly #replacedListeners: (() => void)[] = [];
  #watcher: NodeJS.Timeout | null = null;

  private constructor(db: Database, layout: Layout, clock: Clock, maxUnknownNames: number) {
    this.#db = db;
    this.#files = new FileTable(db, clock);
    this.#revisions = new Revisions(db, clock);
    this.#departures = new Departures(db, this.#files, this.#revisions, layout, clock);
    this.#pages = new PageTable(db, this.#files, this.#revisions, clock, maxUnknownNames);
    this.#usage = new Usage(db, clock);
    this.holdings = new HoldingsTable(db);
    this.dependencies = new DependencyTable(db, clock);
  }

  /**
   * Opens (or makes) the catalog of a prepared cache folder.
   *
   * @param maxUnknownNames names that no index has, remembered at a time
   * @throws StorageError
   */
  static async open(
    layout: Layout,
    clock: Clock,
    maxUnknownNames: number = UNKNOWN_NAMES,
  ): Promise<Catalog> {
    const db = await Database.open({
      file: layout.catalogFile,
      schema: CATALOG_SCHEMA,
      version: CATALOG_VERSION,
      isDerived: true,
      synchronous: 'NORMAL',
    });
    return new Catalog(db, layout, clock, maxUnknownNames);
  }

  // ---- files -------------------------------------------------------------------------------

  /** The held file at this path, or `undefined`. */
  findFile(upstream: string, path: string): HeldFile | undefined {
    return this.#files.find(upstream, path);
  }

  /** All held files of a project, of every upstream and both kinds. */
  filesOf(project: ProjectName): HeldFile[] {
    return this.#files.ofProject(project);
  }

  /** Whether people have put in a file of this project, by `add` or by a folder that was there before. */
  hasLocalFiles(project: ProjectName, origin: Exclude<Origin, 'fetched'>): boolean {
    return this.#files.hasLocal(project, origin);
  }

  /** Names with at least one distribution file that is held and listed, sorted. */
  heldProjects(): ProjectName[] {
    return this.#files.heldProjects();
  }

  /**
   * Records a file whose bytes are in place. `place` runs inside the transaction and must make sure that
   * they are (a file due for deletion can vanish between the link and the commit).
   */
  async addFile(file: HeldFile, place: () => void): Promise<void> {
    await this.#db.write(() => {
      place();
      this.#files.insert(file);
      this.#departures.forget(file.upstream, file.path);
      this.#revisions.raise(file.project);
    });
    this.#revisions.tell(file.project);
  }

  /** Takes files out of the catalog; their bytes stay until `graceMs` from now. Returns those that were there. */
  removeFiles(
    files: readonly Pick<HeldFile, 'upstream' | 'path'>[],
    graceMs: number,
  ): Promise<HeldFile[]> {
    return this.#departures.remove(files, graceMs);
  }

  /**
   * As {@link removeFiles}, because a person said so: until the grace time is over the bytes are there for
   * readers of an older page only; no request brings the files back.
   */
  deleteFiles(
    files: readonly Pick<HeldFile, 'upstream' | 'path'>[],
    graceMs: number,
  ): Promise<HeldFile[]> {
    return this.#departures.remove(files, graceMs, { isFinal: true });
  }

  /** Marks files that are never evicted, or takes the mark away. */
  async setPinned(
    files: readonly Pick<HeldFile, 'upstream' | 'path'>[],
    isPinned: boolean,
  ): Promise<void> {
    await this.#db.write(() => this.#files.setPinned(files, isPinned));
  }

  /** The files that are marked so. */
  pinnedFiles(): Pick<HeldFile, 'upstream' | 'path'>[] {
    return this.#files.pinned();
  }

  /** Forgets a file whose bytes are gone or wrong: there is nothing to keep for a grace time. */
  async forgetFile(file: HeldFile): Promise<void> {
    await this.#db.write(() => {
      const present = this.#files.find(file.upstream, file.path);
      // Somebody may have fetched it anew meanwhile.
      if (present?.mtimeMs !== file.mtimeMs || present.sha256 !== file.sha256) return;
      this.#files.delete(file.upstream, file.path);
      this.#revisions.raise(file.project);
    });
    this.#revisions.tell(file.project);
  }

  /**
   * Brings back a file that was taken out but whose bytes are still there.
   *
   * @param sha256 the digest it must have; `null` for any
   */
  returnFile(
    upstream: string,
    path: string,
    sha256: string | null = null,
  ): Promise<HeldFile | undefined> {
    return this.#departures.bringBack(upstream, path, sha256);
  }

  /** Deletes the bytes of files that left long enough ago. Returns how many. */
  deleteDeparted(): Promise<number> {
    return this.#departures.deleteDue();
  }

  /** Bytes of all held files. */
  heldBytes(): number {
    return this.#files.heldBytes();
  }

  /** Numbers for `stats`. */
  heldCounts(): { projects: number; files: number; bytes: number } {
    return this.#files.heldCounts();
  }

  /**
   * Held files that may be evicted, least recently used first. Nothing may be written while they are read.
   */
  evictable(): IterableIterator<EvictableFile> {
    return this.#files.evictable();
  }

  // ---- use and counters ---------------------------------------------------------------------

  /** Notes that a file was served; written in groups by `flushUses`. */
  noteUse(file: Pick<HeldFile, 'upstream' | 'path'>): void {
    this.#usage.noteUse(file);
  }

  /** Adds to a named counter; written in groups by `flushUses`. */
  count(name: string, amount = 1): void {
    this.#usage.count(name, amount);
  }

  /** Counters of all processes since the catalog was made, with what this process has not written yet. */
  counters(): Record<string, number> {
    return this.#usage.counters();
  }

  /** Writes access times and counters gathered since the last call. */
  flushUses(): Promise<void> {
    return this.#usage.flush();
  }

  // ---- upstream pages -----------------------------------------------------------------------

  /** What is known of an upstream's page. A row of another index URL counts as unknown. */
  findPage(upstream: string, project: ProjectName, indexUrl: string): PageRow | undefined {
    return this.#pages.find(upstream, project, indexUrl);
  }

  /** Records a fetched page, or that the project is absent; with a listing, also what it says of held files. */
  putPage(page: PageRow, listing: PageListing | null): Promise<void> {
    return this.#pages.put(page, listing);
  }

  /** Records that the upstream confirmed the page as it is: nothing that is rendered changes. */
  confirmPage(upstream: string, project: ProjectName, maxAgeMs: number | null): Promise<void> {
    return this.#pages.confirm(upstream, project, maxAgeMs);
  }

  /** Forgets an upstream's page, as if it had never been fetched. */
  async forgetPage(upstream: string, project: ProjectName): Promise<void> {
    await this.#db.write(() => {
      this.#pages.delete(upstream, project);
      this.#revisions.raise(project);
    });
    this.#revisions.tell(project);
  }

  // ---- revisions and static pages -----------------------------------------------------------

  /** The number that rises with every change that a page of the project could show. */
  revisionOf(project: ProjectName): number {
    return this.#revisions.revisionOf(project);
  }

  /** The revision of the static page on the disk; 0 when none was ever written. */
  staticRevisionOf(project: ProjectName): number {
    return this.#revisions.staticRevisionOf(project);
  }

  /** Projects whose static page is older than their revision for at least `ageMs`. */
  projectsToWrite(ageMs: number): ProjectName[] {
    return this.#revisions.projectsToWrite(ageMs);
  }

  /** See {@link Revisions.publishStatic}. */
  publishStatic(project: ProjectName, revision: number, publish: () => void): Promise<boolean> {
    return this.#revisions.publishStatic(project, revision, publish);
  }

  /** Raises the project's revision: its pages will be rendered again, here and in other processes. */
  async touch(project: ProjectName): Promise<void> {
    await this.#db.write(() => this.#revisions.raise(project));
    this.#revisions.tell(project);
  }

  /** Calls `listener` with each project that changed, here or (while watching) in another process. */
  onChange(listener: (project: ProjectName) => void): () => void {
    return this.#revisions.onChange(listener);
  }

  /**
   * Looks for other processes' commits every `intervalMs`, and whether the database is still there; `onError`
   * hears when that fails.
   */
  watch(intervalMs: number, onError: (error: unknown) => void): void {
    let isLooking = false;
    this.#watcher ??= setInterval(() => {
      if (isLooking) return;
      isLooking = true;
      void this.#look()
        .catch(onError)
        .finally(() => (isLooking = false));
    }, intervalMs).unref();
  }

  /** Calls `listener` when the database was deleted or found damaged, and another one was begun in its place. */
  onReplaced(listener: () => void): void {
    this.#replacedListeners.push(listener);
  }

  async #look(): Promise<void> {
    if (!this.#db.isLost()) return this.readChanges();
    await this.#db.reopen();
    this.#revisions.begin();
    for (const listener of this.#replacedListeners) listener();
  }

  /** Reads what other processes have committed since the last look. */
  readChanges(): void {
    this.#revisions.readChanges();
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

  // ---- upkeep -------------------------------------------------------------------------------

  /** Drops change rows that every process has long read, and all but the newest unknown names and dependencies. */
  async trim(): Promise<void> {
    await this.#db.write(() => {
      this.#revisions.trim();
      this.#pages.trimAbsent();
      this.dependencies.trim();
    });
    this.#db.shrink(SHRINK_PAGES);
  }

  /** `ok`, or what SQLite found wrong. */
  quickCheck(): string {
    return this.#db.quickCheck();
  }

  /** Writes what is pending and closes the database. */
  async close(): Promise<void> {
    if (this.#watcher !== null) clearInterval(this.#watcher);
    await this.flushUses().catch(() => {});
    await this.#db.close();
  }
}
