import { createHash } from 'node:crypto';
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
  readonly #flights = new SingleFlight<FetchedFacts | null>();
  #misses = 0;
  #lacksUntil = -Infinity;
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
    this.#baseUrl = new URL(upstream.url).pathname.endsWith('/simple/')
      ? new URL('../pypi/', upstream.url)
      : null;
  }

  /** Whether pages of this upstream have needed it, and it had it: then it is worth asking ahead. */
  get isExpected(): boolean {
    return this.#isExpected && this.#clock.monotonic() >= this.#lacksUntil;
  }

  /**
   * The facts, or `null` when there are none to be had now. Never throws. Askers at the same time share one
   * question.
   */
  async fetch(project: ProjectName): Promise<FetchedFacts | null> {
    const found = await this.#fetch(project, this.#maxBytes);
    if (found !== null) this.#isExpected = true;
    return found;
  }

  /** As {@link fetch}, for those who can do without: a long document is given up. */
  async fetchShort(project: ProjectName): Promise<FetchedFacts | null> {
    // The page's own question is the same one.
    return await (this.isExpected
      ? this.fetch(project)
      : this.#fetch(project, Math.min(SHORT_BYTES, this.#maxBytes)));
  }

  async #fetch(project: ProjectName, maxBytes: number): Promise<FetchedFacts | null> {
    if (this.#baseUrl === null || this.#clock.monotonic() < this.#lacksUntil) return null;
    const url = new URL(`${project}/json`, this.#baseUrl).href;
    return await this.#flights.run(`${maxBytes} ${project}`, () =>
      this.#ask(project, url, maxBytes),
    );
  }

  async #ask(project: ProjectName, url: string, maxBytes: number): Promise<FetchedFacts | null> {
    try {
      const answer = await this.#upstream.fetchSmall(url, {
        maxBytes,
        accept: 'application/json',
      });
      if (answer.status === 404) return this.#miss();
      const facts = await readLegacyJsonInSlices(answer.body, project);
      this.#misses = 0;
      return {
        facts,
        sizeBytes: answer.body.length,
        digest: await finishInSlices(digestSteps(answer.body)),
      };
    } catch (error) {
      // That it is too long says nothing of other projects.
      if (maxBytes < this.#maxBytes && error instanceof InvalidUpstreamAnswerError) return null;
      this.#log.debug('no legacy JSON', {
        project,
        upstream: this.#upstream.name,
        reason: messageOf(error),
      });
      return this.#miss();
    }
  }

  #miss(): null {
    if (++this.#misses >= LACKS_AFTER_MISSES) {
      this.#misses = 0;
      this.#isExpected = false;
      this.#lacksUntil = this.#clock.monotonic() + LACKS_FOR_MS;
    }
    return null;
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
