import { readFile, readdir } from 'node:fs/promises';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ProjectName } from '../packaging/names.ts';
import { parseJsonSteps } from '../simple/json-steps.ts';
import type { ProjectDetail } from '../simple/model.ts';
import { FILES_IN_STEP, finishInSlices } from '../simple/slices.ts';
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
 * in SQLite stops the event loop while it is read. Huge ones are read and written in slices of a few
 * milliseconds.
 */
export class PageFiles {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** The stored page, or `undefined` when there is none that can be read. */
  async read(upstream: string, project: ProjectName): Promise<StoredPage | undefined> {
    try {
      const bytes = await readFile(this.#path(upstream, project));
      const page = (await finishInSlices(parseJsonSteps(bytes, ['detail', 'files']))) as StoredPage;
      return page.format === 1 && page.detail.name === project ? page : undefined;
    } catch {
      return undefined;
    }
  }

  /** Replaces the stored page. @returns its size in bytes */
  async write(upstream: string, project: ProjectName, page: StoredPage): Promise<number> {
    mkdirSync(join(this.#layout.pagesDir, upstream), { recursive: true, mode: 0o700 });
    const path = this.#path(upstream, project);
    let sizeBytes = 0;
    function* counted(): Generator<Uint8Array> {
      for (const piece of piecesOf(page)) {
        const bytes = Buffer.from(piece);
        sizeBytes += bytes.length;
        yield bytes;
      }
    }
    await writeAtomically(path, this.#layout.partialDir, counted(), { mode: 0o600 });
    return sizeBytes;
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

/** The JSON of a page, its files last; each piece goes to the disk before the next one is made. */
function* piecesOf(page: StoredPage): Generator<string> {
  const { files, ...detail } = page.detail;
  const head = JSON.stringify({ ...page, detail: undefined }).slice(0, -1);
  yield `${head},"detail":${JSON.stringify(detail).slice(0, -1)},"files":[`;
  for (let at = 0; at < files.length; at += FILES_IN_STEP) {
    const slice = JSON.stringify(files.slice(at, at + FILES_IN_STEP));
    yield (at === 0 ? '' : ',') + slice.slice(1, -1);
  }
  yield ']}}';
}
