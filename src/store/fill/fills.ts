import { BusyError, IntegrityError, messageOf } from '../../core/errors.ts';
import { sleep } from '../../core/sleep.ts';
import type { HeldFile } from '../catalog.ts';
import { fillKey } from '../layout.ts';
import type { FillRequest } from './byte-source.ts';
import { DataFile } from './data-file.ts';
import type { FillEnvironment } from './fill-environment.ts';
import type { FillLock } from './fill-lock.ts';
import { Follower } from './follower.ts';
import { Owner } from './owner.ts';
import { FillProgress } from './progress.ts';
import { adoptPublished } from './publish.ts';

/** A fill under way, as its readers see it. */
export interface Fill {
  readonly request: FillRequest;
  readonly progress: FillProgress;
  /** Resolves with the held file, or rejects with what ended the fill. */
  readonly done: Promise<HeldFile>;
}

/** Wrong bytes are fetched afresh this often; an upstream that lies twice is believed to lie. */
const FRESH_ATTEMPTS = 1;

/**
 * One upstream fetch for any number of readers in any number of processes.
 *
 * Per (upstream, path) this process runs one drive: row there? → lock → row again → own, or follow
 * whoever owns; when the owner ends, fails or dies, round again. Locks only save traffic: whoever goes
 * on without one writes its own inode, and the row decides. Readers look at `progress`.
 */
export class Fills {
  readonly #env: FillEnvironment;
  readonly #underWay = new Map<string, Fill>();
  readonly #stop = new AbortController();

  constructor(env: FillEnvironment) {
    this.#env = env;
  }

  /** Number of fills that this process drives or follows. */
  get size(): number {
    return this.#underWay.size;
  }

  /** The fill of this file, begun if there is none. It goes on when its readers leave. */
  fetch(request: FillRequest): Fill {
    const key = fillKey(request.upstream, request.path);
    const present = this.#underWay.get(key);
    if (present !== undefined) return present;
    const progress = new FillProgress();
    // In the map before the drive starts: whoever asks from here on shares it.
    const fill: { -readonly [K in keyof Fill]: Fill[K] } = {
      request,
      progress,
      done: undefined as never,
    };
    this.#underWay.set(key, fill);
    fill.done = this.#drive(request, key, progress)
      .catch((error: unknown) => {
        progress.fail(error);
        throw error;
      })
      .finally(() => {
        this.#underWay.delete(key);
        progress.letGo();
      });
    fill.done.catch(() => {});
    return fill;
  }

  /** The fill under way for this path, if any. */
  find(upstream: string, path: string): Fill | undefined {
    return this.#underWay.get(fillKey(upstream, path));
  }

  /** Gives fills `graceMs` to finish, then leaves the others resumable. */
  async stop(graceMs: number): Promise<void> {
    const all = Promise.allSettled([...this.#underWay.values()].map((fill) => fill.done));
    const timer = new AbortController();
    await Promise.race([all, sleep(graceMs, timer.signal)]);
    timer.abort();
    this.#stop.abort();
    await Promise.allSettled([...this.#underWay.values()].map((fill) => fill.done));
  }

  async #drive(request: FillRequest, key: string, progress: FillProgress): Promise<HeldFile> {
    const follower = new Follower(this.#env, request, key, progress);
    let mayOwnWithoutLock = false;
    let wrong = 0;
    for (;;) {
      try {
        const held: HeldFile | undefined =
          this.#held(request) ??
          (await this.#own(request, key, progress, mayOwnWithoutLock)) ??
          (await this.#follow(follower, () => (mayOwnWithoutLock = true)));
        mayOwnWithoutLock &&= held === undefined;
        if (held !== undefined) return this.#finish(held, progress);
      } catch (error) {
        if (!(error instanceof IntegrityError) || wrong++ >= FRESH_ATTEMPTS) throw error;
        mayOwnWithoutLock = false;
        this.#env.log.warn('upstream sent wrong bytes; fetching afresh', {
          filename: request.filename,
          upstream: request.upstream,
          reason: messageOf(error),
        });
      }
    }
  }

  #held(request: FillRequest): HeldFile | undefined {
    return this.#env.catalog.findFile(request.upstream, request.path);
  }

  /** Owns the fill if the lock can be had (or is not needed). `undefined`: somebody else is at it. */
  async #own(
    request: FillRequest,
    key: string,
    progress: FillProgress,
    withoutLock: boolean,
  ): Promise<HeldFile | undefined> {
    this.#throwIfStopping();
    const owner = new Owner(this.#env, request, key, progress, this.#stop.signal);
    let lock: FillLock | undefined;
    if (!withoutLock) {
      lock = await this.#env.tryLock(this.#env.layout, key, () => owner.lose());
      if (lock === undefined) return undefined;
    }
    try {
      const returned =
        this.#held(request) ?? (await this.#env.catalog.returnFile(request.upstream, request.path));
      if (returned !== undefined) return returned;
      await adoptPublished(this.#env, request);
      const adopted = this.#held(request);
      if (adopted !== undefined) return adopted;
      const end = await owner.run();
      if (end === 'left') this.#throwIfStopping();
      return this.#held(request);
    } finally {
      await lock?.release();
    }
  }

  async #follow(follower: Follower, ownWithoutLock: () => void): Promise<HeldFile | undefined> {
    const end = await follower.run(this.#stop.signal);
    if (end.kind === 'failed') throw end.error;
    if (end.kind === 'stopped') this.#throwIfStopping();
    if (end.kind === 'go-on') ownWithoutLock();
    return undefined;
  }

  /** Lets readers that have no data file yet (the row was there already) read the published one. */
  #finish(held: HeldFile, progress: FillProgress): HeldFile {
    if (!progress.isVerified) {
      const file = DataFile.open(this.#env.layout.fileAt(held.path));
      if (file !== undefined) {
        file.advance(held.sizeBytes, 'verified');
        progress.show(file);
      }
    }
    return held;
  }

  #throwIfStopping(): void {
    if (this.#stop.signal.aborted)
      throw new BusyError('Wheelcellar is stopping.', { hint: 'Try again in a moment.' });
  }
}
