import { existsSync, rmdirSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { codeOf } from '../core/errors.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { Database } from './database.ts';
import type { FileTable } from './file-table.ts';
import { isIntact } from './held-file.ts';
import type { HeldFile } from './held-file.ts';
import type { Layout } from './layout.ts';
import type { Revisions } from './revisions.ts';

/** So many files are deleted in one go; requests come between. */
const BATCH = 200;

/**
 * Files on their way out. Removal keeps every page's links alive: the row goes first (the project's
 * revision rises and its static page is written again), the bytes follow after the grace time, and not
 * before the static page has caught up.
 */
export class Departures {
  readonly #db: Database;
  readonly #files: FileTable;
  readonly #revisions: Revisions;
  readonly #layout: Layout;
  readonly #clock: Clock;

  constructor(db: Database, files: FileTable, revisions: Revisions, layout: Layout, clock: Clock) {
    this.#db = db;
    this.#files = files;
    this.#revisions = revisions;
    this.#layout = layout;
    this.#clock = clock;
  }

  /**
   * Takes files out of the catalog; their bytes stay until `graceMs` from now. Final ones never come back.
   * Returns those that were there.
   */
  async remove(
    files: readonly Pick<HeldFile, 'upstream' | 'path'>[],
    graceMs: number,
    { isFinal = false }: { readonly isFinal?: boolean } = {},
  ): Promise<HeldFile[]> {
    const removed = await this.#db.write(() => {
      const gone: HeldFile[] = [];
      for (const { upstream, path } of files) {
        const file = this.#files.find(upstream, path);
        if (file === undefined) continue;
        this.#files.delete(upstream, path);
        this.#db.run('INSERT OR REPLACE INTO departed VALUES (?, ?, ?, ?)', [
          upstream,
          path,
          JSON.stringify(isFinal ? { ...file, isFinal } : file),
          this.#clock.now() + graceMs,
        ]);
        this.#revisions.raise(file.project);
        gone.push(file);
      }
      return gone;
    });
    for (const project of new Set(removed.map((file) => file.project)))
      this.#revisions.tell(project);
    return removed;
  }

  /**
   * Brings back a file that was taken out but whose bytes are still there.
   *
   * @param sha256 the digest it must have; `null` for any
   */
  async bringBack(
    upstream: string,
    path: string,
    sha256: string | null,
  ): Promise<HeldFile | undefined> {
    if (this.#find(upstream, path) === undefined) return undefined;
    const returned = await this.#db.write(() => {
      const file = this.#find(upstream, path);
      if (file === undefined || (sha256 !== null && file.sha256 !== sha256)) return undefined;
      if ('isFinal' in file) return undefined;
      if (!isIntact(this.#layout, file)) return undefined;
      this.#files.insert(file);
      this.forget(upstream, path);
      this.#revisions.raise(file.project);
      return file;
    });
    if (returned !== undefined) this.#revisions.tell(returned.project);
    return returned;
  }

  /** The path is held again; only inside a transaction. */
  forget(upstream: string, path: string): void {
    this.#db.run('DELETE FROM departed WHERE upstream = ? AND path = ?', [upstream, path]);
  }

  /**
   * Deletes the bytes of departed files whose grace time is over. The unlink happens inside the write
   * transaction: no other process can record the same path between the look and the deletion. A file
   * that cannot be deleted now stays due.
   *
   * @returns how many were deleted
   */
  async deleteDue(): Promise<number> {
    const due = this.#db.all<{ upstream: string; path: string }>(
      'SELECT upstream, path FROM departed WHERE delete_after <= ?',
      [this.#clock.now()],
    );
    let deleted = 0;
    for (let at = 0; at < due.length; at += BATCH) {
      const batch = due.slice(at, at + BATCH);
      deleted += await this.#db.write(
        () => batch.filter(({ upstream, path }) => this.#deleteOne(upstream, path)).length,
      );
    }
    return deleted;
  }

  #deleteOne(upstream: string, path: string): boolean {
    const file = this.#find(upstream, path, this.#clock.now());
    if (file === undefined) return false;
    if (this.#files.find(upstream, path) !== undefined) {
      this.forget(upstream, path);
      return false;
    }
    // The page on the disk may still name it.
    if (this.#hasOldPage(file.project)) return false;
    const target = this.#layout.fileAt(path);
    try {
      unlinkSync(target);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') return false;
    }
    this.forget(upstream, path);
    removeEmptyFolders(dirname(target), this.#layout.fileAt('packages'));
    return true;
  }

  /** By the page itself: a writer that is killed after its rename leaves no revision. */
  #hasOldPage(project: ProjectName): boolean {
    const page = join(this.#layout.mirrorDir, project, 'index.html');
    return this.#revisions.isPageBehind(project) && existsSync(page);
  }

  #find(upstream: string, path: string, dueBy = Infinity): HeldFile | undefined {
    const found = this.#db.get<{ row: string; delete_after: number }>(
      'SELECT row, delete_after FROM departed WHERE upstream = ? AND path = ?',
      [upstream, path],
    );
    if (found === undefined || found.delete_after > dueBy) return undefined;
    return JSON.parse(found.row) as HeldFile;
  }
}

/** From `folder` upwards, as far as `root`, which stays. */
function removeEmptyFolders(folder: string, root: string): void {
  for (let at = folder; at.length > root.length; at = dirname(at)) {
    try {
      rmdirSync(at);
    } catch {
      return;
    }
  }
}
