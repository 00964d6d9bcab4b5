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

/** Whoever loses its lock so often (something touches it over and over) goes on without. */
const LOSSES = 2;

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
        progress.wake();
        progress.leave();
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
    const drive: Drive = {
      request,
      key,
      progress,
      mayOwnWithoutLock: false,
      wrong: 0,
      losses: 0,
      claims: new Set(),
    };
    const newFollower = (): Follower =>
      new Follower(this.#env, request, key, progress, drive.claims);
    let follower = newFollower();
    for (;;) {
      try {
        const held = await this.#heldOrOwn(drive);
        if (held !== 'busy' && held !== undefined && (await this.#finish(held, progress)))
          return held;
        // After an ownership that was lost, the time without growth begins anew.
        if (held !== 'busy') follower = newFollower();
        else await this.#follow(follower, drive);
      } catch (error) {
        if (!(error instanceof IntegrityError) || drive.wrong > FRESH_ATTEMPTS) throw error;
        this.#env.log.warn('wrong bytes; fetching afresh', {
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

  /**
   * The held file, there already or fetched by an ownership of ours. `busy`: somebody else is at it;
   * `undefined`: the ownership was lost.
   */
  async #heldOrOwn(drive: Drive): Promise<HeldFile | undefined | 'busy'> {
    const present = this.#held(drive.request);
    if (present !== undefined) return present;
    this.#throwIfStopping();
    const owner = new Owner(this.#env, drive.request, drive.key, drive.progress, this.#stop.signal);
    let lock: FillLock | undefined;
    if (!drive.mayOwnWithoutLock) {
      lock = await this.#env.tryLock(this.#env.layout, drive.key, {
        onCompromised: () => owner.lose(),
        claims: drive.claims,
        now: () => this.#env.clock.now(),
      });
      if (lock === undefined) return 'busy';
    }
    drive.mayOwnWithoutLock = false;
    try {
      const there = await this.#alreadyThere(drive.request);
      if (there !== undefined) return there;
      return await this.#own(drive, owner);
    } finally {
      await lock?.release();
    }
  }

  /** The row came while we waited for the lock, or the bytes are on the disk without one. */
  async #alreadyThere(request: FillRequest): Promise<HeldFile | undefined> {
    const present = this.#held(request);
    if (present !== undefined) return present;
    const { catalog, log } = this.#env;
    const returned = await catalog.returnFile(
      request.upstream,
      request.path,
      request.hashes['sha256']?.toLowerCase() ?? null,
    );
    if (returned !== undefined) return returned;
    try {
      await adoptPublished(this.#env, request);
    } catch (error) {
      log.debug('a file in the mirror could not be adopted', { reason: messageOf(error) });
    }
    return this.#held(request);
  }

  async #own(drive: Drive, owner: Owner): Promise<HeldFile | undefined> {
    try {
      const end = await owner.run();
      if (end === 'left') this.#throwIfStopping();
      if (end === 'lost') drive.mayOwnWithoutLock = ++drive.losses >= LOSSES;
      return this.#held(drive.request);
    } catch (error) {
      // Bytes of an earlier owner were wrong: the upstream has not been heard yet.
      if (error instanceof IntegrityError && owner.adoptedBytes === 0) drive.wrong++;
      throw error;
    }
  }

  async #follow(follower: Follower, drive: Drive): Promise<void> {
    const end = await follower.run(this.#stop.signal);
    if (end.kind === 'failed') {
      drive.wrong++;
      throw end.error;
    }
    if (end.kind === 'stopped') this.#throwIfStopping();
    if (end.kind === 'go-on') drive.mayOwnWithoutLock = true;
  }

  /**
   * Lets readers that have no data file yet (the row was there already) read the published one. `false`:
   * its bytes are gone, the row with them; round again.
   */
  async #finish(held: HeldFile, progress: FillProgress): Promise<boolean> {
    if (progress.isVerified) return true;
    const file = DataFile.open(this.#env.layout.fileAt(held.path));
    if (file !== undefined && file.sizeBytes === held.sizeBytes) {
      file.advance(held.sizeBytes, 'verified');
      progress.show(file);
      return true;
    }
    file?.release();
    await this.#env.catalog.forgetFile(held);
    return false;
  }

  #throwIfStopping(): void {
    if (this.#stop.signal.aborted) {
      throw new BusyError('Wheelcellar is stopping.', { hint: 'Try again in a moment.' });
    }
  }
}

/** What one drive remembers from round to round. */
interface Drive {
  readonly request: FillRequest;
  readonly key: string;
  readonly progress: FillProgress;
  /** The wait for the lock was long enough. */
  mayOwnWithoutLock: boolean;
  /** Fetches, here or elsewhere, whose bytes were wrong. */
  wrong: number;
  /** Ownerships that ended because the lock was lost. */
  losses: number;
  /** Ownerships of others whose succession is ours. */
  readonly claims: Set<string>;
}
