import { readFile, readdir } from 'node:fs/promises';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ProjectName } from '../packaging/names.ts';
import type { ProjectDetail } from '../simple/model.ts';
import { writeAtomically } from './atomic-file.ts';
import type { Layout } from './layout.ts';

/** An upstream page as kept on the disk: what was read out of it, with absolute URLs. */
export interface StoredPage {
  readonly format: 1;
  /** The index it came from, without credentials. */
  readonly indexUrl: string;
  readonly bodyDigest: string;
  readonly fetchedAt: number;
  readonly detail: ProjectDetail;
}

/**
 * Upstream pages, one file each below `state-v1/pages/<upstream>/`. Files and not rows: a large value
 * in SQLite stops the event loop while it is read.
 */
export class PageFiles {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** The stored page, or `undefined` when there is none that can be read. */
  async read(upstream: string, project: ProjectName): Promise<StoredPage | undefined> {
    try {
      const page = JSON.parse(await readFile(this.#path(upstream, project), 'utf8')) as StoredPage;
      return page.format === 1 && page.detail.name === project ? page : undefined;
    } catch {
      return undefined;
    }
  }

  /** Replaces the stored page. @returns its size in bytes */
  async write(upstream: string, project: ProjectName, page: StoredPage): Promise<number> {
    mkdirSync(join(this.#layout.pagesDir, upstream), { recursive: true, mode: 0o700 });
    const text = JSON.stringify(page);
    const path = this.#path(upstream, project);
    await writeAtomically(path, this.#layout.partialDir, text, { mode: 0o600 });
    return text.length;
  }

  /** Names of all projects with a stored page of this upstream. */
  async list(upstream: string): Promise<ProjectName[]> {
    const names = await readdir(join(this.#layout.pagesDir, upstream)).catch(() => []);
    return names
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -5) as ProjectName);
  }

  #path(upstream: string, project: ProjectName): string {
    return join(this.#layout.pagesDir, upstream, `${project}.json`);
  }
}
