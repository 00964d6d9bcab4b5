/**
 * Why a request gets the answer it gets: which index answers for a name, how fresh its page is, and what
 * becomes of every file on it for one interpreter and machine. Asks nobody; all is told from what is
 * stored.
 */
import { readFile } from 'node:fs/promises';
import { judgeFiles } from '../packaging/candidates.ts';
import type { RejectionKind, Target } from '../packaging/candidates.ts';
import { metadataFacts } from '../packaging/core-metadata.ts';
import type { MarkerEnvironment } from '../packaging/environment.ts';
import { isWanted } from '../packaging/markers.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { PageRow } from '../store/catalog.ts';
import type { Store } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { listedFiles } from './explain-files.ts';
import type { ExplainableFile } from './explain-files.ts';
import { findAnswerer } from './explain-index.ts';
import type { ExplainedIndex, ExplainRules } from './explain-index.ts';

/** What is asked. */
export interface ExplainQuestion extends Target {
  readonly environment: MarkerEnvironment;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** Why a file is not offered at all, beside what an installer has against it. */
export type NotTakenKind = RejectionKind | 'refused' | 'not-held';

/** What becomes of one file. */
export interface ExplainedFile {
  readonly filename: string;
  readonly version: string | null;
  readonly isHeld: boolean;
  readonly sizeBytes: number | null;
  /** `null` for the one that is taken. */
  readonly kind: NotTakenKind | null;
  readonly reason: string | null;
}

/** How fresh the page is that answers; times in epoch milliseconds. */
export interface ExplainedPage {
  readonly fetchedAt: number;
  readonly checkedAt: number;
  readonly ageMs: number;
  readonly lifetimeMs: number;
  readonly isFresh: boolean;
}

/** One requirement of the file that is taken. */
export interface ExplainedRequirement {
  readonly requirement: string;
  /** Whether its marker holds in the environment. */
  readonly applies: boolean;
}

/** The whole answer. */
export interface Explanation {
  readonly project: ProjectName;
  /** In the order in which they are asked. */
  readonly indexes: readonly ExplainedIndex[];
  /** The index whose page is served; `local` for files of one's own; `null` when nothing is stored. */
  readonly answeredBy: string | null;
  readonly page: ExplainedPage | null;
  readonly status: string | null;
  readonly chosen: string | null;
  readonly files: readonly ExplainedFile[];
  /** Of the file that is taken, when its core metadata is held; `null` otherwise. */
  readonly requirements: readonly ExplainedRequirement[] | null;
  /** What the next requests for the page, and then for the file, would do. */
  readonly next: { readonly page: string; readonly file: string | null };
}

/** Explains the answer to a question. */
export async function explainProject(
  store: Store,
  upstreams: readonly Upstream[],
  rules: ExplainRules,
  question: ExplainQuestion,
): Promise<Explanation> {
  const { project } = question;
  const { indexes, answerer } = findAnswerer(store, upstreams, rules, project);
  const listing = await listedFiles(store, answerer, rules, project);
  const offered = listing.files.filter(({ obstacle }) => obstacle === null);
  const verdicts = new Map(judgeFiles(offered, question).map((verdict) => [verdict.file, verdict]));
  const files = listing.files.map((file): ExplainedFile => {
    const verdict = verdicts.get(file);
    const { filename, isHeld, sizeBytes } = file;
    const obstacle = file.obstacle ?? verdict?.rejection ?? null;
    const { kind, reason } = obstacle ?? { kind: null, reason: null };
    return { filename, version: verdict?.version ?? null, isHeld, sizeBytes, kind, reason };
  });
  const chosen = offered.find((file) => verdicts.get(file)?.rejection === null);
  const page = answerer?.row === undefined ? null : pageOf(answerer.row, rules, question.now);
  return {
    project,
    indexes,
    answeredBy: answerer?.name ?? null,
    page,
    status: listing.status,
    chosen: chosen?.filename ?? null,
    files,
    requirements: chosen === undefined ? null : await requirementsOf(store, chosen, question),
    next: {
      page: nextPage(indexes, answerer?.isHeldOnly ?? false, answerer?.name ?? null, page, rules),
      file: chosen === undefined ? null : nextFile(chosen),
    },
  };
}

function pageOf(row: PageRow, rules: ExplainRules, now: number): ExplainedPage {
  const ageMs = now - row.checkedAt;
  const lifetimeMs = row.maxAgeMs ?? rules.ttlMs;
  const isFresh = ageMs >= 0 && ageMs < lifetimeMs;
  return { fetchedAt: row.fetchedAt, checkedAt: row.checkedAt, ageMs, lifetimeMs, isFresh };
}

function nextPage(
  indexes: readonly ExplainedIndex[],
  isHeldOnly: boolean,
  answeredBy: string | null,
  page: ExplainedPage | null,
  rules: ExplainRules,
): string {
  if (answeredBy === 'local') return 'is answered from your own files; no index is asked';
  if (isHeldOnly) return `lists what is held; ${answeredBy} is not asked`;
  if (answeredBy === null) {
    const first = indexes.find(({ state }) => state === 'never-asked');
    if (first !== undefined) return `asks ${first.name}, for the first time`;
    return 'is answered with 404: no index that may be asked has it';
  }
  if (page === null) return `asks ${answeredBy}`;
  if (page.isFresh) return `is answered from the stored page of ${answeredBy}, which is fresh`;
  return rules.preferOffline
    ? `is answered from the stored page of ${answeredBy} without asking (prefer_offline)`
    : `asks ${answeredBy} whether its page has changed, and gets the stored one if that fails or takes long`;
}

function nextFile({ isHeld, filename, upstream }: ExplainableFile): string {
  return isHeld
    ? `${filename} is answered from the disk`
    : `${filename} is fetched from ${upstream}, checked and kept`;
}

async function requirementsOf(
  store: Store,
  file: ExplainableFile,
  { environment }: ExplainQuestion,
): Promise<ExplainedRequirement[] | null> {
  const sidecar = store.catalog.findFile(file.upstream, `${file.path}.metadata`);
  if (sidecar === undefined) return null;
  const bytes = await readFile(store.layout.fileAt(sidecar.path)).catch(() => undefined);
  if (bytes === undefined) return null;
  return metadataFacts(bytes).requiresDist.map((requirement) => ({
    requirement,
    applies: isWanted(markerIn(requirement), environment, []),
  }));
}

/** Behind a URL a semicolon belongs to it unless a space stands before (PEP 508). */
function markerIn(requirement: string): string {
  const separator = requirement.includes('@') ? / ;/ : /;/;
  const at = requirement.search(separator);
  return at === -1 ? '' : requirement.slice(at).replace(/^ ?;/, '');
}
