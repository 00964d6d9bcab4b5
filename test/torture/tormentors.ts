import { setTimeout as pause } from 'node:timers/promises';
import { ask } from '../support/http-client.ts';
import { PIP_USER_AGENT } from '../support/user-agents.ts';
import { runCommand } from '../support/run-command.ts';
import { startServer } from '../support/server-process.ts';
import type { ServerOptions, ServerProcess } from '../support/server-process.ts';
import { download } from '../support/download.ts';
import type { TargetFile } from './bad-weather.ts';
import type { Verdict } from './verdict.ts';

/** They look like pip, so that upstreams are asked ahead of them. */
const headers = { 'user-agent': PIP_USER_AGENT };

/** One after the other, until `isOver`: a quarter ranges, a tenth slow, a tenth quitting, a tenth pages and core metadata. */
export async function runClient(
  origin: () => string,
  targets: readonly TargetFile[],
  verdict: Verdict,
  isOver: () => boolean,
): Promise<void> {
  while (!isOver()) {
    const target = targets[Math.floor(Math.random() * targets.length)]!;
    const { refused } = verdict.counts;
    await askOnce(origin() + target.path, target, verdict);
    // All are dead: asking again at once would only slow their return.
    if (verdict.counts.refused > refused) await pause(50);
  }
}

async function askOnce(url: string, target: TargetFile, verdict: Verdict): Promise<void> {
  const { length } = target.content;
  const dice = Math.random();
  let body: Buffer = Buffer.alloc(0);
  const onBody = (received: Buffer): void => void (body = received);
  if (dice < 0.25) {
    const start = Math.floor(Math.random() * length);
    const last = Math.min(length - 1, start + Math.floor(Math.random() * length));
    const range = `bytes=${start}-${last}`;
    const answer = await download(url, { headers: { ...headers, range }, onBody });
    verdict.file(target, url, answer, { start, last }, body);
  } else if (dice < 0.35) {
    verdict.quitter(url, await download(url, { headers, quitAfterBytes: length / 3 }));
  } else if (dice < 0.45) {
    verdict.slowFile(target, url, await download(url, { headers, bytesPerSecond: 1_000_000 }));
  } else if (dice < 0.55) {
    const page = new URL(`/simple/${target.project}/`, url).href;
    const accept = 'application/vnd.pypi.simple.v1+json';
    const answer = await download(page, { headers: { ...headers, accept }, onBody });
    verdict.page(target.project, page, answer, body.toString());
    const metadata = `${url}.metadata`;
    verdict.plain(metadata, await download(metadata, { headers }));
  } else verdict.file(target, url, await download(url, { headers, onBody }), null, body);
}

/** On a machine that has much else to do. */
const START_WITHIN_MS = 60_000;

/** Every so many restarts. */
const BAREST_EVERY = 5;

/** So much of the log of dead servers is kept to explain a wrong body with. */
const KEPT_LOGS = 12;

/** Two servers on one folder that are killed and stopped at random, and started again. */
export class Servers {
  readonly #options: ServerOptions;
  readonly #running: (ServerProcess | null)[] = [];
  readonly #logs: { readonly origin: string; readonly output: { readonly stderr: string } }[] = [];
  /** Being killed, stopped or started. */
  readonly #inTrouble = new Set<number>();
  kills = 0;
  stops = 0;
  /** From spawning to the first 200 on `/-/health`, each. */
  readonly restartsMs: number[] = [];
  /** What an empty program takes from its start to its end, at the same times: the machine may be busy. */
  readonly barestMs: number[] = [];
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

  /**
   * Four of five times a kill, otherwise a stop of 1.5 s, of a server that is at peace. The promise is for
   * its return; `false` when there was none.
   */
  async torment(): Promise<boolean> {
    const peaceful = this.#running.map((_, at) => at).filter((at) => !this.#inTrouble.has(at));
    const at = peaceful[Math.floor(Math.random() * peaceful.length)];
    const victim = at === undefined ? undefined : this.#running[at];
    if (at === undefined || victim === undefined || victim === null) return false;
    this.#inTrouble.add(at);
    try {
      if (Math.random() < 0.2) await this.#stopAwhile(victim);
      else await this.#killOne(at, victim);
    } finally {
      this.#inTrouble.delete(at);
    }
    return true;
  }

  /** What servers, the latest dead ones included, have logged about a file. */
  linesAbout(url: string): string[] {
    const filename = new URL(url).pathname.split('/').at(-1) ?? '';
    return this.#logs.flatMap(({ origin, output }) =>
      output.stderr
        .split('\n')
        .filter((line) => line.includes(filename))
        .map((line) => `${origin}: ${line}`),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.#running.map(async (server) => await server?.stop()));
  }

  async #stopAwhile(victim: ServerProcess): Promise<void> {
    this.stops++;
    victim.kill('SIGSTOP');
    await pause(1_500);
    victim.kill('SIGCONT');
  }

  async #killOne(at: number, victim: ServerProcess): Promise<void> {
    this.kills++;
    this.#running[at] = null;
    victim.kill('SIGKILL');
    await victim.ended;
    await this.#startOne(at);
  }

  async #measureBarest(): Promise<void> {
    const startedAt = performance.now();
    await runCommand(process.execPath, ['-e', '0']);
    this.barestMs.push(performance.now() - startedAt);
  }

  async #startOne(at: number): Promise<void> {
    const startedAt = performance.now();
    const server = await startServer({
      startTimeoutMs: START_WITHIN_MS,
      ahead: true,
      ...this.#options,
    });
    while ((await healthOf(server)) !== 200) await pause(10);
    this.restartsMs.push(performance.now() - startedAt);
    if (this.restartsMs.length % BAREST_EVERY === 0) await this.#measureBarest();
    this.#running[at] = server;
    this.#logs.push({ origin: server.baseUrl, output: server.output });
    if (this.#logs.length > KEPT_LOGS) this.#logs.shift();
    void server.ended.then(({ code }) => {
      if (code !== null && code !== 0) this.crashes.push(server.output.stderr.slice(-2_000));
    });
  }
}

async function healthOf({ baseUrl }: ServerProcess): Promise<number> {
  return (await ask(baseUrl, '/-/health').catch(() => ({ status: 0 }))).status;
}
