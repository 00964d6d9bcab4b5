import { existsSync, renameSync } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { ProjectName } from '../packaging/names.ts';
import { makePublicFolder, removeFileNow, temporaryName, writeNewFile } from './atomic-file.ts';
import type { Catalog } from './catalog.ts';
import type { Layout } from './layout.ts';
import { ROOT_PAGE } from './revisions.ts';

/** Both forms of a page. */
export interface StaticPage {
  readonly html: Buffer;
  readonly json: Buffer;
}

/** How pages look is decided above; `null` when nothing of the project is held. */
export interface StaticRenderer {
  project(project: ProjectName): Promise<StaticPage | null>;
  root(projects: readonly ProjectName[]): StaticPage;
}

/** Changes within this time are written together, in milliseconds. */
const COALESCE_MS = 200;
/** A page that another process should have written is written here after this time. */
const OTHERS_GET_MS = 600;
/** So many pages are written at a time; their rows go in one transaction. */
const AT_A_TIME = 16;

/** Both forms of a page, as they are called in its folder. */
export const PAGE_NAMES = ['index.html', 'index.json'] as const;

/** What our pages carry and other tools' pages do not. */
export const GENERATOR_MARK: string = '<meta name="generator" content="wheelcellar">';

/**
 * Keeps `mirror/<project>/index.html` and `index.json` and the root pages equal to the catalog.
 *
 * A page is rendered beside the old one and renamed in a catalog transaction, only if the project's
 * revision is still the one it was rendered from: of two processes the older page can never win, and
 * one killed in between leaves a revision that the others see unwritten.
 */
export class StaticPages {
  readonly #layout: Layout;
  readonly #catalog: Catalog;
  readonly #renderer: StaticRenderer;
  readonly #log: Logger;
  readonly #due = new Set<ProjectName>();
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> | null = null;
  #poll: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(layout: Layout, catalog: Catalog, renderer: StaticRenderer, log: Logger) {
    this.#layout = layout;
    this.#catalog = catalog;
    this.#renderer = renderer;
    this.#log = log;
  }

  /** Has a page written soon, and the root page with it when the names have changed. */
  schedule(project: ProjectName): void {
    if (this.#isClosed) return;
    this.#due.add(project);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.flush();
    }, COALESCE_MS);
  }

  /** Looks after pages that other processes left unwritten, and a root page that somebody took away. */
  watch(): void {
    this.#poll ??= setInterval(() => this.#scheduleLeftovers(OTHERS_GET_MS), 1_000).unref();
    this.#scheduleLeftovers(0);
    if (!PAGE_NAMES.every((name) => existsSync(join(this.#layout.mirrorDir, name))))
      this.schedule(ROOT_PAGE);
  }

  /** What a project's page must say now; `null` when nothing of it is held. Without a name: the root page. */
  async render(project: ProjectName | null): Promise<StaticPage | null> {
    if (project !== null) return await this.#renderer.project(project);
    const names = this.#catalog.heldProjects();
    return names.length === 0 ? null : this.#renderer.root(names);
  }

  /** As `flush`, with what other processes have left unwritten. */
  async flushAll(): Promise<void> {
    this.#scheduleLeftovers(0);
    await this.flush();
  }

  /** Writes everything that is due. Resolves when it is on the disk, or when that was tried: never throws. */
  async flush(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    if (this.#due.size === 0) return;
    const projects = [...this.#due];
    this.#due.clear();
    this.#writing = this.#writeAll(projects).finally(() => (this.#writing = null));
    await this.#writing;
  }

  /** Writes what is due and stops looking. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#poll !== null) clearInterval(this.#poll);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.flush();
  }

  #scheduleLeftovers(ageMs: number): void {
    try {
      for (const project of this.#catalog.projectsToWrite(ageMs)) this.schedule(project);
    } catch (error) {
      this.#log.warn('static pages could not be looked after', { reason: messageOf(error) });
    }
  }

  async #writeAll(projects: readonly ProjectName[]): Promise<void> {
    const left = projects.filter((project) => project !== ROOT_PAGE);
    const writer = async (): Promise<void> => {
      for (let project = left.pop(); project !== undefined; project = left.pop()) {
        const next = project;
        await this.#tried(next, () => this.#writeProject(next));
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, writer));
    await this.#tried(ROOT_PAGE, () => this.#writeRoot(projects.includes(ROOT_PAGE)));
  }

  /** What fails stays behind its revision, and is tried again. */
  async #tried(project: ProjectName, write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#log.warn('static page not written', { project, reason: messageOf(error) });
    }
  }

  async #writeProject(project: ProjectName): Promise<void> {
    for (let attempt = 0; attempt < 20; attempt++) {
      const revision = this.#catalog.revisionOf(project);
      if (revision === this.#catalog.staticRevisionOf(project)) return;
      const pages = await this.#renderer.project(project);
      if (pages === null) {
        const wasWritten = this.#catalog.staticRevisionOf(project) > 0;
        const folder = join(this.#layout.mirrorDir, project);
        const isDone = await this.#catalog.publishStatic(project, revision, () => {
          if (!wasWritten) return;
          for (const name of PAGE_NAMES) removeFileNow(join(folder, name));
        });
        if (isDone) {
          if (wasWritten) await rmdir(folder).catch(() => {});
          return;
        }
      } else if (await this.#publish(project, project, revision, pages)) return;
    }
  }

  /** @param isDue even if it is written already */
  async #writeRoot(isDue: boolean): Promise<void> {
    for (let attempt = 0; attempt < 20; attempt++) {
      const revision = this.#catalog.revisionOf(ROOT_PAGE);
      const written = this.#catalog.staticRevisionOf(ROOT_PAGE);
      if (revision === 0 || (revision === written && !isDue)) return;
      const names = this.#catalog.heldProjects();
      // Nothing of ours was ever listed there: a page of another tool may stand there, and stays.
      const isDone =
        names.length === 0 && written === 0
          ? await this.#catalog.publishStatic(ROOT_PAGE, revision, () => {})
          : await this.#publish(ROOT_PAGE, '.', revision, this.#renderer.root(names));
      if (isDone) return;
    }
  }

  async #publish(
    project: ProjectName,
    folderName: string,
    revision: number,
    pages: StaticPage,
  ): Promise<boolean> {
    const folder = join(this.#layout.mirrorDir, folderName);
    if (!(await makePublicFolder(folder))) {
      // After the loss of a catalog nearly all pages are right already.
      if (await isWritten(folder, pages))
        return await this.#catalog.publishStatic(project, revision, () => {});
      if (this.#catalog.staticRevisionOf(project) === 0)
        await this.#setForeignPageAside(folder, folderName);
    }
    const written: [temporary: string, final: string][] = [];
    try {
      for (const [name, text] of [
        ['index.json', pages.json],
        ['index.html', pages.html],
      ] as const) {
        const temporary = temporaryName(this.#layout.partialDir);
        await writeNewFile(temporary, text, { mode: 0o444 });
        written.push([temporary, join(folder, name)]);
      }
      return await this.#catalog.publishStatic(project, revision, () => {
        for (const [temporary, final] of written) renameSync(temporary, final);
      });
    } finally {
      for (const [temporary] of written) removeFileNow(temporary);
    }
  }

  /** A page that some other tool wrote is kept in `withheld/` before ours takes its name. */
  async #setForeignPageAside(folder: string, folderName: string): Promise<void> {
    const path = join(folder, 'index.html');
    const handle = await open(path, 'r').catch(() => undefined);
    if (handle === undefined) return;
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
      if (buffer.subarray(0, bytesRead).includes(GENERATOR_MARK)) return;
    } finally {
      await handle.close();
    }
    const aside = join(this.#layout.withheldDir, 'foreign-pages', folderName);
    await mkdir(aside, { recursive: true, mode: 0o700 });
    await rename(path, join(aside, `index.${(await readdir(aside)).length}.html`));
    this.#log.info('kept a page of another tool aside', { page: path, aside });
  }
}

/** Whether both forms stand there, byte for byte. */
async function isWritten(folder: string, { html, json }: StaticPage): Promise<boolean> {
  try {
    const [presentHtml, presentJson] = await Promise.all([
      readFile(join(folder, 'index.html')),
      readFile(join(folder, 'index.json')),
    ]);
    return presentHtml.equals(html) && presentJson.equals(json);
  } catch {
    return false;
  }
}
