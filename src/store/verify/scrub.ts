import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { sleep } from '../../core/sleep.ts';
import type { HeldFile } from '../held-file.ts';
import { isProvablyDead, thisProcess } from '../fill/process-identity.ts';
import type { ProcessIdentity } from '../fill/process-identity.ts';
import { lookAtFile } from './file.ts';
import { takeOut } from './files.ts';
import type { FilesOfStore } from './files.ts';

/** How a server looks for damage behind everybody's back. */
export interface ScrubOptions {
  /** Bytes that are read in a second at most. */
  readonly bytesPerSecond: number;
  /** From the start of the server; a minute by default, in milliseconds. */
  readonly startAfterMs?: number;
  /** From the beginning of one pass to the next one; a day by default, in milliseconds. */
  readonly passEveryMs?: number;
}

/** What it works with. */
export interface ScrubSurroundings {
  readonly clock: Clock;
  readonly log: Logger;
  /** Hears which files were damaged; they are out of the index by then. */
  onDamaged(files: readonly HeldFile[]): Promise<void>;
}

const START_AFTER_MS = 60_000;
const PASS_EVERY_MS = 86_400_000;
/** So many files between two notes of how far it has come. */
const BATCH = 20;
/** Small files cost more than their bytes. */
const BETWEEN_FILES_MS = 5;
/** Another process that has not noted its progress for so long has stopped. */
const SILENT_MS = 3_600_000;
/** How often a process that has nothing to do looks again. */
const LOOK_AGAIN_MS = 60_000;
const NOTE = 'scrub';

/** How far a pass has come, for all processes on the folder. Times are epoch milliseconds. */
interface ScrubState {
  readonly owner: ProcessIdentity;
  readonly startedAt: number;
  readonly notedAt: number;
  readonly after: { readonly upstream: string; readonly path: string } | null;
  readonly isFinished: boolean;
}

/**
 * The slow pass: reads every held file once in a while, in the order of their keys, and takes out what
 * has rotted. One process of a folder does it; another one goes on where it was killed. Two at once
 * would only read twice.
 */
export class Scrub {
  readonly #store: FilesOfStore;
  readonly #options: ScrubOptions;
  readonly #env: ScrubSurroundings;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(store: FilesOfStore, options: ScrubOptions, env: ScrubSurroundings) {
    this.#store = store;
    this.#options = options;
    this.#env = env;
  }

  /** Begins, after a while. */
  start(): void {
    this.#running = this.#run();
  }

  /** Ends it; the next server goes on from there. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    await sleep(this.#options.startAfterMs ?? START_AFTER_MS, signal);
    while (!signal.aborted) {
      try {
        if (!(await this.#step())) await sleep(LOOK_AGAIN_MS, signal);
      } catch (error) {
        this.#env.log.warn('looking for damage failed', { reason: messageOf(error) });
        await sleep(LOOK_AGAIN_MS, signal);
      }
    }
  }

  /** One batch. Resolves with whether there was anything to do. */
  async #step(): Promise<boolean> {
    const now = this.#env.clock.now();
    const state = this.#read();
    if (state !== undefined && isElsewhere(state, now)) return false;
    const isNewPass = state === undefined || state.isFinished;
    const passEveryMs = this.#options.passEveryMs ?? PASS_EVERY_MS;
    if (state?.isFinished === true && now - state.startedAt < passEveryMs) return false;
    const startedAt = isNewPass ? now : state.startedAt;
    const after = isNewPass ? null : state.after;
    const batch = this.#store.catalog.holdings.filesAfter(after, BATCH);
    await this.#lookAt(batch);
    const last = batch.at(-1);
    await this.#write({
      owner: thisProcess(),
      startedAt,
      notedAt: this.#env.clock.now(),
      after: last === undefined ? null : { upstream: last.upstream, path: last.path },
      isFinished: last === undefined,
    });
    return last !== undefined;
  }

  async #lookAt(files: readonly HeldFile[]): Promise<void> {
    const { layout, catalog } = this.#store;
    const { signal } = this.#stop;
    const damaged: HeldFile[] = [];
    for (const file of files) {
      if (signal.aborted) break;
      const { bytesPerSecond } = this.#options;
      const { damage } = await lookAtFile(layout, file, { digest: true, bytesPerSecond, signal });
      await sleep(BETWEEN_FILES_MS, signal);
      if (damage === null || damage.problem === 'wrong-mode') continue;
      const row = catalog.findFile(file.upstream, file.path);
      if (row?.sha256 !== file.sha256 || row.mtimeMs !== file.mtimeMs) continue;
      this.#env.log.warn('a held file was damaged; it is left out', {
        path: file.path,
        problem: damage.problem,
        detail: damage.detail,
      });
      damaged.push(file);
    }
    if (damaged.length === 0) return;
    await takeOut(this.#store, damaged);
    catalog.count('damaged_files', damaged.length);
    await this.#env.onDamaged(damaged);
  }

  #read(): ScrubState | undefined {
    const text = this.#store.catalog.note(NOTE);
    return text === undefined ? undefined : (JSON.parse(text) as ScrubState);
  }

  async #write(state: ScrubState): Promise<void> {
    await this.#store.catalog.setNote(NOTE, JSON.stringify(state));
  }
}

/** Whether another living process is at it. */
function isElsewhere(state: ScrubState, now: number): boolean {
  if (state.isFinished || state.owner.pid === process.pid) return false;
  return now - state.notedAt < SILENT_MS && !isProvablyDead(state.owner);
}
