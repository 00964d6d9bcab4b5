import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { ProjectName } from '../packaging/names.ts';
import { Catalog } from './catalog.ts';
import { Eviction } from './eviction.ts';
import type { EvictionLimits } from './eviction.ts';
import type { FillRequest } from './fill/byte-source.ts';
import { tryFillLock } from './fill/fill-lock.ts';
import type { TryFillLock } from './fill/fill-lock.ts';
import { Fills } from './fill/fills.ts';
import { HeldFiles } from './held-files.ts';
import { KeptFiles } from './kept-files.ts';
import { layoutOf, prepareLayout } from './layout.ts';
import type { Layout } from './layout.ts';
import { LocalFiles } from './local-files.ts';
import { PageFiles } from './page-files.ts';
import { rebuildFromPages } from './verify/rebuild.ts';
import { Records } from './records.ts';
import { ROOT_PAGE } from './revisions.ts';
import { announceServer, runningServers, withdrawServer } from './running-servers.ts';
import type { RunningServer } from './running-servers.ts';
import { StaticPages } from './static-pages.ts';
import type { StaticPage, StaticRenderer } from './static-pages.ts';
import { sweep } from './sweep.ts';

/** What the store needs to know; sizes in bytes. */
export interface StoreOptions extends EvictionLimits {
  readonly cacheDir: string;
  /** Requests after a break without real progress before a fill gives up. */
  readonly retries: number;
  /** Names no index has that are remembered at a time. */
  readonly maxUnknownNames?: number;
  readonly tryLock?: TryFillLock;
}

const FLUSH_USES_MS = 5_000;
const LOOK_FOR_CHANGES_MS = 250;
const SWEEP_AGAIN_MS = 15_000;
const TIDY_MS = 60_000;

/** The note of a catalog that knows what was in the folder before it. */
const RECOVERED = 'recovered';

/**
 * The cache folder, opened: files, pages, catalog and what keeps them in order. Several processes may
 * have the same folder open at once.
 */
export class Store {
  readonly layout: Layout;
  readonly catalog: Catalog;
  readonly records: Records;
  readonly pages: PageFiles;
  readonly held: HeldFiles;
  readonly fills: Fills;
  readonly local: LocalFiles;
  readonly kept: KeptFiles;
  readonly eviction: Eviction;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #timers: NodeJS.Timeout[] = [];
  #static: StaticPages | null = null;
  readonly #storedListeners: ((request: FillRequest) => void)[] = [];
  #announced: { readonly origin: string; readonly base: string } | null = null;
  #background: Promise<void> = Promise.resolve();

  private constructor(
    layout: Layout,
    catalog: Catalog,
    records: Records,
    options: StoreOptions,
    env: { clock: Clock; log: Logger },
  ) {
    this.layout = layout;
    this.catalog = catalog;
    this.records = records;
    this.#clock = env.clock;
    this.#log = env.log;
    this.pages = new PageFiles(layout);
    this.held = new HeldFiles(layout, catalog, env.log);
    this.local = new LocalFiles(layout, catalog, env.log);
    this.kept = new KeptFiles(catalog, records);
    this.eviction = new Eviction({ layout, catalog, kept: this.kept, ...env }, options);
    this.fills = new Fills({
      layout,
      catalog,
      clock: env.clock,
      log: env.log,
      tryLock: options.tryLock ?? tryFillLock,
      retries: options.retries,
      reserveBytes: options.reserveBytes,
      onNoRoom: (bytes) => this.eviction.makeRoom(bytes),
      onStored: (request, sizeBytes) => {
        env.log.info('file stored', {
          project: request.project,
          filename: request.filename,
          sizeBytes,
        });
        catalog.count('bytes_fetched', sizeBytes);
        this.eviction.schedule();
        this.#tellStored(request);
      },
    });
  }

  /** Opens a cache folder, making it when it is missing. @throws StorageError */
  static async open(options: StoreOptions, env: { clock: Clock; log: Logger }): Promise<Store> {
    const layout = layoutOf(options.cacheDir);
    prepareLayout(layout);
    const catalog = await Catalog.open(layout, env.clock, options.maxUnknownNames);
    const records = await Records.open(layout, env.clock);
    return new Store(layout, catalog, records, options, env);
  }

  /** Keeps `mirror/` equal to the catalog from now on. */
  publishWith(renderer: StaticRenderer): void {
    const pages = new StaticPages(this.layout, this.catalog, renderer, this.#log);
    this.#static = pages;
    this.catalog.onChange((project) => {
      if (project !== ROOT_PAGE) pages.schedule(project);
    });
  }

  /** The file is committed by now: a listener that throws must not make it look failed. */
  #tellStored(request: FillRequest): void {
    for (const listener of this.#storedListeners) {
      try {
        listener(request);
      } catch (error) {
        this.#log.warn('work after storing a file failed', { reason: messageOf(error) });
      }
    }
  }

  /** Tells of every file that this process has stored. */
  onStored(listener: (request: FillRequest) => void): void {
    this.#storedListeners.push(listener);
  }

  /**
   * Starts what a server does beside answering: other processes' changes, access times, eviction, litter,
   * pages left unwritten; and what was in the folder before us. Nothing of it holds up the first answer.
   */
  startBackground(): void {
    this.catalog.watch(LOOK_FOR_CHANGES_MS, (error) => {
      this.#log.warn('changes of other processes could not be read', { reason: messageOf(error) });
    });
    this.catalog.onReplaced(() => {
      const before = this.#background;
      this.#background = before.then(() => this.#quietly('recovery', () => this.#beginAgain()));
    });
    this.#static?.watch();
    this.#every(FLUSH_USES_MS, () => this.catalog.flushUses());
    this.#every(TIDY_MS, async () => {
      await this.eviction.run();
      await this.catalog.trim();
      await this.sweep();
    });
    const again = setTimeout(
      () => void this.#quietly('sweep', () => this.sweep()),
      SWEEP_AGAIN_MS,
    ).unref();
    this.#timers.push(again);
    this.#background = this.#quietly('start-up work', async () => {
      await this.sweep();
      await this.#recoverOnce();
      await this.eviction.run();
    });
  }

  /** The catalog was deleted or damaged: another one is here, which knows nothing yet. */
  async #beginAgain(): Promise<void> {
    this.#log.warn('the catalog was lost; it is made again from pages and files');
    if (this.#announced !== null) await this.announce(this.#announced.origin, this.#announced.base);
    await this.#recoverOnce();
    await this.kept.mirror();
    await this.finishStaticPages();
  }

  /** Once in a catalog's life; again when it was broken off. */
  async #recoverOnce(): Promise<void> {
    if (this.catalog.note(RECOVERED) !== undefined) return;
    await this.recover();
    if (!this.#stop.signal.aborted) await this.catalog.setNote(RECOVERED, 'yes');
  }

  /** Makes rows for files that lie in the folder and are unknown to a new catalog. */
  async recover(): Promise<void> {
    await rebuildFromPages(this, this.#log, this.#stop.signal);
    await this.local.rebuild();
    await this.local.adopt(this.#stop.signal);
  }

  /** Removes litter of killed processes. */
  async sweep(): Promise<void> {
    const report = await sweep(this.layout, this.catalog, this.#clock);
    if (report.removed > 0 || report.resumable > 0)
      this.#log.info('swept the partial folder', { ...report });
  }

  /** See {@link StaticPages.render}. `undefined` when nobody has said how pages look. */
  async renderStaticPage(project: ProjectName | null): Promise<StaticPage | null | undefined> {
    return await this.#static?.render(project);
  }

  /** Writes every static page that is behind, those that a killed process has left included. */
  async finishStaticPages(): Promise<void> {
    await this.#static?.flushAll();
  }

  /** Writes the static pages that are due now. */
  async flushStaticPages(): Promise<void> {
    await this.#static?.flush();
  }

  /** Lets verbs find the server of this process: where it listens, and the prefix of its routes. */
  async announce(origin: string, base: string): Promise<void> {
    this.#announced = { origin, base };
    await announceServer(this.catalog, origin, base);
  }

  /** The servers that work on this folder now. */
  runningServers(): RunningServer[] {
    return runningServers(this.catalog);
  }

  /** Ends fills (they get `graceMs`), writes what is pending, closes. */
  async close(graceMs: number): Promise<void> {
    this.#stop.abort();
    for (const timer of this.#timers) clearInterval(timer);
    await this.fills.stop(graceMs);
    await this.#background;
    await this.eviction.close();
    if (this.#announced !== null) await withdrawServer(this.catalog);
    await this.#static?.close();
    await this.catalog.close();
    await this.records.close();
  }

  #every(intervalMs: number, work: () => Promise<unknown>): void {
    let isRunning = false;
    const timer = setInterval(() => {
      if (isRunning) return;
      isRunning = true;
      void this.#quietly('background work', work).finally(() => (isRunning = false));
    }, intervalMs).unref();
    this.#timers.push(timer);
  }

  async #quietly(what: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#log.warn(`${what} failed`, { reason: messageOf(error) });
    }
  }
}
