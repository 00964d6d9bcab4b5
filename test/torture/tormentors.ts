import { createHash } from 'node:crypto';
import { open, readFile, readdir } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startServer } from '../support/server-process.ts';
import type { ServerOptions, ServerProcess } from '../support/server-process.ts';
import { download } from '../support/download.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import type { TargetFile } from './bad-weather.ts';

/** What a client counts. */
export interface ClientCounts {
  /** Complete bodies with the right digest. */
  good: number;
  /** Complete bodies with a wrong one: must stay 0. */
  corrupt: number;
  /** What is known of them. */
  readonly corruptions: string[];
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
  longestWaitMs: number;
}

/** Nothing counted yet. */
export function noCounts(): ClientCounts {
  return {
    good: 0,
    corrupt: 0,
    corruptions: [],
    wrongParts: 0,
    broken: 0,
    refused: 0,
    quit: 0,
    statuses: {},
    stuck: 0,
    longestWaitMs: 0,
  };
}

/** One after the other, until `isOver`: a quarter ranges, a tenth slow, a tenth quitting. */
export async function runClient(
  origin: () => string,
  targets: readonly TargetFile[],
  counts: ClientCounts,
  isOver: () => boolean,
): Promise<void> {
  while (!isOver()) {
    const target = targets[Math.floor(Math.random() * targets.length)]!;
    await askOnce(origin(), target, counts);
  }
}

async function askOnce(origin: string, target: TargetFile, counts: ClientCounts): Promise<void> {
  const { content } = target;
  const dice = Math.random();
  const start = Math.floor(Math.random() * content.length);
  const last = Math.min(content.length - 1, start + Math.floor(Math.random() * content.length));
  const isRange = dice < 0.25;
  const willQuit = dice >= 0.25 && dice < 0.35;
  const isSlow = dice >= 0.35 && dice < 0.45;
  const result = await download(origin + target.path, {
    ...(isRange ? { headers: { range: `bytes=${start}-${last}` } } : {}),
    ...(willQuit ? { quitAfterBytes: content.length / 3 } : {}),
    ...(isSlow ? { bytesPerSecond: 1_000_000 } : {}),
  });
  const firstWaitMs = Number.isNaN(result.firstByteMs) ? result.totalMs : result.firstByteMs;
  const waitMs = Math.max(firstWaitMs, isSlow ? 0 : result.longestGapMs);
  counts.longestWaitMs = Math.max(counts.longestWaitMs, waitMs);
  if (waitMs > 10_000) counts.stuck++;
  if (result.status === 0) counts.refused++;
  else if (result.status !== 200 && result.status !== 206) {
    counts.statuses[result.status] = (counts.statuses[result.status] ?? 0) + 1;
  } else if (!result.isComplete) counts[willQuit ? 'quit' : 'broken']++;
  else {
    const isPart = result.status === 206;
    const expected = isPart ? sha256Of(content.subarray(start, last + 1)) : target.sha256;
    const isEarlyPart = isPart && result.cacheStatus.includes('miss');
    if (result.sha256 === expected) counts.good++;
    else if (isEarlyPart) counts.wrongParts++;
    else {
      counts.corrupt++;
      const { status, cacheStatus, bytes } = result;
      counts.corruptions.push(
        `${target.filename} of ${content.length}: ${status} (${cacheStatus}), ${bytes} bytes from ${isPart ? start : 0}`,
      );
    }
  }
}

/** Two servers on one folder that are killed and stopped at random, and started again. */
export class Servers {
  readonly #options: ServerOptions;
  readonly #running: (ServerProcess | null)[] = [];
  kills = 0;
  stops = 0;
  slowestStartMs = 0;
  /** Ends that nobody asked for. */
  readonly crashes: string[] = [];

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  async start(count: number): Promise<void> {
    for (let at = 0; at < count; at++) await this.#startOne(at);
  }

  /** Where a random server listens that runs. */
  origin(): string {
    const running = this.#running.filter((server) => server !== null);
    return running[Math.floor(Math.random() * running.length)]?.baseUrl ?? 'http://127.0.0.1:9';
  }

  /** Four of five times a kill, otherwise a stop of 1.5 s. */
  async torment(): Promise<void> {
    const at = Math.floor(Math.random() * this.#running.length);
    const victim = this.#running[at];
    if (victim === null || victim === undefined) return;
    if (Math.random() < 0.2) {
      this.stops++;
      victim.kill('SIGSTOP');
      await pause(1_500);
      victim.kill('SIGCONT');
      return;
    }
    this.kills++;
    this.#running[at] = null;
    victim.kill('SIGKILL');
    await victim.ended;
    await this.#startOne(at);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#running.map(async (server) => await server?.stop()));
  }

  async #startOne(at: number): Promise<void> {
    const startedAt = performance.now();
    const server = await startServer(this.#options);
    this.slowestStartMs = Math.max(this.slowestStartMs, performance.now() - startedAt);
    this.#running[at] = server;
    void server.ended.then(({ code }) => {
      if (code !== null && code !== 0) this.crashes.push(server.output.stderr.slice(-2_000));
    });
  }
}

/** What the reader of the static mirror counts. */
export interface WalkCounts {
  pages: number;
  links: number;
  /** Links of a page read less than two seconds ago that led nowhere: must stay 0. */
  dead: number;
  /** The reader itself was too slow for the grace time. */
  late: number;
  wrong: number;
  readonly deadLinks: string[];
}

/** A link holds for the grace time of the servers; this is less. */
const LINK_HOLDS_MS = 2_000;

/** Reads `mirror/` like a web server would: every link of a page just read leads to the bytes it names. */
export async function walkMirror(
  mirrorDir: string,
  counts: WalkCounts,
  isOver: () => boolean,
): Promise<void> {
  while (!isOver()) {
    const names = await readdir(mirrorDir).catch(() => []);
    for (const name of names.filter((entry) => entry.startsWith('torture-'))) {
      await walkPage(join(mirrorDir, name, 'index.html'), counts);
      if (isOver()) return;
    }
    await pause(20);
  }
}

async function walkPage(page: string, counts: WalkCounts): Promise<void> {
  const readAt = performance.now();
  const text = await readFile(page, 'utf8').catch(() => null);
  if (text === null) return;
  counts.pages++;
  const links = [...text.matchAll(/href="([^"#]+)#sha256=([0-9a-f]{64})"/g)];
  for (const [, href = '', sha256 = ''] of links) {
    counts.links++;
    const handle = await open(join(dirname(page), decodeURIComponent(href))).catch(() => null);
    const ageMs = performance.now() - readAt;
    if (handle === null && ageMs > LINK_HOLDS_MS) counts.late++;
    else if (handle === null) {
      counts.dead++;
      counts.deadLinks.push(`${page} ${href} after ${Math.round(ageMs)} ms`);
    } else if ((await digestOf(handle)) !== sha256) counts.wrong++;
  }
}

async function digestOf(handle: FileHandle): Promise<string> {
  try {
    return createHash('sha256')
      .update(await handle.readFile())
      .digest('hex');
  } finally {
    await handle.close();
  }
}
