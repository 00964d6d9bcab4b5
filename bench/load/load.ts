import { fileURLToPath } from 'node:url';
import type { Children } from '../children.ts';
import { usageOf } from '../process-usage.ts';
import { Remote } from '../remote.ts';
import type { Measurement } from '../report/result.ts';
import type { ClientQuestions, Download, Hammered, Target } from './client.ts';
import { runWrk } from './wrk.ts';
import type { Wrk } from './wrk.ts';

/** An answer slower than this is asked for by few connections, so that some come in time. */
const SLOW_MS = 150;

/** All that asks: wrk for many small requests where it is, our own clients for everything else. */
export class Load {
  /** What to name in a report. */
  readonly name: string;
  readonly #remote: Remote<ClientQuestions>;
  readonly #wrk: Wrk | null;
  readonly #folder: string;
  readonly #seconds: number;

  private constructor(
    remote: Remote<ClientQuestions>,
    wrk: Wrk | null,
    folder: string,
    seconds: number,
  ) {
    this.#remote = remote;
    this.#wrk = wrk;
    this.#folder = folder;
    this.#seconds = seconds;
    this.name = wrk === null ? 'raw sockets in a Node process' : 'wrk, one thread';
  }

  /** @param seconds how long each measurement lasts */
  static async start(
    children: Children,
    options: { readonly wrk: Wrk | null; readonly folder: string; readonly seconds: number },
  ): Promise<Load> {
    const path = fileURLToPath(new URL('client.ts', import.meta.url));
    const remote = await Remote.start<ClientQuestions>(children, path);
    return new Load(remote, options.wrk, options.folder, options.seconds);
  }

  /** Requests a second at one URL, and the processor time that each costs the process `pid`. */
  async rate(target: Target, pid: number, connections: number = 12): Promise<Measurement> {
    const [first] = await this.download([target]);
    const isSlow = (first?.totalMs ?? 0) > SLOW_MS;
    const before = usageOf(pid);
    const { requests, elapsedMs } = await this.hammer(target, isSlow ? 2 : connections, !isSlow);
    const after = usageOf(pid);
    const cpuMicros =
      before === null || after === null ? null : (after.cpuMicros - before.cpuMicros) / requests;
    return { value: (requests * 1000) / elapsedMs, cpuMicros };
  }

  /** A little load that nobody counts: compilers and caches come to rest. */
  async warmUp(target: Target): Promise<void> {
    const [first] = await this.download([target]);
    if ((first?.totalMs ?? 0) > SLOW_MS) return;
    await this.#remote.ask('hammer', { target, connections: 8, durationMs: 300 });
  }

  /** Load for the usual time. */
  hammer(target: Target, connections: number, mayUseWrk: boolean = true): Promise<Hammered> {
    if (this.#wrk !== null && mayUseWrk) {
      const options = { target, connections, seconds: this.#seconds };
      return runWrk(this.#wrk, this.#folder, options);
    }
    return this.#remote.ask('hammer', { target, connections, durationMs: this.#seconds * 1000 });
  }

  /** All at once, each on a connection of its own. */
  download(targets: readonly Target[]): Promise<Download[]> {
    return this.#remote.ask('download', targets);
  }

  /** MB a second over `clients` connections, each of which fetches `times` times. */
  async throughput(target: Target, clients: number, times: number): Promise<Measurement> {
    const { elapsedMs, bodyBytes } = await this.#remote.ask('repeat', { target, clients, times });
    return { value: bodyBytes / 1000 / elapsedMs };
  }

  stop(): Promise<void> {
    return this.#remote.stop();
  }
}
