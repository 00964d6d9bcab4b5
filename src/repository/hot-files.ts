import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { Store } from '../store/store.ts';
import type { KeepableFile, ReadableBytes } from './repository.ts';

/** Files up to this size are answered from memory. */
export const SMALL_FILE_BYTES: number = 1024 * 1024;

/** The disk is looked at so often under files that are answered from memory. */
const LOOK_AGAIN_MS = 1_000;

/** Where hot files are found again, and how much of them is kept in memory. */
export interface HotFilesOptions {
  readonly store: Pick<Store, 'held' | 'catalog'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** For the bytes of all small files. */
  readonly memoryBytes: number;
}

/** A file that was answered before, and what its answers say. */
export interface HotFile<Heads> extends KeepableFile {
  readonly heads: Heads;
  /** Monotonic milliseconds of the last look at the disk. */
  lookedAt: number;
}

/**
 * Held files by what requests called them, for a door that asks no catalog. A file is kept until anything
 * of its project changes, in this process or (a poll later) in another, or until it is not the very file
 * on the disk any more. Small ones are kept with their bytes, whose digest was taken here.
 */
export class HotFiles<Heads> {
  readonly #options: HotFilesOptions;
  readonly #files: LRUCache<string, HotFile<Heads>>;
  readonly #targetsOf = new Map<ProjectName, Set<string>>();
  /** By sha256: whatever happens to a row, bytes under a digest stay what they are. */
  readonly #bodies: LRUCache<string, Buffer>;
  #changes = 0;

  constructor(options: HotFilesOptions) {
    this.#options = options;
    this.#files = new LRUCache({
      max: 20_000,
      dispose: ({ file }, target) => this.#targetsOf.get(file.project)?.delete(target),
    });
    this.#bodies = new LRUCache({
      maxSize: Math.max(1, options.memoryBytes),
      sizeCalculation: (body) => body.length + 200,
    });
  }

  /** Counts changes. A file that was found before a change must not be kept after it. */
  get changes(): number {
    return this.#changes;
  }

  /** The file that a request target was answered with. */
  find(target: string): HotFile<Heads> | undefined {
    return this.#files.get(target);
  }

  /**
   * Keeps a file for requests with the same target.
   *
   * @param changesBefore `changes` from before the file was asked for
   */
  keep(target: string, { file, inode }: KeepableFile, heads: Heads, changesBefore: number): void {
    if (changesBefore !== this.#changes) return;
    const lookedAt = this.#options.clock.monotonic();
    this.#files.set(target, { file, inode, heads, lookedAt });
    const targets = this.#targetsOf.get(file.project) ?? new Set();
    this.#targetsOf.set(file.project, targets.add(target));
  }

  /** Forgets the project's files. */
  changed(project: ProjectName): void {
    this.#changes++;
    for (const target of this.#targetsOf.get(project) ?? []) this.#files.delete(target);
    this.#targetsOf.delete(project);
  }

  /** The bytes of a small file, if they are at hand. */
  body({ file }: KeepableFile): Buffer | undefined {
    return this.#bodies.get(file.sha256);
  }

  /** Whether the file is still the one on the disk; looks once a second at most, unless asked to look now. */
  isInPlace(hot: HotFile<Heads>, isUrgent = false): boolean {
    const now = this.#options.clock.monotonic();
    if (!isUrgent && now - hot.lookedAt < LOOK_AGAIN_MS) return true;
    hot.lookedAt = now;
    return this.#options.store.held.isInPlace(hot.file, hot.inode);
  }

  /** The file, open; `undefined` when it is not the same any more. */
  open({ file, inode }: KeepableFile): ReadableBytes | undefined {
    return this.#options.store.held.openNow(file, inode);
  }

  /** Forgets under this target. */
  drop(target: string): void {
    this.#files.delete(target);
  }

  /**
   * Reads a small file into memory. Calls back with its bytes, or with `undefined` when they could not be
   * read or are not what they should be; the file is then not held any more.
   */
  load(hot: HotFile<Heads>, bytes: ReadableBytes, done: (body: Buffer | undefined) => void): void {
    const { file } = hot;
    const body = Buffer.allocUnsafeSlow(file.sizeBytes);
    bytes.readInto(body, body.length, 0, (error, bytesRead) => {
      bytes.close();
      if (error !== null || bytesRead < body.length) return done(undefined);
      if (createHash('sha256').update(body).digest('hex') === file.sha256) {
        this.#bodies.set(file.sha256, body);
        return done(body);
      }
      // The row first: whoever asks next must not find it.
      this.#options.store.held
        .damaged(file)
        .catch((reason: unknown) =>
          this.#options.log.warn('a damaged file could not be forgotten', {
            path: file.path,
            reason: messageOf(reason),
          }),
        )
        .finally(() => done(undefined));
    });
  }

  /** Counts a use of the file, as every other door does. */
  noteUse({ file }: KeepableFile): void {
    this.#options.store.catalog.noteUse(file);
  }
}
