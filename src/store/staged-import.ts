import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BusyError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { temporaryName, writeFully } from './atomic-file.ts';
import type { Catalog } from './catalog.ts';
import { publishFile } from './fill/publish.ts';
import { tryFolderLock } from './folder-lock.ts';
import type { FolderLock } from './folder-lock.ts';
import type { HeldFile } from './held-file.ts';
import type { Layout } from './layout.ts';

/** What a staged import works on. */
interface Place {
  readonly layout: Layout;
  readonly catalog: Catalog;
  readonly log: Logger;
}

/**
 * Files from elsewhere on their way into the mirror: their bytes gather in `state-v1/imports/`, which nobody
 * serves or sweeps, and are published one by one when all of them are known to be good. One import works on
 * a cache folder at a time; what a killed one has left is removed by the next.
 */
export class StagedImport {
  readonly #place: Place;
  readonly #folder: string;
  readonly #lock: FolderLock;

  private constructor(place: Place, folder: string, lock: FolderLock) {
    this.#place = place;
    this.#folder = folder;
    this.#lock = lock;
  }

  /** @throws BusyError when another import is at work */
  static async begin(place: Place): Promise<StagedImport> {
    const folder = join(place.layout.stateDir, 'imports');
    const lock = await tryFolderLock(folder, 'import', () => {
      place.log.warn('another import may have begun, since this one stood still', { folder });
    });
    if (lock === undefined) {
      throw new BusyError(`Another import is at work on ${place.layout.cacheDir}.`, {
        hint: 'Try again when it is through.',
      });
    }
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new StagedImport(place, folder, lock);
  }

  /** Writes bytes that nobody serves yet; resolves with where they lie, on the disk. */
  async stage(content: AsyncIterable<Uint8Array>): Promise<string> {
    const path = temporaryName(this.#folder);
    const handle = await open(path, 'wx', 0o600);
    try {
      let position = 0;
      for await (const piece of content) {
        await writeFully(handle, piece, position);
        position += piece.length;
      }
      await handle.chmod(0o444);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    return path;
  }

  /** Gives staged bytes their name and their row, which is the commit. @throws StorageError */
  async publish(file: Omit<HeldFile, 'mtimeMs'>, stagedFile: string): Promise<void> {
    await publishFile(this.#place, file, stagedFile);
    await rm(stagedFile, { force: true });
  }

  /** Forgets what was staged and lets others begin. */
  async end(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
    await this.#lock.release();
  }
}
