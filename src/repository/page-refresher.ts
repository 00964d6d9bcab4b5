import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import { InvalidUpstreamAnswerError, messageOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { SingleFlight } from '../core/single-flight.ts';
import { sleep } from '../core/sleep.ts';
import type { ProjectName } from '../packaging/names.ts';
import { enrichInSlices } from '../simple/read-legacy-json.ts';
import type { DistributionFile, ProjectDetail } from '../simple/model.ts';
import { FILES_IN_STEP, finishInSlices } from '../simple/slices.ts';
import type { Steps } from '../simple/slices.ts';
import type { PageRow } from '../store/catalog.ts';
import { mirrorPathOf } from '../store/mirror-path.ts';
import type { StoredPage } from '../store/page-files.ts';
import type { Store } from '../store/store.ts';
import type { FetchedPage, Upstream } from '../upstream/upstream.ts';
import { LegacyFactsSource } from './legacy-facts.ts';
import type { FetchedFacts } from './legacy-facts.ts';
import { judgePage } from './page-guard.ts';
import { restoreAdverts } from './metadata-adverts.ts';
import type { StoredPages } from './stored-pages.ts';

/** A project that its upstream has deleted, or whose page went back, keeps its page so long: it may be a fault. */
const KEEP_MISSING_MS = 24 * 3_600_000;
/** A page does not wait longer for the legacy JSON; it is completed behind the client's back. */
const FACTS_PATIENCE_MS = 2_000;
/** Marks in a page's digest: complete by itself, or still without the legacy JSON's facts. */
const COMPLETE = '+';
const INCOMPLETE = '-';

/** How a page is asked for. */
export interface RefreshOptions {
  /** Take what the upstream says now, even if it looks older than what is stored. */
  readonly force?: boolean;
}

/**
 * Asks one upstream for pages and stores what it answers: one question at a time for each project, held
 * against the stored page, completed by the legacy JSON where the page alone says too little.
 */
export class PageRefresher {
  readonly #upstream: Upstream;
  readonly #store: Store;
  readonly #stored: StoredPages;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #legacy: LegacyFactsSource;
  readonly #flights = new SingleFlight<void>();
  readonly #failedAt = new LRUCache<ProjectName, number>({ max: 10_000 });

  constructor(
    upstream: Upstream,
    store: Store,
    stored: StoredPages,
    maxPageBytes: number,
    env: { readonly clock: Clock; readonly log: Logger },
  ) {
    this.#upstream = upstream;
    this.#store = store;
    this.#stored = stored;
    this.#clock = env.clock;
    this.#log = env.log;
    this.#legacy = new LegacyFactsSource(upstream, maxPageBytes, env);
  }

  /** Asks for the page and stores the answer; askers at the same time share one question. @throws as Upstream.fetchPage */
  refresh(
    project: ProjectName,
    row: PageRow | undefined,
    options: RefreshOptions = {},
  ): Promise<void> {
    return this.#flights.run(project, async () => {
      try {
        await this.#ask(project, row, options);
        this.#failedAt.delete(project);
      } catch (error) {
        this.#failedAt.set(project, this.#clock.monotonic());
        this.#log.debug('page not refreshed', {
          project,
          upstream: this.#upstream.name,
          reason: messageOf(error),
        });
        throw error;
      }
    });
  }

  /** What the newest version requires, from the legacy JSON if that has it at hand; never throws. */
  async newestRequires(
    project: ProjectName,
  ): Promise<{ requires: readonly string[]; bytes: number } | null> {
    const found = await this.#legacy.fetchShort(project);
    const requires = found?.facts.requires ?? null;
    return found === null || requires === null ? null : { requires, bytes: found.sizeBytes };
  }

  /** Milliseconds since the last failure for this project; Infinity after a success. */
  msSinceFailure(project: ProjectName): number {
    return this.#clock.monotonic() - (this.#failedAt.get(project) ?? -Infinity);
  }

  async #ask(
    project: ProjectName,
    row: PageRow | undefined,
    { force = false }: RefreshOptions,
  ): Promise<void> {
    const known = row === undefined || row.absent ? undefined : row;
    const validators =
      known === undefined || force ? null : { etag: known.etag, lastModified: known.lastModified };
    const ahead =
      known === undefined && this.#legacy.isExpected ? this.#legacy.fetch(project) : null;
    const answer = await this.#upstream.fetchPage(project, validators, { noCache: force });
    if (answer.kind === 'absent') return await this.#putAbsent(project, row, force);
    if (answer.kind === 'not-modified') {
      if (known !== undefined) await this.#confirm(known, answer.maxAgeMs);
      return;
    }
    if (known !== undefined && !answer.looksLikeIndex) {
      throw new InvalidUpstreamAnswerError(
        `What ${this.#upstream.name} answered for ${project} is no index page.`,
      );
    }
    const isSame =
      known !== undefined &&
      simpleDigest(known) === answer.bodyDigest &&
      known.etag === answer.etag;
    if (isSame && !force) return await this.#confirm(known, answer.maxAgeMs);
    const judged = await this.#judge(project, known, answer, force);
    if (judged === null) return;
    const complete = await this.#completed(project, judged.detail, ahead);
    await this.#put(
      project,
      judged.answer,
      complete.detail,
      `${judged.answer.bodyDigest}.${complete.mark}`,
      force,
    );
    if (complete.isLate) void this.#completeLater(project);
  }

  // ---- holding it against what is stored ----------------------------------------------------------

  /** The page to store; `null` when the stored one is kept. A page that looks older is asked for once more. */
  async #judge(
    project: ProjectName,
    known: PageRow | undefined,
    first: FetchedPage,
    force: boolean,
  ): Promise<{ answer: FetchedPage; detail: ProjectDetail } | null> {
    const stored =
      known === undefined ? undefined : await this.#store.pages.read(this.#upstream.name, project);
    if (known === undefined || stored === undefined || force)
      return { answer: first, detail: first.detail };
    let answer = first;
    let judgement = await judgePage(stored.detail, answer.detail);
    if (judgement.wentBack !== null) {
      const again = await this.#upstream.fetchPage(project, null, { noCache: true });
      if (again.kind === 'page') {
        answer = again;
        judgement = await judgePage(stored.detail, answer.detail);
      }
    }
    for (const { filename, was, now } of judgement.changed) {
      await this.#alarm(
        'changed-digest',
        project,
        `${filename} was listed with sha256 ${was}, now with ${now}; the old entry is kept`,
      );
    }
    if (judgement.wentBack?.kind === 'serial') {
      const since = this.#sinceWhen(known.missingSince);
      await this.#alarm(
        'went-back',
        project,
        `the page is older than the stored one (${judgement.wentBack.message}); the stored one is kept`,
      );
      if (this.#clock.now() - since < KEEP_MISSING_MS) {
        await this.#keep(known, since);
        return null;
      }
    }
    if (judgement.wentBack?.kind === 'emptied')
      await this.#alarm('went-back', project, judgement.wentBack.message);
    return { answer, detail: judgement.detail };
  }

  async #alarm(
    kind: 'changed-digest' | 'went-back',
    project: ProjectName,
    message: string,
  ): Promise<void> {
    this.#log.warn('the upstream contradicts itself', {
      project,
      upstream: this.#upstream.name,
      message,
    });
    await this.#store.records.raise({ kind, upstream: this.#upstream.name, project, message });
  }

  // ---- completing it --------------------------------------------------------------------------------

  async #completed(
    project: ProjectName,
    detail: ProjectDetail,
    ahead: Promise<FetchedFacts | null> | null,
  ): Promise<{ detail: ProjectDetail; mark: string; isLate: boolean }> {
    if (isComplete(detail)) return { detail, mark: COMPLETE, isLate: false };
    const timer = new AbortController();
    const late = sleep(FACTS_PATIENCE_MS, timer.signal).then(() => 'late' as const);
    const found = await Promise.race([ahead ?? this.#legacy.fetch(project), late]);
    timer.abort();
    if (found === 'late' || found === null)
      return { detail, mark: INCOMPLETE, isLate: found === 'late' };
    const enriched = await enrichInSlices(detail, found.facts);
    return { detail: enriched, mark: found.digest, isLate: false };
  }

  /** Completes a stored page whose facts came too late or failed the last time. */
  async #completeLater(project: ProjectName): Promise<void> {
    try {
      const found = await this.#legacy.fetch(project);
      const row = this.#store.catalog.findPage(this.#upstream.name, project, this.#upstream.url);
      const stored = await this.#store.pages.read(this.#upstream.name, project);
      if (
        found === null ||
        row === undefined ||
        stored?.bodyDigest !== row.bodyDigest ||
        !isIncomplete(row)
      )
        return;
      const answer = {
        etag: row.etag,
        lastModified: row.lastModified,
        maxAgeMs: row.maxAgeMs,
        lastSerial: row.lastSerial,
      };
      await this.#put(
        project,
        answer,
        await enrichInSlices(stored.detail, found.facts),
        `${simpleDigest(row)}.${found.digest}`,
      );
    } catch (error) {
      this.#log.debug('page not completed', { project, reason: messageOf(error) });
    }
  }

  // ---- storing it -----------------------------------------------------------------------------------

  async #confirm(row: PageRow, maxAgeMs: number | null): Promise<void> {
    await this.#store.catalog.confirmPage(this.#upstream.name, row.project, maxAgeMs);
    if (isIncomplete(row)) void this.#completeLater(row.project);
  }

  async #put(
    project: ProjectName,
    answer: Pick<FetchedPage, 'etag' | 'lastModified' | 'maxAgeMs' | 'lastSerial'>,
    detail: ProjectDetail,
    bodyDigest: string,
    force: boolean = false,
  ): Promise<void> {
    const at = this.#clock.now();
    const lastSerial = answer.lastSerial ?? detail.lastSerial;
    const page: StoredPage = {
      format: 1,
      indexUrl: this.#upstream.url,
      bodyDigest,
      fetchedAt: at,
      detail: { ...detail, lastSerial },
    };
    // A quarantined project offers nothing, held files included (PEP 792).
    const offered = detail.status === 'quarantined' ? [] : detail.files;
    const entries = await finishInSlices(this.#byPath(offered));
    await restoreAdverts(this.#store, this.#upstream.name, project, entries, force);
    const sizeBytes = await this.#store.pages.write(this.#upstream.name, project, page);
    const row: PageRow = {
      upstream: this.#upstream.name,
      project,
      indexUrl: this.#upstream.url,
      absent: false,
      etag: answer.etag,
      lastModified: answer.lastModified,
      bodyDigest,
      lastSerial,
      sizeBytes,
      fetchedAt: at,
      checkedAt: at,
      maxAgeMs: answer.maxAgeMs,
      missingSince: null,
    };
    await this.#store.catalog.putPage(row, { entryAt: (path) => entries.get(path) });
    await this.#stored.take(row, page);
  }

  *#byPath(files: readonly DistributionFile[]): Steps<ReadonlyMap<string, DistributionFile>> {
    const entries = new Map<string, DistributionFile>();
    for (const [index, file] of files.entries()) {
      if (index > 0 && index % FILES_IN_STEP === 0) yield;
      const path = mirrorPathOf(this.#upstream.name, this.#upstream.url, file.url);
      if (path !== undefined) entries.set(path, file);
    }
    return entries;
  }

  async #putAbsent(project: ProjectName, row: PageRow | undefined, force: boolean): Promise<void> {
    const at = this.#clock.now();
    if (row !== undefined && !row.absent && !force) {
      const since = this.#sinceWhen(row.missingSince);
      if (row.missingSince === null) {
        this.#log.warn('the upstream no longer has a project; its page is kept for 24 hours', {
          project,
          upstream: this.#upstream.name,
        });
      }
      if (at - since < KEEP_MISSING_MS) return await this.#keep(row, since);
    }
    await this.#store.catalog.putPage(
      {
        upstream: this.#upstream.name,
        project,
        indexUrl: this.#upstream.url,
        absent: true,
        etag: null,
        lastModified: null,
        bodyDigest: '',
        lastSerial: null,
        sizeBytes: 0,
        fetchedAt: at,
        checkedAt: at,
        maxAgeMs: null,
        missingSince: null,
      },
      { entryAt: () => undefined },
    );
  }

  /** When the upstream began to speak against a page. Never in the future: a clock that was set back would keep it for years. */
  #sinceWhen(noted: number | null): number {
    const now = this.#clock.now();
    return noted === null ? now : Math.min(noted, now);
  }

  /** Keeps the stored page although the upstream speaks against it, until it has done so for a day. */
  async #keep(row: PageRow, since: number): Promise<void> {
    await this.#store.catalog.putPage(
      { ...row, checkedAt: this.#clock.now(), maxAgeMs: null, missingSince: since },
      null,
    );
  }
}

/** Whether a page says by itself all that API 1.1 demands. */
function isComplete(detail: ProjectDetail): boolean {
  return detail.files.every((file) => file.sizeBytes !== null);
}

function isIncomplete(row: PageRow): boolean {
  return row.bodyDigest.endsWith(`.${INCOMPLETE}`);
}

/** The digest of the page as it came, without the mark of what completed it. */
function simpleDigest(row: PageRow): string {
  return row.bodyDigest.slice(0, row.bodyDigest.indexOf('.'));
}
