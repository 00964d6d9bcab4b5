/**
 * Several processes behind one listener (`node:cluster`), for machines with cores to spare. The first
 * process serves nothing: it holds the listeners, starts workers, replaces those that end, and stops them.
 *
 *     primary   starts worker 1, and when that is ready the others      ──▶ worker: the same program
 *               SIGHUP: each in turn gets a successor, then is stopped  ◀── ready (with the banner)
 *               SIGTERM, SIGINT: all are stopped                        ──▶ stop
 *               a worker ended by itself: another takes its place       ◀── figures? (asks for all workers')
 *               a parcel is handed on                                   ◀─▶ parcel (what another one deals with)
 *
 * Workers share nothing but the cache folder, like any servers on one folder.
 */
import cluster from 'node:cluster';
import type { Worker } from 'node:cluster';
import { once } from 'node:events';
import type { Logger } from '../core/logger.ts';
import { sleep } from '../core/sleep.ts';
import { EXIT } from './exit-status.ts';
import { FigureExchange } from './worker-figures.ts';
import type { FigureMessage } from './worker-figures.ts';
import type { Io } from './verb.ts';
import type { Parcel } from './worker-parcels.ts';

/** How long a worker may take from its start to its first answer. */
const READY_WITHIN_MS = 60_000;

/** A worker that was told to stop and does not is killed after this. */
const STOP_WITHIN_MS = 10_000;

/** One that ends sooner after its start has failed to start. */
const SETTLED_AFTER_MS = 5_000;

/** So many failures to start in a row end the whole. */
const MOST_FAILURES = 5;

/** The environment variable by which a worker knows its place. */
const PLACE = 'WORKER_PLACE';

/** What the primary tells a worker. */
type Order = { readonly kind: 'stop' } | FigureMessage | Parcel;

/** What a worker tells the primary. */
type Notice = { readonly kind: 'ready'; readonly banner: string } | FigureMessage | Parcel;

/** Whether this process is to start workers instead of serving by itself. */
export function isPrimary(count: number): boolean {
  return count > 1 && cluster.isPrimary;
}

/**
 * Runs `count` workers until the program is told to stop.
 *
 * @returns the exit status: a first worker's own when it could not start, else 0 or 1
 */
export async function runWorkers(count: number, io: Io, log: Logger): Promise<number> {
  const crew = new Crew(count, log);
  let signals = 0;
  const forget = io.onSignal((signal) => {
    if (signal === 'SIGHUP') return void crew.renew();
    if (++signals > 1) crew.kill();
    log.info('stopping', { signal });
    void crew.stop();
  });
  try {
    const banner = await crew.start();
    if (banner === null) return crew.status;
    io.stdout.write(banner);
    await crew.ended;
    return crew.status;
  } finally {
    forget();
  }
}

class Crew {
  readonly #count: number;
  readonly #log: Logger;
  readonly #places: (Worker | null)[];
  readonly #figures: FigureExchange;
  #isStopping = false;
  #isRenewing = false;
  #failures = 0;
  #end: () => void = () => {};
  readonly ended: Promise<void>;
  status: number = EXIT.ok;

  constructor(count: number, log: Logger) {
    this.#count = count;
    this.#log = log;
    this.#places = Array.from({ length: count }, () => null);
    this.#figures = new FigureExchange(() => this.#present());
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  /** Starts them all; the banner of the first, or `null` when that one could not start. */
  async start(): Promise<string | null> {
    const banner = await this.#fill(0);
    if (banner === null) {
      await this.stop();
      return null;
    }
    for (let place = 1; place < this.#count; place++) await this.#fill(place);
    return this.#isStopping ? null : banner;
  }

  /** Replaces one worker after the other; each serves until its successor does. */
  async renew(): Promise<void> {
    if (this.#isRenewing || this.#isStopping) return;
    this.#isRenewing = true;
    try {
      for (let place = 0; place < this.#count && !this.#isStopping; place++) {
        const old = this.#places[place];
        if ((await this.#fill(place)) === null) {
          this.#log.error('a new worker did not get ready; the old ones stay', { place });
          return;
        }
        if (old !== undefined && old !== null) await stopWorker(old);
      }
      this.#log.info('workers renewed', { workers: this.#count });
    } finally {
      this.#isRenewing = false;
    }
  }

  /** Stops them all, gracefully. */
  async stop(): Promise<void> {
    if (this.#isStopping) return;
    this.#isStopping = true;
    await Promise.all(Object.values(cluster.workers ?? {}).map((worker) => stopWorker(worker)));
    this.#end();
  }

  /** Ends them all at once. */
  kill(): void {
    for (const worker of this.#present()) worker.process.kill('SIGKILL');
  }

  #present(): Worker[] {
    return this.#places.filter((worker) => worker !== null);
  }

  /** Puts a new worker into a place once it is ready; its banner, or `null` when it ended before. */
  async #fill(place: number): Promise<string | null> {
    const worker = cluster.fork({ [PLACE]: String(place) });
    const startedAt = performance.now();
    let isReady = false;
    worker.on('message', (notice: Notice) => {
      if (notice.kind === 'parcel') this.#handOn(notice);
      else if (notice.kind !== 'ready') this.#figures.receive(worker, notice);
    });
    worker.once('exit', (code, signal) => {
      if (!isReady || this.#places[place] !== worker) return;
      this.#places[place] = null;
      const lived = performance.now() - startedAt;
      void this.#replace(place, lived, code ?? signal);
    });
    const banner = await firstNotice(worker);
    if (banner === null) {
      this.status = this.#isStopping ? this.status : (worker.process.exitCode ?? EXIT.failed);
      return null;
    }
    isReady = true;
    this.#places[place] = worker;
    return banner;
  }

  /** While a place is empty, what was meant for it is lost: nothing rests on it. */
  #handOn(parcel: Parcel): void {
    const worker = this.#places[parcel.to];
    if (worker !== undefined && worker !== null && worker.isConnected()) worker.send(parcel);
  }

  async #replace(place: number, livedMs: number, reason: number | string): Promise<void> {
    if (this.#isStopping) return;
    this.#failures = livedMs < SETTLED_AFTER_MS ? this.#failures + 1 : 0;
    this.#log.warn('a worker ended and is replaced', { place, reason });
    while (!this.#isStopping) {
      if (this.#failures >= MOST_FAILURES) {
        this.#log.error('workers keep ending; giving up', { failures: this.#failures });
        this.status = EXIT.failed;
        return await this.stop();
      }
      await sleep(Math.min(5_000, this.#failures * 200));
      // A renewal may have filled the place meanwhile.
      if (this.#isStopping || this.#places[place] !== null) return;
      if ((await this.#fill(place)) !== null) return;
      this.#failures++;
    }
  }
}

/** The banner of a worker that got ready; `null` when it ended, or took too long and was killed. */
async function firstNotice(worker: Worker): Promise<string | null> {
  return await new Promise((resolve) => {
    const timer = setTimeout(() => worker.process.kill('SIGKILL'), READY_WITHIN_MS);
    const settle = (banner: string | null): void => {
      clearTimeout(timer);
      resolve(banner);
    };
    worker.on('message', (notice: Notice) => {
      if (notice.kind === 'ready') settle(notice.banner);
    });
    worker.once('exit', () => settle(null));
  });
}

async function stopWorker(worker: Worker | undefined): Promise<void> {
  if (worker === undefined || worker.isDead()) return;
  const ended = once(worker, 'exit');
  if (worker.isConnected()) worker.send({ kind: 'stop' } satisfies Order);
  const timer = setTimeout(() => worker.process.kill('SIGKILL'), STOP_WITHIN_MS);
  await ended;
  clearTimeout(timer);
}

/** What a worker has to do with its primary. */
export interface WorkerSeat {
  /** From 0; kept by the successors of a worker. */
  readonly place: number;
  /** Tells that requests are answered now. */
  ready(banner: string): void;
  /** Calls the listener once, when the primary wants this worker to end, or is gone itself. */
  onStop(listener: (reason: string) => void): void;
  /** Lets other workers read the figures of this one. */
  offerFigures(figures: () => unknown): void;
  /** The figures of all workers that answer in time. */
  allFigures(): Promise<readonly unknown[]>;
  /** Hands something on to the worker at a place; it may get lost. */
  send(to: number, content: unknown): void;
  /** Calls the listener with what other workers have sent here. */
  onParcel(listener: (content: unknown) => void): void;
  /** Lets the process end. */
  leave(): void;
}

/** The seat of this process among workers; `null` when it serves by itself. */
export function workerSeat(io: Pick<Io, 'env'>): WorkerSeat | null {
  const { worker } = cluster;
  if (!cluster.isWorker || worker === undefined) return null;
  const tell = (notice: Notice): void => {
    if (worker.isConnected()) worker.send(notice);
  };
  const asked = new Map<number, (all: readonly unknown[]) => void>();
  let figures: () => unknown = () => null;
  let last = 0;
  worker.on('message', (order: Order) => {
    if (order.kind === 'report') tell({ ...order, kind: 'reported', figures: figures() });
    if (order.kind !== 'all-figures') return;
    asked.get(order.id)?.(order.all);
    asked.delete(order.id);
  });
  return {
    place: Number(io.env[PLACE] ?? 0),
    ready: (banner) => tell({ kind: 'ready', banner }),
    onStop(listener) {
      worker.on('message', (order: Order) => {
        if (order.kind === 'stop') listener('stop');
      });
      // Without the primary nobody accepts connections for this process.
      worker.once('disconnect', () => listener('the primary process is gone'));
    },
    offerFigures: (source) => void (figures = source),
    allFigures: () =>
      new Promise((resolve) => {
        const id = ++last;
        asked.set(id, resolve);
        tell({ kind: 'figures?', id });
      }),
    send: (to, content) => tell({ kind: 'parcel', to, content }),
    onParcel(listener) {
      worker.on('message', (order: Order) => {
        if (order.kind === 'parcel') listener(order.content);
      });
    },
    // Not `process.disconnect`: node would end the process with status 0 at once.
    leave: () => {
      if (worker.isConnected()) worker.disconnect();
    },
  };
}
