import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import { LRUCache } from 'lru-cache';
import { NotFoundError, NotHeldOfflineError } from '../core/errors.ts';
import { SingleFlight } from '../core/single-flight.ts';
import type { ProjectName } from '../packaging/names.ts';
import { relativeLink } from '../simple/link.ts';
import type { ProjectDetail } from '../simple/model.ts';
import type { PageCoding } from '../simple/negotiate.ts';
import { htmlPagePieces, writeHtmlList } from '../simple/write-html.ts';
import { jsonPagePieces, writeJsonList } from '../simple/write-json.ts';
import { gatherPage, pageOf } from './page-bytes.ts';
import type { PageBytes } from './page-bytes.ts';
import type { StaticPage } from '../store/static-pages.ts';
import type { Freshness, Repository, RequestContext, Snapshot } from './repository.ts';

type Compress = (body: Buffer) => Promise<Buffer>;

/** How each coding is made, best first. zstd needs Node 22.15. */
const COMPRESSORS: ReadonlyMap<Exclude<PageCoding, 'identity'>, Compress> = compressors();

/** The codings this runtime can make, best first. */
export const PAGE_CODINGS: readonly Exclude<PageCoding, 'identity'>[] = [...COMPRESSORS.keys()];

function compressors(): Map<Exclude<PageCoding, 'identity'>, Compress> {
  const made = new Map<Exclude<PageCoding, 'identity'>, Compress>();
  const { zstdCompress } = zlib as {
    zstdCompress?: (body: Buffer, done: (error: Error | null, coded: Buffer) => void) => void;
  };
  if (zstdCompress !== undefined) made.set('zstd', promisify(zstdCompress));
  const gzip = promisify<Buffer, zlib.ZlibOptions, Buffer>(zlib.gzip);
  made.set('gzip', (body) => gzip(body, { level: 6 }));
  return made;
}

/** Which bytes of a page are wanted. */
export interface PageForm {
  readonly format: 'html' | 'json';
  readonly coding: PageCoding;
  /** Folders between the mirror's root and the page: links are relative. */
  readonly depth: number;
  /** Leaves yanked files out: for clients that would install them (PEP 592 asks installers not to). */
  readonly hideYanked: boolean;
}

/** A page, ready to be sent. */
export interface ReadyPage {
  readonly body: Buffer;
  /** What the body is coded with; small pages are not, whatever was wanted. */
  readonly coding: PageCoding;
  /** Strong, of this representation and coding. */
  readonly etag: string;
  readonly lastSerial: number | null;
  readonly freshness: Freshness;
}

interface RenderedPage extends PageBytes {
  readonly coding: PageCoding;
  readonly lastSerial: number | null;
}

/** Shorter pages are written too quickly for a page to stand in for them. */
const LEAST_AWAITED_BYTES = 64 * 1024;

/** Compressing less saves no time worth having; such pages fit one packet anyway. */
const LEAST_COMPRESSED_BYTES = 860;

/**
 * Pages as bytes: written and compressed once for each (project, revision, format, coding, depth), kept
 * in memory up to a number of bytes.
 */
export class RenderedPages {
  readonly #inner: Repository;
  readonly #cache: LRUCache<string, RenderedPage>;
  readonly #renderings = new SingleFlight<RenderedPage>();

  /** @param memoryBytes for all kept pages together */
  constructor(inner: Repository, memoryBytes: number) {
    this.#inner = inner;
    this.#cache = new LRUCache({
      maxSize: Math.max(1, memoryBytes),
      maxEntrySize: Math.max(1, memoryBytes >> 2),
      sizeCalculation: (page) => page.body.length + 200,
    });
  }

  /** A project's page. @throws as Repository.projectDetail */
  async project(project: ProjectName, form: PageForm, context: RequestContext): Promise<ReadyPage> {
    const snapshot = await this.#inner.projectDetail(project, context);
    const { freshness, revision } = snapshot;
    const rendering = this.#rendered(keyOf(project, revision, form), form.coding, () =>
      renderProject(snapshot, form),
    );
    const standIn = this.#standIn(project, snapshot, form);
    if (standIn === undefined) return { ...(await rendering), freshness };
    // Whoever asks when it is ready learns what went wrong.
    rendering.catch(() => {});
    return { ...standIn, freshness: { ...freshness, status: 'stale', freshForMs: 0 } };
  }

  /** The page before, when this one is not ready yet and takes its time. */
  #standIn(
    project: ProjectName,
    { revision, standIn }: Snapshot,
    form: PageForm,
  ): RenderedPage | undefined {
    if (standIn === undefined) return undefined;
    if (this.#cache.has(`${keyOf(project, revision, form)} ${form.coding}`)) return undefined;
    const page = this.#cache.get(`${keyOf(project, standIn, form)} ${form.coding}`);
    return page !== undefined && page.body.length >= LEAST_AWAITED_BYTES ? page : undefined;
  }

  /** The root page: the names of which something is held. Never asks an upstream. */
  async root(form: PageForm, context: RequestContext): Promise<ReadyPage> {
    const { projects } = await this.#inner.projectList(context);
    const text = form.format === 'json' ? writeJsonList(projects) : writeHtmlList(projects);
    const identity: RenderedPage = { ...pageOf(text), coding: 'identity', lastSerial: null };
    const page = form.coding === 'identity' ? identity : await compressed(identity, form.coding);
    return { ...page, freshness: { status: 'hit', detail: null, freshForMs: Infinity } };
  }

  async #rendered(
    key: string,
    coding: PageForm['coding'],
    render: () => Promise<RenderedPage>,
  ): Promise<RenderedPage> {
    const codedKey = `${key} ${coding}`;
    const present = this.#cache.get(codedKey);
    if (present !== undefined) return present;
    return await this.#renderings.run(codedKey, async () => {
      const page =
        coding === 'identity'
          ? await render()
          : await compressed(await this.#rendered(key, 'identity', render), coding);
      this.#cache.set(codedKey, page);
      return page;
    });
  }
}

async function renderProject(snapshot: Snapshot, form: PageForm): Promise<RenderedPage> {
  const { detail: whole, pathOf } = await snapshot.load();
  const detail = form.hideYanked ? withoutYanked(whole) : whole;
  const writing = {
    linkTo: (file: Parameters<typeof pathOf>[0]) => relativeLink(form.depth, pathOf(file)),
  };
  const pieces = form.format === 'json' ? jsonPagePieces : htmlPagePieces;
  const page = await gatherPage(pieces(detail, writing));
  return { ...page, coding: 'identity', lastSerial: detail.lastSerial };
}

function keyOf(project: ProjectName, revision: string, form: PageForm): string {
  const hidden = form.hideYanked ? ' no-yanked' : '';
  return `${project} ${revision} ${form.format} ${form.depth}${hidden}`;
}

function withoutYanked(detail: ProjectDetail): ProjectDetail {
  const files = detail.files.filter((file) => file.yanked === false);
  return files.length === detail.files.length ? detail : { ...detail, versions: null, files };
}

/** Both forms of a project's static page, from what is held; `null` when nothing is. */
export async function renderStaticProject(
  repository: Repository,
  project: ProjectName,
): Promise<StaticPage | null> {
  const context: RequestContext = { networkMode: 'offline', signal: new AbortController().signal };
  const snapshot = await repository.projectDetail(project, context).catch((error: unknown) => {
    if (error instanceof NotFoundError || error instanceof NotHeldOfflineError) return null;
    throw error;
  });
  if (snapshot === null) return null;
  const { detail, pathOf } = await snapshot.load();
  const writing = {
    linkTo: (file: Parameters<typeof pathOf>[0]) => relativeLink(1, pathOf(file)),
    withOldMetadataName: false,
  };
  const html = await gatherPage(htmlPagePieces(detail, writing));
  const json = await gatherPage(jsonPagePieces(detail, writing));
  return { html: html.body, json: json.body };
}

/** The static root page. */
export function renderStaticRoot(projects: readonly ProjectName[]): StaticPage {
  return { html: Buffer.from(writeHtmlList(projects)), json: Buffer.from(writeJsonList(projects)) };
}

/** The same page, coded; small pages stay as they are. */
async function compressed(
  page: RenderedPage,
  coding: Exclude<PageCoding, 'identity'>,
): Promise<RenderedPage> {
  const compress = COMPRESSORS.get(coding);
  if (page.body.length < LEAST_COMPRESSED_BYTES || compress === undefined) return page;
  return {
    ...page,
    body: await compress(page.body),
    coding,
    etag: `${page.etag.slice(0, -1)}-${coding}"`,
  };
}
