import { renameSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { IntegrityError, StorageError, messageOf } from '../../core/errors.ts';
import { removeFile, writeFully } from '../atomic-file.ts';
import { hasReadableEnd } from './archive-end.ts';
import type { FillRequest } from './byte-source.ts';
import { DataFile } from './data-file.ts';
import { checkRoom } from './disk-room.ts';
import { FillBody, storing } from './fill-body.ts';
import type { FillEnvironment } from './fill-environment.ts';
import { describeError } from './fill-error.ts';
import { FillNote } from './fill-note.ts';
import {
  isForsaken,
  newDataFileName,
  newNonce,
  readFillState,
  removeFillState,
} from './fill-state.ts';
import type { FillPhase, FillState } from './fill-state.ts';
import { thisProcess } from './process-identity.ts';
import type { FillProgress } from './progress.ts';
import { publish } from './publish.ts';
import { receive } from './receive.ts';

/** Below this a copy of somebody else's partial costs more than it saves. */
const WORTH_COPYING_BYTES = 256 * 1024;

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
  readonly #body: FillBody;
  readonly #notes: FillNote;
  readonly #lost = new AbortController();
  readonly #signal: AbortSignal;
  readonly #stop: AbortSignal;
  #epoch = 1;
  #dataFile = '';
  #adoptedBytes = 0;

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
    this.#body = new FillBody(request);
    this.#notes = new FillNote(env.layout, key);
    this.#stop = stop;
    this.#signal = AbortSignal.any([stop, this.#lost.signal]);
  }

  /** Bytes that came from an earlier owner: when they are wrong, the upstream need not be. */
  get adoptedBytes(): number {
    return this.#adoptedBytes;
  }

  /** Called when another process took the lock because this one was stopped: it may be at work. */
  lose(): void {
    this.#lost.abort();
  }

  /** @throws whatever ended the fill, after noting it for followers. */
  async run(): Promise<OwnerEnd> {
    try {
      await storing(this.#request.filename, () => this.#begin());
      await receive({
        env: this.#env,
        request: this.#request,
        body: this.#body,
        progress: this.#progress,
        signal: this.#signal,
        onLearned: () => this.#note('filling'),
      });
      await this.#judge();
      await storing(this.#request.filename, () => this.#publish());
      return 'stored';
    } catch (thrown) {
      return await this.#end(thrown);
    } finally {
      this.#notes.close();
      await this.#body.close();
    }
  }

  // ---- the data file --------------------------------------------------------------------------

  async #begin(): Promise<void> {
    const body = this.#body;
    const previous = readFillState(this.#env.layout, this.#key);
    this.#epoch = (previous?.epoch ?? 0) + 1;
    this.#dataFile = newDataFileName(this.#key, this.#epoch);
    checkRoom(this.#env, this.#request, body.totalBytes ?? 0);
    const hasFailed = previous === undefined || previous.phase === 'failed';
    if (hasFailed || !(await this.#continueFrom(previous))) {
      body.handle = await open(this.#path, 'wx+', 0o600);
      this.#note('connecting');
    }
    this.#adoptedBytes = body.position;
    this.#progress.setTotal(body.totalBytes);
    body.file = this.#progress.show(openOwn(this.#path)).hold();
    body.file.advance(body.position);
  }

  /** Takes over what an earlier owner has fetched. `false`: begin from nothing. */
  async #continueFrom(previous: FillState): Promise<boolean> {
    const theirs = join(this.#env.layout.partialDir, previous.dataFile);
    if (isForsaken(previous)) {
      return await this.#claim(theirs, previous);
    }
    return await this.#copy(theirs, previous);
  }

  /** By renaming: of all that try, one succeeds. */
  async #claim(theirs: string, previous: FillState): Promise<boolean> {
    try {
      renameSync(theirs, this.#path);
    } catch {
      return false;
    }
    const body = this.#body;
    body.handle = await open(this.#path, 'r').then((handle) => this.#madeWritable(handle));
    this.#takeWord(previous);
    await this.#digestWhatIsThere(body.handle, null);
    return true;
  }

  /**
   * Read-only for its owner means that it was verified and only the publication is missing. The digest is
   * taken once more all the same (after a loss of power a mode can be newer than its bytes), and until
   * it holds nobody shall take the file for verified.
   */
  async #madeWritable(reading: FileHandle): Promise<FileHandle> {
    try {
      this.#body.isComplete = ((await reading.stat()).mode & 0o200) === 0;
      if (this.#body.isComplete) await reading.chmod(0o600);
    } finally {
      await reading.close();
    }
    return await open(this.#path, 'r+');
  }

  /** Of an owner that may be alive: never a byte is written to its inode. */
  async #copy(theirs: string, previous: FillState): Promise<boolean> {
    const source = await open(theirs, 'r').catch(() => undefined);
    if (source === undefined) return false;
    try {
      if ((await source.stat()).size < WORTH_COPYING_BYTES) return false;
      this.#body.handle = await open(this.#path, 'wx+', 0o600);
      this.#takeWord(previous);
      await this.#digestWhatIsThere(source, this.#body.handle);
    } finally {
      await source.close();
    }
    return true;
  }

  /** Leaves our note before the digesting, which takes seconds: a sweep removes data that no note names. */
  #takeWord(previous: FillState): void {
    this.#body.totalBytes ??= previous.totalBytes;
    this.#body.etag = previous.etag;
    this.#note('connecting');
  }

  async #digestWhatIsThere(from: FileHandle, copyTo: FileHandle | null): Promise<void> {
    const body = this.#body;
    const buffer = Buffer.allocUnsafe(1 << 20);
    while (!this.#signal.aborted) {
      const { bytesRead } = await from.read(buffer, 0, buffer.length, body.position);
      if (bytesRead === 0) return;
      const bytes = buffer.subarray(0, bytesRead);
      body.verifier.update(bytes);
      if (copyTo !== null) await writeFully(copyTo, bytes, body.position);
      body.position += bytesRead;
    }
  }

  // ---- the verdict ----------------------------------------------------------------------------

  async #judge(): Promise<void> {
    const { filename, sizeBytes } = this.#request;
    const { position, verifier } = this.#body;
    const mismatch = verifier.mismatch();
    if (mismatch !== null) throw new IntegrityError(`${filename}: its ${mismatch}.`);
    if (verifier.hasDigest) return;
    if (sizeBytes !== null && sizeBytes !== position) {
      throw new IntegrityError(
        `${filename} has ${position} bytes, but the index lists ${sizeBytes}.`,
      );
    }
    if (!(await hasReadableEnd(this.#path, filename))) {
      throw new IntegrityError(
        `${filename} has no listed digest, and its end is not that of a whole archive.`,
      );
    }
    await this.#request.confirm?.(verifier.sha256, position);
  }

  async #publish(): Promise<void> {
    const { file, handle, position, verifier } = this.#body;
    // From here on readers get the tail: the cleared owner-write bit tells every process.
    await handle.chmod(0o444);
    file.advance(position, 'verified');
    this.#progress.wake();
    await handle.datasync();
    await publish(this.#env, this.#request, this.#path, verifier.sha256, position);
    await removeFile(this.#path);
    removeFillState(this.#env.layout, this.#key, this.#nonce);
  }

  // ---- the end --------------------------------------------------------------------------------

  async #end(thrown: unknown): Promise<OwnerEnd> {
    const body = this.#body;
    const isVerified = body.isShown && body.file.state === 'verified';
    const isLost = this.#lost.signal.aborted && !isVerified;
    if (this.#stop.aborted && !isLost && body.position > 0 && this.#noteLeft()) return 'left';
    // Nobody else is at it: the lock was removed or touched. Whoever is next goes on from here.
    if (isLost && body.position > 0 && this.#isNoted() && this.#noteLeft()) return 'lost';
    // Readers stop here: nothing more of these bytes shall leave.
    if (body.isShown && !isVerified) body.file.advance(body.position, 'dead');
    try {
      // Wrong bytes of an earlier owner are no failure that others should hear of: a fresh fill follows.
      const isAdopted = thrown instanceof IntegrityError && this.#adoptedBytes > 0;
      if (this.#stop.aborted || isVerified || isLost || isAdopted) {
        removeFillState(this.#env.layout, this.#key, this.#nonce);
      } else this.#note('failed', thrown);
    } catch (error) {
      this.#env.log.debug('a failed fill could not be noted', { reason: messageOf(error) });
    }
    if (this.#dataFile !== '') await removeFile(this.#path).catch(() => {});
    if (isLost) return 'lost';
    if (this.#stop.aborted) return 'left';
    throw thrown;
  }

  /** Whether the note is still ours: another owner would have left its own. */
  #isNoted(): boolean {
    return readFillState(this.#env.layout, this.#key)?.nonce === this.#nonce;
  }

  /** Whether the note could be left that lets anybody go on with these bytes. */
  #noteLeft(): boolean {
    try {
      this.#note('left');
      return true;
    } catch {
      return false;
    }
  }

  #note(phase: FillPhase, thrown?: unknown): void {
    const { upstream, path } = this.#request;
    this.#notes.write({
      phase,
      epoch: this.#epoch,
      nonce: this.#nonce,
      owner: thisProcess(),
      file: { upstream, path },
      dataFile: this.#dataFile,
      totalBytes: this.#body.totalBytes,
      etag: this.#body.etag,
      error: thrown === undefined ? null : describeError(thrown),
    });
  }

  get #path(): string {
    return join(this.#env.layout.partialDir, this.#dataFile);
  }
}

function openOwn(path: string): DataFile {
  const file = DataFile.open(path);
  if (file === undefined) throw new StorageError(`${path} vanished while it was begun.`);
  return file;
}
