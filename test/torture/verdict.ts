import { readFileSync } from 'node:fs';
import type { Download } from '../support/download.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import type { TargetFile } from './bad-weather.ts';

/** No request may wait longer for its next byte. */
const STUCK_AFTER_MS = 10_000;

/** What a client counts. */
export interface Counts {
  /** Complete bodies with the right digest. */
  good: number;
  /** Complete bodies with a wrong one: must stay 0. */
  corrupt: number;
  /** All that is known of them. */
  readonly corruptions: Corruption[];
  /**
   * Complete parts (206) with wrong bytes, of files that were still being fetched: nobody can vouch for
   * those, and whoever puts a file together from parts looks at its digest.
   */
  wrongParts: number;
  /** Broken connections, which installers see and try again. */
  broken: number;
  refused: number;
  quit: number;
  /** Answers by status, other than 200 and 206. */
  readonly statuses: Record<string, number>;
  /** Requests without a byte for 10 s: must stay 0. */
  stuck: number;
  /** The same while processes of the machine waited for a processor most of the time: nobody's fault. */
  starved: number;
  readonly stuckRequests: StuckRequest[];
  longestWaitMs: number;
}

/** One complete body that is not what it should be. */
export interface Corruption {
  readonly at: string;
  readonly url: string;
  readonly sizeBytes: number;
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly asked: string;
  readonly bytes: number;
  readonly firstByteMs: number;
  readonly totalMs: number;
  readonly difference: string;
  /** What the servers logged about the file. */
  readonly words: string[];
}

/** One request that waited too long. */
export interface StuckRequest {
  readonly at: string;
  readonly url: string;
  readonly status: number;
  readonly cacheStatus: string;
  readonly isComplete: boolean;
  readonly bytes: number;
  readonly firstByteMs: number;
  readonly longestGapMs: number;
  readonly totalMs: number;
  /** What the servers logged about the file. */
  readonly words: string[];
}

/** A part as it was asked for; `last` is inclusive. */
export interface AskedPart {
  readonly start: number;
  readonly last: number;
}

/** Share of the last ten seconds in which some process waited for a processor (Linux PSI), in percent. */
const STARVED_PERCENT = 75;

/** Percent; 0 where the system does not say. */
function waitForProcessor(): number {
  try {
    return Number(
      /^some avg10=([\d.]+)/.exec(readFileSync('/proc/pressure/cpu', 'utf8'))?.[1] ?? 0,
    );
  } catch {
    return 0;
  }
}

/** Lines of a log reach us a little later than the body they are about. */
const WORDS_AFTER_MS = 500;

/** Judges answers and keeps count. */
export class Verdict {
  readonly #explain: (url: string) => string[];
  readonly counts: Counts = {
    good: 0,
    corrupt: 0,
    corruptions: [],
    wrongParts: 0,
    broken: 0,
    refused: 0,
    quit: 0,
    statuses: {},
    stuck: 0,
    starved: 0,
    stuckRequests: [],
    longestWaitMs: 0,
  };

  /** @param explain finds what was logged about a URL */
  constructor(explain: (url: string) => string[] = () => []) {
    this.#explain = explain;
  }

  /** A whole file, or a part of one. `body`, if it was kept, tells how a wrong one differs. */
  file(
    target: TargetFile,
    url: string,
    answer: Download,
    part: AskedPart | null,
    body?: Buffer,
  ): void {
    this.#waited(url, answer);
    if (!this.#isCompleteBody(answer, 'broken')) return;
    const isPart = answer.status === 206 && part !== null;
    const expected = isPart ? target.content.subarray(part.start, part.last + 1) : target.content;
    const digest = isPart ? sha256Of(expected) : target.sha256;
    if (answer.sha256 === digest) this.counts.good++;
    else if (isPart && answer.cacheStatus.includes('miss') && isWithoutTail(target, part))
      this.counts.wrongParts++;
    else this.#corrupt(url, expected, answer, part, body);
  }

  /** Of a client that reads slowly: its own waiting is not ours. */
  slowFile(target: TargetFile, url: string, answer: Download): void {
    this.file(target, url, { ...answer, longestGapMs: 0 }, null);
  }

  /** Of a client that leaves early; a small file was there before it could. */
  quitter(url: string, answer: Download): void {
    this.#waited(url, answer);
    this.#isCompleteBody(answer, 'quit');
  }

  /** A JSON page. */
  page(project: string, url: string, answer: Download, text: string): void {
    this.#waited(url, answer);
    if (!this.#isCompleteBody(answer, 'broken')) return;
    if (isPageOf(project, text)) this.counts.good++;
    else this.#corrupt(url, Buffer.alloc(0), answer, null, Buffer.from(text));
  }

  /** An answer of which only the status counts. */
  plain(url: string, answer: Download): void {
    this.#waited(url, answer);
    if (this.#isCompleteBody(answer, 'broken')) this.counts.good++;
  }

  #waited(url: string, answer: Download): void {
    const { status, cacheStatus, isComplete, bytes, firstByteMs, longestGapMs, totalMs } = answer;
    const firstMs = Number.isNaN(firstByteMs) ? totalMs : firstByteMs;
    const waitMs = Math.max(firstMs, longestGapMs);
    this.counts.longestWaitMs = Math.max(this.counts.longestWaitMs, waitMs);
    if (waitMs <= STUCK_AFTER_MS) return;
    if (waitForProcessor() > STARVED_PERCENT) {
      this.counts.starved++;
      return;
    }
    this.counts.stuck++;
    const words = this.#wordsOn(url);
    const at = new Date().toISOString();
    const times = { firstByteMs, longestGapMs, totalMs };
    this.counts.stuckRequests.push({
      at,
      url,
      status,
      cacheStatus,
      isComplete,
      bytes,
      ...times,
      words,
    });
  }

  #wordsOn(url: string): string[] {
    const words: string[] = [];
    setTimeout(() => words.push(...this.#explain(url)), WORDS_AFTER_MS);
    return words;
  }

  #isCompleteBody({ status, isComplete }: Download, otherwise: 'broken' | 'quit'): boolean {
    if (status === 0) this.counts.refused++;
    else if (status !== 200 && status !== 206)
      this.counts.statuses[status] = (this.counts.statuses[status] ?? 0) + 1;
    else if (!isComplete) this.counts[otherwise]++;
    else return true;
    return false;
  }

  #corrupt(
    url: string,
    expected: Buffer,
    answer: Download,
    part: AskedPart | null,
    body: Buffer | undefined,
  ): void {
    this.counts.corrupt++;
    this.counts.corruptions.push({
      at: new Date().toISOString(),
      url,
      sizeBytes: expected.length,
      status: answer.status,
      headers: { ...answer.headers },
      asked: part === null ? 'all' : `${part.start}-${part.last}`,
      bytes: answer.bytes,
      firstByteMs: answer.firstByteMs,
      totalMs: answer.totalMs,
      difference: body === undefined ? 'not kept' : differenceOf(body, expected),
      words: this.#wordsOn(url),
    });
  }
}

/** A part that reaches into the held-back tail is sent only after the digest of the whole file held. */
function isWithoutTail({ content }: TargetFile, { last }: AskedPart): boolean {
  return last < content.length - 64 * 1024 || content.length >= 8 * 1024 * 1024;
}

function isPageOf(project: string, text: string): boolean {
  try {
    const page = JSON.parse(text) as { name: string; files: { hashes: { sha256?: string } }[] };
    return page.name === project && page.files.every(({ hashes }) => hashes.sha256 !== undefined);
  } catch {
    return false;
  }
}

/** Where two bodies differ, in words. */
function differenceOf(body: Buffer, expected: Buffer): string {
  const common = Math.min(body.length, expected.length);
  const wrong: number[] = [];
  for (let at = 0; at < common; at++) if (body[at] !== expected[at]) wrong.push(at);
  const first = wrong.slice(0, 5).join(', ');
  return `${body.length} bytes for ${expected.length}; ${wrong.length} differ, first at ${first}; begins ${JSON.stringify(body.subarray(0, 60).toString('latin1'))}`;
}
