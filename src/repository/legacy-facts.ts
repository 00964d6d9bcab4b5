import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import { InvalidUpstreamAnswerError, messageOf } from '../core/errors.ts';
import { SingleFlight } from '../core/single-flight.ts';
import type { Logger } from '../core/logger.ts';
import type { ProjectName } from '../packaging/names.ts';
import { readLegacyJsonInSlices } from '../simple/read-legacy-json.ts';
import type { LegacyFacts } from '../simple/read-legacy-json.ts';
import { finishInSlices } from '../simple/slices.ts';
import type { Steps } from '../simple/slices.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** After an upstream has answered for several projects that it has no legacy JSON, it is not asked for so long. */
const LACKS_FOR_MS = 3_600_000;
const LACKS_AFTER_MISSES = 3;

/** What was fetched ahead of a page is of use to that page for so long, and so much of it is kept. */
const KEPT_MS = 5_000;
const KEPT_BYTES = 4 * 1024 * 1024;

/** Decoded; longer ones take longer to read than a round trip. */
const SHORT_BYTES = 1024 * 1024;

/** Bytes digested in one step. */
const DIGESTED_IN_STEP = 1024 * 1024;

/** The legacy JSON of a project, read. */
export interface FetchedFacts {
  readonly facts: LegacyFacts;
  /** Of the document, decoded. */
  readonly sizeBytes: number;
  /** Tells one document from another. */
  readonly digest: string;
}

/** What came of a question: `absent` is a definite "not there", `long` a document that was given up. */
type Answer = FetchedFacts | 'absent' | 'failed' | 'long';

/**
 * The legacy JSON API of an upstream (`/pypi/<name>/json` beside `/simple/`), which knows sizes, upload
 * times and metadata digests that a plain HTML page does not.
 */
export class LegacyFactsSource {
  readonly #upstream: Upstream;
  readonly #baseUrl: URL | null;
  readonly #maxBytes: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #whole = new SingleFlight<Answer>();
  readonly #short = new SingleFlight<Answer>();
  readonly #kept = new LRUCache<ProjectName, { readonly answer: Answer; readonly at: number }>({
    maxSize: KEPT_BYTES,
    sizeCalculation: ({ answer }) => (typeof answer === 'object' ? answer.sizeBytes : 0) + 1,
  });
  readonly #forPages: Patience;
  /** Of its own: many of the names that are asked ahead are in no index, which says nothing of pages. */
  readonly #forGuesses: Patience;
  #isExpected = false;

  constructor(
    upstream: Upstream,
    maxBytes: number,
    env: { readonly clock: Clock; readonly log: Logger },
  ) {
    this.#upstream = upstream;
    this.#maxBytes = maxBytes;
    this.#clock = env.clock;
    this.#log = env.log;
    this.#forPages = new Patience(env.clock);
    this.#forGuesses = new Patience(env.clock);
    this.#baseUrl = new URL(upstream.url).pathname.endsWith('/simple/')
      ? new URL('../pypi/', upstream.url)
      : null;
  }

  /** Whether pages of this upstream have needed it, and it had it: then it is worth asking ahead. */
  get isExpected(): boolean {
    return this.#isExpected && !this.#forPages.isOver;
  }

  /**
   * The facts, or `null` when there are none to be had now. Never throws. Askers at the same time share one
   * question.
   */
  async fetch(project: ProjectName): Promise<FetchedFacts | null> {
    if (this.#baseUrl === null || this.#forPages.isOver) return null;
    const early = await this.#takeEarly(project);
    const isAnswered = typeof early === 'object' || early === 'absent';
    const answer = isAnswered ? early : await this.#askWhole(project);
    const found = typeof answer === 'object' ? answer : null;
    this.#forPages.note(found !== null);
    if (this.#forPages.isOver) this.#isExpected = false;
    if (found !== null) this.#isExpected = true;
    return found;
  }

  /** As {@link fetch}, for those who can do without: a long document is given up. */
  async fetchShort(project: ProjectName): Promise<FetchedFacts | null> {
    if (this.#baseUrl === null || this.#forPages.isOver || this.#forGuesses.isOver) return null;
    // Expected, the page's own question is the same one.
    const answer = await (this.isExpected ? this.#askWhole(project) : this.#askShort(project));
    if (answer !== 'long') this.#forGuesses.note(typeof answer === 'object');
    return typeof answer === 'object' ? answer : null;
  }

  /** What was asked for ahead of the page and is still good, once. */
  async #takeEarly(project: ProjectName): Promise<Answer | undefined> {
    if (this.#short.has(project)) await this.#askShort(project);
    const kept = this.#kept.get(project);
    this.#kept.delete(project);
    if (kept === undefined || this.#clock.monotonic() - kept.at > KEPT_MS) return undefined;
    return kept.answer;
  }

  #askWhole(project: ProjectName): Promise<Answer> {
    return this.#whole.run(project, () => this.#ask(project, this.#maxBytes));
  }

  #askShort(project: ProjectName): Promise<Answer> {
    return this.#short.run(project, async () => {
      const answer = await this.#ask(project, Math.min(SHORT_BYTES, this.#maxBytes));
      this.#kept.set(project, { answer, at: this.#clock.monotonic() });
      return answer;
    });
  }

  async #ask(project: ProjectName, maxBytes: number): Promise<Answer> {
    try {
      const url = new URL(`${project}/json`, this.#baseUrl ?? undefined).href;
      const answer = await this.#upstream.fetchSmall(url, {
        maxBytes,
        accept: 'application/json',
      });
      if (answer.status === 404) return 'absent';
      return {
        facts: await readLegacyJsonInSlices(answer.body, project),
        sizeBytes: answer.body.length,
        digest: await finishInSlices(digestSteps(answer.body)),
      };
    } catch (error) {
      // That it is too long says nothing of other projects.
      if (maxBytes < this.#maxBytes && error instanceof InvalidUpstreamAnswerError) return 'long';
      this.#log.debug('no legacy JSON', {
        project,
        upstream: this.#upstream.name,
        reason: messageOf(error),
      });
      return 'failed';
    }
  }
}

/** How long it is worth asking when nothing comes of it. */
class Patience {
  readonly #clock: Clock;
  #misses = 0;
  #overUntil = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether nobody is to be asked now. */
  get isOver(): boolean {
    return this.#clock.monotonic() < this.#overUntil;
  }

  /** Something, or nothing, came of a question. */
  note(isFound: boolean): void {
    this.#misses = isFound ? 0 : this.#misses + 1;
    if (this.#misses < LACKS_AFTER_MISSES) return;
    this.#misses = 0;
    this.#overUntil = this.#clock.monotonic() + LACKS_FOR_MS;
  }
}

function* digestSteps(body: Uint8Array): Steps<string> {
  const hash = createHash('sha256');
  for (let at = 0; at < body.length; at += DIGESTED_IN_STEP) {
    hash.update(body.subarray(at, at + DIGESTED_IN_STEP));
    yield;
  }
  return hash.digest('hex').slice(0, 16);
}
