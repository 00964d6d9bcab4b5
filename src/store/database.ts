import { existsSync, renameSync, rmSync, statSync } from 'node:fs';
import SQLite from 'better-sqlite3';
import { BusyError, StorageError, codeOf, messageOf } from '../core/errors.ts';
import { backoffMs, sleep } from '../core/sleep.ts';

/** How a database is opened. */
export interface DatabaseOptions {
  readonly file: string;
  readonly schema: string;
  /** Stored as `user_version`. */
  readonly version: number;
  /**
   * Whether the contents can be made again. Then a damaged file, or one of another version, is begun afresh;
   * otherwise a damaged one is set aside, and another version is an error.
   */
  readonly isDerived: boolean;
  /** `FULL` for what cannot be made again, `NORMAL` for what can. */
  readonly synchronous: 'NORMAL' | 'FULL';
}

type Parameters = readonly unknown[] | Readonly<Record<string, unknown>>;

/** How long a write waits for another process before it gives up, in milliseconds. */
const LONGEST_WAIT_MS = 10_000;

/** A whole check reads some 300 MB a second; a larger file is checked by whoever runs into its damage. */
const LARGEST_CHECKED_BYTES = 64 * 1024 * 1024;

interface QueuedWrite {
  readonly work: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * One SQLite file in WAL mode. Reads are direct. Writes are queued and go in groups, one IMMEDIATE
 * transaction each: SQLite's own busy time-out is kept at 50 ms, because waiting inside SQLite stops
 * the whole event loop; a busy group is tried again from a timer instead.
 */
export class Database {
  readonly #options: DatabaseOptions;
  #sqlite: SQLite.Database;
  /** Of the file that is open. */
  #inode: number;
  #isDamaged = false;
  readonly #statements = new Map<string, SQLite.Statement>();
  #queue: QueuedWrite[] = [];
  #flushing: Promise<void> | null = null;

  private constructor(sqlite: SQLite.Database, options: DatabaseOptions) {
    this.#sqlite = sqlite;
    this.#options = options;
    this.#inode = inodeOf(options.file);
  }

  /**
   * Opens the file, creating it when it is missing.
   *
   * @throws StorageError when the native binding is missing or the file cannot be opened.
   */
  static async open(options: DatabaseOptions): Promise<Database> {
    return new Database(await Database.#opened(options), options);
  }

  /**
   * Whether the file under its name is another one than that which is open, or the open one has turned out to be
   * damaged: what is written now would be lost.
   */
  isLost(): boolean {
    return this.#isDamaged || inodeOf(this.#options.file) !== this.#inode;
  }

  /**
   * Goes on with the file under its name, which is begun afresh if it is missing or damaged. Writes that wait
   * go into that one. For what can be made again only.
   *
   * @throws StorageError as `open`
   */
  async reopen(): Promise<void> {
    // SQLite neither empties nor deletes the log of a file that has lost its name.
    if (this.#isDamaged && inodeOf(this.#options.file) === this.#inode) clearDamaged(this.#options);
    const next = await Database.#opened(this.#options);
    const last = this.#sqlite;
    this.#sqlite = next;
    this.#inode = inodeOf(this.#options.file);
    this.#isDamaged = false;
    this.#statements.clear();
    try {
      last.close();
    } catch {
      // Somebody still reads rows from it.
    }
  }

  static async #opened(options: DatabaseOptions): Promise<SQLite.Database> {
    for (let attempt = 0; ; attempt++) {
      try {
        return Database.#openOnce(options);
      } catch (error) {
        const code = codeOf(error) ?? '';
        // Several processes that start at once get BUSY from `journal_mode=WAL`, whatever the time-out says.
        if (code.startsWith('SQLITE_BUSY') && attempt < 100)
          await sleep(backoffMs(attempt % 5, 10, 100));
        else if (code === 'SQLITE_NOTADB' || code.startsWith('SQLITE_CORRUPT')) {
          if (attempt > 0) throw error;
          clearDamaged(options);
        } else if (error instanceof StorageError) throw error;
        else throw explainOpenFailure(options.file, error);
      }
    }
  }

  static #openOnce(options: DatabaseOptions): SQLite.Database {
    const sqlite = new SQLite(options.file, { timeout: 50 });
    try {
      // Has an effect only on a file that is still empty: free pages can be given back later (`shrink`).
      sqlite.pragma('auto_vacuum = INCREMENTAL');
      sqlite.pragma('journal_mode = WAL');
      sqlite.pragma(`synchronous = ${options.synchronous}`);
      sqlite.pragma('mmap_size = 268435456');
      sqlite
        .transaction(() => {
          const present = sqlite.pragma('user_version', { simple: true });
          // Every statement says IF NOT EXISTS: a table that is only added needs no new version.
          if (present === options.version) return void sqlite.exec(options.schema);
          if (present !== 0 && !options.isDerived) {
            throw new StorageError(
              `${options.file} was written by another version of Wheelcellar.`,
              {
                hint: 'Use that version, or move the file away: what it records is then forgotten.',
              },
            );
          }
          if (present !== 0) dropAllTables(sqlite);
          sqlite.exec(options.schema);
          sqlite.pragma(`user_version = ${options.version}`);
        })
        .immediate();
      refuseDamaged(sqlite, options.file);
      return sqlite;
    } catch (error) {
      sqlite.close();
      throw error;
    }
  }

  /** The first row, or `undefined`. */
  get<Row>(sql: string, parameters: Parameters = []): Row | undefined {
    return this.#noting(() => this.#statement(sql).get(parameters)) as Row | undefined;
  }

  /** All rows. */
  all<Row>(sql: string, parameters: Parameters = []): Row[] {
    return this.#noting(() => this.#statement(sql).all(parameters)) as Row[];
  }

  /** Rows one at a time; the table must not be written while they are read. */
  iterate<Row>(sql: string, parameters: Parameters = []): IterableIterator<Row> {
    return this.#statement(sql).iterate(parameters) as IterableIterator<Row>;
  }

  /** Runs one writing statement; only inside the work given to `write`. Returns the number of changed rows. */
  run(sql: string, parameters: Parameters = []): number {
    return this.#noting(() => this.#statement(sql).run(parameters)).changes;
  }

  /**
   * Runs `work` inside a transaction, together with other writes that wait, and resolves with its
   * result after the commit. When `work` throws, only its own changes are undone. `work` must be
   * synchronous and may run more than once (it is repeated when the database was busy).
   *
   * @throws BusyError when another process kept the database locked for 10 s.
   */
  write<T>(work: () => T): Promise<T> {
    const { promise, resolve, reject } = newPromise<T>();
    this.#queue.push({ work, resolve: resolve as (value: unknown) => void, reject });
    this.#flushing ??= this.#flush();
    return promise;
  }

  /** A number that changes whenever another connection has committed (SQLite `PRAGMA data_version`). */
  dataVersion(): number {
    return this.#sqlite.pragma('data_version', { simple: true }) as number;
  }

  /** `ok`, or what SQLite found wrong. */
  quickCheck(): string {
    return this.#sqlite.pragma('quick_check', { simple: true }) as string;
  }

  /** Gives free pages back to the disk, so many at most: it stops the event loop meanwhile. */
  shrink(pages: number): void {
    this.#sqlite.pragma(`incremental_vacuum(${pages})`);
  }

  /** Waits for queued writes, then closes. */
  async close(): Promise<void> {
    while (this.#flushing !== null) await this.#flushing;
    this.#sqlite.close();
  }

  async #flush(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      const group = this.#queue;
      this.#queue = [];
      await this.#commit(group);
    }
    this.#flushing = null;
  }

  async #commit(group: readonly QueuedWrite[]): Promise<void> {
    const startedAt = performance.now();
    for (let attempt = 0; ; attempt++) {
      try {
        const settle = this.#sqlite
          .transaction(() => group.map((queued) => this.#runOne(queued)))
          .immediate();
        for (const settled of settle) settled();
        return;
      } catch (error) {
        const isBusy = codeOf(error)?.startsWith('SQLITE_BUSY') === true;
        if (isBusy && performance.now() - startedAt < LONGEST_WAIT_MS) {
          await sleep(backoffMs(attempt, 5, 100));
          continue;
        }
        const reason = isBusy
          ? new BusyError('The catalog was kept locked by another process for 10 s.', {
              cause: error,
              hint: 'Look for a stopped wheelcellar process on the same cache folder.',
            })
          : new StorageError(`The catalog cannot be written: ${messageOf(error)}.`, {
              cause: error,
            });
        for (const queued of group) queued.reject(reason);
        return;
      }
    }
  }

  /** Runs one queued write in a savepoint; what it returns is called after the commit. */
  #runOne(queued: QueuedWrite): () => void {
    try {
      const value = this.#sqlite.transaction(queued.work)();
      return () => queued.resolve(value);
    } catch (error) {
      const code = codeOf(error) ?? '';
      // These concern the whole group: it is tried again, or fails as one.
      if (/^SQLITE_(BUSY|FULL|IOERR|READONLY|CORRUPT|NOTADB)/.test(code)) throw error;
      return () => queued.reject(error);
    }
  }

  #noting<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (/^SQLITE_(?:CORRUPT|NOTADB)/.test(codeOf(error) ?? '')) this.#isDamaged = true;
      throw error;
    }
  }

  #statement(sql: string): SQLite.Statement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#sqlite.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** 0 when there is no such file. */
function inodeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.ino ?? 0;
}

/** Damage to its pages lets a file open all the same, and every question fail afterwards. */
function refuseDamaged(sqlite: SQLite.Database, file: string): void {
  if (statSync(file).size > LARGEST_CHECKED_BYTES) return;
  const found = String(sqlite.pragma('quick_check(1)', { simple: true }));
  if (found !== 'ok') throw new DamagedError(`${file} is damaged: ${found}`);
}

/** Treated as SQLite's own word for it. */
class DamagedError extends Error {
  readonly code = 'SQLITE_CORRUPT';
}

function clearDamaged({ file, isDerived }: DatabaseOptions): void {
  // Its last writes may be in the log beside it.
  for (const suffix of isDerived ? [] : ['', '-wal'])
    if (existsSync(file + suffix)) renameSync(file + suffix, `${file}.damaged${suffix}`);
  for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true });
}

function dropAllTables(sqlite: SQLite.Database): void {
  const tables = sqlite
    .prepare(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
    .pluck()
    .all() as string[];
  for (const table of tables) sqlite.exec(`DROP TABLE "${table}"`);
}

function newPromise<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue;
    reject = onError;
  });
  return { promise, resolve, reject };
}

function explainOpenFailure(file: string, error: unknown): StorageError {
  const message = messageOf(error);
  if (/bindings file|ERR_DLOPEN_FAILED|NODE_MODULE_VERSION/.test(`${message} ${codeOf(error)}`)) {
    return new StorageError('The SQLite library was not built for this Node.js.', {
      cause: error,
      hint: 'Install a C++ compiler and Python (Debian: apt install g++ make python3), then run: npm rebuild better-sqlite3',
    });
  }
  return new StorageError(`${file} cannot be opened: ${message}.`, {
    cause: error,
    hint: 'The catalog can be made again: move it away and start once more.',
  });
}
