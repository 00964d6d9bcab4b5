import { renameSync, statSync, statfsSync } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import {
  IntegrityError,
  InvalidUpstreamAnswerError,
  StorageError,
  UpstreamUnavailableError,
  UpstreamUnreachableError,
  codeOf,
  messageOf,
} from '../../core/errors.ts';
import { backoffMs, sleep } from '../../core/sleep.ts';
import { writeFully } from '../atomic-file.ts';
import { hasReadableEnd } from './archive-end.ts';
import type { FillRequest, SourceAnswer } from './byte-source.ts';
import { DataFile } from './data-file.ts';
import {
  newDataFileName,
  newNonce,
  readFillState,
  removeFillState,
  writeFillState,
} from './fill-state.ts';
import type { FillPhase, FillState } from './fill-state.ts';
import { describeError } from './fill-error.ts';
import type { FillEnvironment } from './fill-environment.ts';
import { isProvablyDead, thisProcess } from './process-identity.ts';
import type { FillProgress } from './progress.ts';
import { publish } from './publish.ts';
import { Verifier } from './verifier.ts';

/** Below this a copy of somebody else's partial costs more than it saves. */
const WORTH_COPYING_BYTES = 256 * 1024;
/** Only so much progress makes up for earlier breaks: an upstream that always halves would be asked for ever. */
const REAL_PROGRESS_BYTES = 256 * 1024;
const MOST_ROUNDS = 40;

/** How an ownership ended, when not by an error: `lost` to another process, or `left` because we are stopping. */
export type OwnerEnd = 'stored' | 'lost' | 'left';

/**
 * One ownership of one fill: claim or begin the data file, receive, verify, publish.
 *
 * One owner ever writes one inode. The partial of an owner that is provably dead is claimed by
 * renaming it, which succeeds for one claimant only; of any other it is copied. All errors are noted
 * for followers in other processes before they are thrown.
 */
export class Owner {
  readonly #env: FillEnvironment;
  readonly #request: FillRequest;
  readonly #key: string;
  readonly #progress: FillProgress;
  readonly #nonce = newNonce();
  readonly #verifier: Verifier;
  readonly #lost = new AbortController();
  readonly #signal: AbortSignal;
  readonly #stop: AbortSignal;
  #epoch = 1;
  #dataFile = '';
  #handle: FileHandle | undefined;
  #file: DataFile | undefined;
  #position = 0;
  #isComplete = false;
  #totalBytes: number | null = null;
  #etag: string | null = null;

  constructor(
    env: FillEnvironment,
    request: FillRequest,
    key: string,
    progress: FillProgress,
    stop: AbortSignal,
  ) {
    this.#env = env;
    this.#request = request;
    this.#key = key;
    this.#progress = progress;
    this.#verifier = new Verifier(request.hashes);
    this.#stop = stop;
    this.#signal = AbortSignal.any([stop, this.#lost.signal]);
  }

  /** Called when another process took the lock because this one was stopped: it may be at work. */
  lose(): void {
    this.#lost.abort();
  }

  /** @throws whatever ended the fill, after noting it for followers. */
  async run(): Promise<OwnerEnd> {
    try {
      await this.#begin();
      await this.#receive();
      await this.#judge();
      await this.#publish();
      return 'stored';
    } catch (thrown) {
      return await this.#end(thrown);
    } finally {
      this.#file?.release();
      await this.#handle?.close().catch(() => {});
    }
  }

  // ---- the data file --------------------------------------------------------------------------

  async #begin(): Promise<void> {
    await this.#storing(async () => {
      const previous = readFillState(this.#env.layout, this.#key);
      this.#epoch = (previous?.epoch ?? 0) + 1;
      this.#dataFile = newDataFileName(this.#key, this.#epoch);
      this.#totalBytes = this.#request.sizeBytes;
      this.#checkRoom();
      if (
        previous === undefined ||
        previous.phase === 'failed' ||
        !(await this.#continueFrom(previous))
      ) {
        this.#handle = await open(this.#path, 'wx+', 0o600);
        this.#note('connecting');
      }
      if (this.#position === 0) this.#etag = null;
      this.#progress.setTotal(this.#totalBytes);
      this.#file = this.#progress.show(openOwn(this.#path)).hold();
      if (!this.#isComplete) this.#file.advance(this.#position);
    });
  }

  /** Takes over what an earlier owner has fetched. `false`: begin from nothing. */
  async #continueFrom(previous: FillState): Promise<boolean> {
    const theirs = join(this.#env.layout.partialDir, previous.dataFile);
    if (previous.phase === 'left' || isProvablyDead(previous.owner)) {
      try {
        renameSync(theirs, this.#path);
      } catch {
        return false;
      }
      // Read-only for its owner means: it was verified and only the publication is missing.
      this.#isComplete = (statSync(this.#path).mode & 0o200) === 0;
      this.#takeWord(previous);
      this.#handle = await open(this.#path, this.#isComplete ? 'r' : 'r+');
      await this.#digestWhatIsThere(this.#open, null);
    } else {
      const source = await open(theirs, 'r').catch(() => undefined);
      if (source === undefined) return false;
      try {
        if ((await source.stat()).size < WORTH_COPYING_BYTES) return false;
        this.#takeWord(previous);
        this.#handle = await open(this.#path, 'wx+', 0o600);
        await this.#digestWhatIsThere(source, this.#open);
      } finally {
        await source.close();
      }
    }
    return true;
  }

  /** Leaves our note before the digesting, which takes seconds: a sweep removes data that no note names. */
  #takeWord(previous: FillState): void {
    this.#totalBytes = previous.totalBytes ?? this.#totalBytes;
    this.#etag = previous.etag;
    this.#note('connecting');
  }

  async #digestWhatIsThere(from: FileHandle, copyTo: FileHandle | null): Promise<void> {
    const buffer = Buffer.allocUnsafe(1 << 20);
    for (;;) {
      const { bytesRead } = await from.read(buffer, 0, buffer.length, this.#position);
      if (bytesRead === 0) return;
      const bytes = buffer.subarray(0, bytesRead);
      this.#verifier.update(bytes);
      if (copyTo !== null) await writeFully(copyTo, bytes, this.#position);
      this.#position += bytesRead;
    }
  }

  #checkRoom(): void {
    const { bavail, bsize } = statfsSync(this.#env.layout.partialDir);
    const left = bavail * bsize - (this.#totalBytes ?? 0);
    if (left >= this.#env.reserveBytes) return;
    throw new StorageError(
      `Storing ${this.#request.filename} would leave less than the reserve of ${this.#env.reserveBytes} bytes free on the disk.`,
      { hint: 'Free some space, or lower cache.reserve or cache.max_size.' },
    );
  }

  // ---- the bytes ------------------------------------------------------------------------------

  async #receive(): Promise<void> {
    let breaks = 0;
    let sinceProgress = this.#position;
    for (let round = 0; !this.#isComplete; round++) {
      try {
        await this.#receiveOnce();
      } catch (error) {
        if (this.#signal.aborted) throw error;
        if (this.#position - sinceProgress >= REAL_PROGRESS_BYTES) {
          breaks = 0;
          sinceProgress = this.#position;
        }
        if (!this.#mayRetry(error) || ++breaks > this.#env.retries || round >= MOST_ROUNDS)
          throw error;
        this.#env.log.debug('fill resumes after a break', {
          filename: this.#request.filename,
          positionBytes: this.#position,
          reason: messageOf(error),
        });
        await sleep(backoffMs(breaks, 100, 2_000), this.#signal);
      }
    }
  }

  #mayRetry(error: unknown): boolean {
    if (error instanceof UpstreamUnreachableError) return this.#position > 0;
    if (error instanceof UpstreamUnavailableError) return true;
    // What answered with a body a moment ago may answer with nonsense while it restarts.
    return error instanceof InvalidUpstreamAnswerError && this.#position > 0;
  }

  /** One request: until the end of the file, or an error. */
  async #receiveOnce(): Promise<void> {
    const from = this.#position;
    if (this.#totalBytes !== null && from > this.#totalBytes) {
      throw new IntegrityError(
        `What is left of ${this.#request.filename} is longer than the file.`,
      );
    }
    if (this.#totalBytes !== null && from === this.#totalBytes && from > 0) {
      this.#isComplete = true;
      return;
    }
    const answer = await this.#request.source.open({
      offset: from,
      ...(from > 0 && this.#etag !== null ? { ifRange: this.#etag } : {}),
      signal: this.#signal,
    });
    try {
      if (answer.kind === 'beyond-end') return this.#acceptEnd();
      if (answer.kind === 'part' && answer.offset !== from) {
        throw new InvalidUpstreamAnswerError(
          `Asked for bytes from ${from}, the upstream sent them from ${answer.offset}.`,
        );
      }
      this.#learn(answer);
      await this.#store(answer, answer.kind === 'whole' ? 0 : from);
    } finally {
      answer.cancel();
    }
    this.#cleanEnd();
  }

  #learn(answer: SourceAnswer): void {
    const { totalBytes } = answer;
    const expected = this.#request.sizeBytes ?? this.#totalBytes;
    if (totalBytes !== null && expected !== null && totalBytes !== expected) {
      throw new IntegrityError(
        `${this.#request.filename} is listed with ${expected} bytes, the upstream offers ${totalBytes}.`,
      );
    }
    const isNews = this.#totalBytes !== totalBytes || this.#etag !== answer.etag;
    this.#totalBytes ??= totalBytes;
    this.#etag = answer.etag;
    this.#progress.setTotal(this.#totalBytes);
    if (isNews || this.#position === 0) this.#note('filling');
  }

  async #store(answer: SourceAnswer, start: number): Promise<void> {
    const most = this.#totalBytes ?? this.#request.maxBytes;
    let at = start;
    for await (const chunk of answer.body) {
      let bytes = chunk;
      if (at < this.#position) {
        // A whole answer to a resumed request: what is here already must be the same.
        const known = bytes.subarray(0, this.#position - at);
        if (!(await this.#data.read(at, known.length)).equals(known)) {
          throw new IntegrityError(
            `${this.#request.filename} changed at the upstream while it was fetched.`,
          );
        }
        at += known.length;
        bytes = bytes.subarray(known.length);
      }
      if (bytes.length === 0) continue;
      if (this.#signal.aborted) throw new UpstreamUnavailableError('The fill was stopped.');
      if (at + bytes.length > most) {
        throw new IntegrityError(
          `${this.#request.filename} is longer than the ${most} bytes that were announced.`,
        );
      }
      this.#verifier.update(bytes);
      await this.#storing(() => writeFully(this.#open, bytes, at));
      at += bytes.length;
      this.#position = at;
      this.#data.advance(at);
      this.#progress.wake();
    }
  }

  /** The body ended without an error: the end of the file, or a cut that looks like one. */
  #cleanEnd(): void {
    if (this.#totalBytes !== null) {
      if (this.#position >= this.#totalBytes) this.#isComplete = true;
      else
        throw new UpstreamUnavailableError(
          `The body ended after ${this.#position} of ${this.#totalBytes} bytes.`,
        );
    } else if (this.#verifier.hasDigest && !this.#verifier.matchesSoFar()) {
      // Ask once for what may follow: 416 says that this was all.
      throw new UpstreamUnavailableError(
        `The body ended after ${this.#position} bytes, which are not the listed file.`,
      );
    } else this.#isComplete = true;
  }

  #acceptEnd(): void {
    if (this.#totalBytes !== null && this.#position !== this.#totalBytes) {
      throw new InvalidUpstreamAnswerError(
        `The upstream says that ${this.#request.filename} ends before byte ${this.#position} of ${this.#totalBytes}.`,
      );
    }
    this.#isComplete = true;
  }

  // ---- the verdict ----------------------------------------------------------------------------

  async #judge(): Promise<void> {
    const { filename, sizeBytes } = this.#request;
    const mismatch = this.#verifier.mismatch();
    if (mismatch !== null) throw new IntegrityError(`${filename}: its ${mismatch}.`);
    if (this.#verifier.hasDigest) return;
    if (sizeBytes !== null && sizeBytes !== this.#position) {
      throw new IntegrityError(
        `${filename} has ${this.#position} bytes, but the index lists ${sizeBytes}.`,
      );
    }
    if (!(await hasReadableEnd(this.#path, filename))) {
      throw new IntegrityError(
        `${filename} has no listed digest, and its end is not that of a whole archive.`,
      );
    }
    await this.#request.confirm?.(this.#verifier.sha256, this.#position);
  }

  async #publish(): Promise<void> {
    await this.#storing(async () => {
      // From here on readers get the tail: the cleared owner-write bit tells every process.
      await this.#open.chmod(0o444);
      this.#data.advance(this.#position, 'verified');
      this.#progress.wake();
      await this.#open.datasync();
      await publish(this.#env, this.#request, this.#path, this.#verifier.sha256, this.#position);
      await rm(this.#path, { force: true });
      removeFillState(this.#env.layout, this.#key, this.#nonce);
    });
  }

  // ---- the end --------------------------------------------------------------------------------

  async #end(thrown: unknown): Promise<OwnerEnd> {
    if (this.#stop.aborted && this.#position > 0 && !this.#lost.signal.aborted) {
      this.#note('left');
      return 'left';
    }
    // Readers stop here: nothing more of these bytes shall leave.
    if (this.#file?.state === 'growing') this.#file.advance(this.#position, 'dead');
    if (this.#lost.signal.aborted) {
      if (this.#dataFile !== '') await rm(this.#path, { force: true });
      return 'lost';
    }
    const isVerified = this.#file?.state === 'verified';
    try {
      if (this.#stop.aborted || isVerified)
        removeFillState(this.#env.layout, this.#key, this.#nonce);
      else this.#note('failed', thrown);
      if (this.#dataFile !== '') await rm(this.#path, { force: true });
    } catch (error) {
      this.#env.log.debug('a failed fill could not be noted', { reason: messageOf(error) });
    }
    if (this.#stop.aborted) return 'left';
    throw thrown;
  }

  #note(phase: FillPhase, thrown?: unknown): void {
    writeFillState(this.#env.layout, this.#key, {
      phase,
      epoch: this.#epoch,
      nonce: this.#nonce,
      owner: thisProcess(),
      dataFile: this.#dataFile,
      totalBytes: this.#totalBytes,
      etag: this.#etag,
      error: thrown === undefined ? null : describeError(thrown),
    });
  }

  get #open(): FileHandle {
    if (this.#handle === undefined) throw new StorageError('The data file is not open yet.');
    return this.#handle;
  }

  get #data(): DataFile {
    if (this.#file === undefined) throw new StorageError('The data file is not open yet.');
    return this.#file;
  }

  get #path(): string {
    return join(this.#env.layout.partialDir, this.#dataFile);
  }

  /** Marks every failure of the disk as such: readers then get the bytes past it. */
  async #storing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const code = codeOf(error);
      if (code === undefined || !/^(E[A-Z0-9]+|SQLITE_.*)$/.test(code)) throw error;
      throw new StorageError(`${this.#request.filename} cannot be stored: ${code}.`, {
        cause: error,
        hint:
          code === 'ENOSPC' || code === 'EDQUOT'
            ? 'The disk is full: free some space.'
            : 'Look at the cache folder and its disk.',
      });
    }
  }
}

function openOwn(path: string): DataFile {
  const file = DataFile.open(path);
  if (file === undefined) throw new StorageError(`${path} vanished while it was begun.`);
  return file;
}
