import type { DataFile } from './data-file.ts';

/** Readers are woken at once for so many bytes: each waking costs as much as its piece is small. */
const WORTH_WAKING_BYTES = 256 * 1024;

/** For fewer bytes they are woken after this. */
const LATEST_WAKING_MS = 5;

/** What a fill shows to its readers while it runs; written by the owner or the follower of this process. */
export class FillProgress {
  #file: DataFile | null = null;
  #totalBytes: number | null = null;
  #end: { readonly error: unknown } | null = null;
  /** The drive, and every reader that has not taken its hold of a data file yet. */
  #users = 1;
  readonly #waiting = new Set<() => void>();
  #grownToBytes = 0;
  #wokenAtBytes = 0;
  #wakingSoon: NodeJS.Timeout | null = null;

  /** The data file to read now; another one after a change of owner that could not keep the inode. */
  get file(): DataFile | null {
    return this.#file;
  }

  /** Length of the whole file, once somebody knows it. */
  get totalBytes(): number | null {
    if (this.#file?.state === 'verified') return this.#file.sizeBytes;
    return this.#totalBytes;
  }

  /** Set when the fill ended without a verified file. */
  get failure(): { readonly error: unknown } | null {
    return this.#end;
  }

  get isVerified(): boolean {
    return this.#file?.state === 'verified';
  }

  /**
   * Shows `file` from now on and takes over its hold. If the same inode is shown already, that one
   * stays: returns the one that is shown.
   */
  show(file: DataFile): DataFile {
    const present = this.#file;
    if (present !== null && present.inode === file.inode && present.state !== 'dead') {
      file.release();
      return present;
    }
    present?.release();
    this.#file = file;
    this.wake();
    return file;
  }

  /** Tells the length of the whole file. */
  setTotal(totalBytes: number | null): void {
    this.#totalBytes = totalBytes;
  }

  /** Ends the fill for all readers that cannot finish with what they have. */
  fail(error: unknown): void {
    this.#end = { error };
    this.wake();
  }

  /** Tells readers that the file has grown to `sizeBytes`; soon, if it is not much. */
  grown(sizeBytes: number): void {
    this.#grownToBytes = sizeBytes;
    const isFirst = sizeBytes <= WORTH_WAKING_BYTES;
    if (isFirst || sizeBytes - this.#wokenAtBytes >= WORTH_WAKING_BYTES) {
      this.wake();
    } else {
      this.#wakingSoon ??= setTimeout(() => this.wake(), LATEST_WAKING_MS);
    }
  }

  /** Wakes every reader that waits. */
  wake(): void {
    if (this.#wakingSoon !== null) clearTimeout(this.#wakingSoon);
    this.#wakingSoon = null;
    this.#wokenAtBytes = this.#grownToBytes;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resume of waiting) resume();
  }

  /** Resolves at the next change, or when `signal` aborts. */
  changed(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const resume = (): void => {
        signal?.removeEventListener('abort', resume);
        this.#waiting.delete(resume);
        resolve();
      };
      if (signal?.aborted === true) return resume();
      this.#waiting.add(resume);
      signal?.addEventListener('abort', resume, { once: true });
    });
  }

  /** A reader joins: the data file stays until it leaves, also when the fill ends meanwhile. */
  join(): void {
    this.#users++;
  }

  /** The drive or a reader leaves; the last one drops the data file. */
  leave(): void {
    if (--this.#users > 0) return;
    this.#file?.release();
    this.#file = null;
  }
}
