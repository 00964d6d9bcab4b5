import { createHash } from 'node:crypto';
import { constants, existsSync, linkSync, statSync } from 'node:fs';
import { chmod, copyFile, open, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { RefusedError, StorageError, codeOf, messageOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { sleep } from '../core/sleep.ts';
import {
  candidateProjects,
  fileBelongsTo,
  isDistributionFilename,
} from '../packaging/filenames.ts';
import type { ProjectName } from '../packaging/names.ts';
import { parseProjectName } from '../packaging/names.ts';
import { metadataFacts } from '../packaging/core-metadata.ts';
import { readWheelMetadata } from '../packaging/wheel-metadata.ts';
import type { DistributionFile } from '../simple/model.ts';
import { makePublicFolder, temporaryName, writeNewFile } from './atomic-file.ts';
import type { Catalog, HeldFile, Origin } from './catalog.ts';
import { sha256Of } from './digest.ts';
import type { Layout } from './layout.ts';
import { LOCAL_UPSTREAM, OWN_TREE_MARK } from './layout.ts';

/** The folder of `mirror/` that holds what we publish ourselves. */
const OWN_FOLDER = 'packages';

/** Adopted files keep their place below this; no project is called `-`. */
const ADOPTED_BELOW = `packages/-/${LOCAL_UPSTREAM}/-/`;

/**
 * Files that people put into the mirror themselves: by `add`, or by having them in `mirror/` before
 * Wheelcellar came. They are listed as `local`, and never evicted.
 */
export class LocalFiles {
  readonly #layout: Layout;
  readonly #catalog: Catalog;
  readonly #log: Logger;

  constructor(layout: Layout, catalog: Catalog, log: Logger) {
    this.#layout = layout;
    this.#catalog = catalog;
    this.#log = log;
  }

  /**
   * Copies a wheel or sdist into the mirror. The same bytes again change nothing.
   *
   * @throws RefusedError when the name is not that of a distribution file, or a file of that name with
   *   other bytes is there already.
   */
  async add(sourcePath: string): Promise<HeldFile> {
    const filename = basename(sourcePath);
    const project = projectOf(filename, undefined);
    if (project === undefined) {
      throw new RefusedError(`${filename} is not the name of a wheel or sdist.`, {
        hint: 'Wheels are named NAME-VERSION-PYTHON-ABI-PLATFORM.whl, sdists NAME-VERSION.tar.gz.',
      });
    }
    const path = `packages/-/${LOCAL_UPSTREAM}/${project}/${filename}`;
    return await this.#copyIn(sourcePath, path, project, 'added');
  }

  async #copyIn(
    sourcePath: string,
    path: string,
    project: ProjectName,
    origin: Origin,
  ): Promise<HeldFile> {
    const filename = basename(path);
    const target = this.#layout.fileAt(path);
    await makePublicFolder(dirname(target));
    const temporary = temporaryName(this.#layout.partialDir);
    try {
      await copyFile(sourcePath, temporary, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      await chmod(temporary, 0o444);
      await syncToDisk(temporary);
      const sha256 = await sha256Of(temporary);
      const held = this.#catalog.findFile(LOCAL_UPSTREAM, path);
      if (held !== undefined && held.sha256 !== sha256) {
        throw new RefusedError(
          `${filename} is there already with other bytes (sha256 ${held.sha256}).`,
          {
            hint: 'Give the new file a new version: installers and lock files know the old one by its digest.',
          },
        );
      }
      return held ?? (await this.#record(temporary, path, project, sha256, origin));
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /**
   * Lists every distribution file below `mirror/` that the catalog does not know, under the path
   * `packages/-/local/-/<where it lies>`, by a hard link. Nothing is overwritten or deleted.
   *
   * @returns how many files were adopted
   */
  async adopt(signal: AbortSignal): Promise<number> {
    let adopted = 0;
    for await (const path of distributionFilesBelow(this.#layout.mirrorDir, OWN_FOLDER)) {
      if (signal.aborted) return adopted;
      try {
        if (await this.#adoptOne(path)) adopted++;
      } catch (error) {
        this.#log.warn('a file could not be adopted', { path, reason: messageOf(error) });
      }
      // Requests come first.
      await sleep(1, signal);
    }
    if (adopted > 0)
      this.#log.info('adopted the files that were in the mirror folder', { files: adopted });
    return adopted;
  }

  /**
   * Copies a wheel or sdist into the mirror without claiming its name: it is listed beside what the indexes
   * have, as files that lay in `mirror/` before. The same bytes again change nothing.
   *
   * @param below folder that tells where it came from, `/`-separated
   * @throws RefusedError when the name is not that of a distribution file, or a file of that name came from
   *   there before with other bytes
   */
  async adoptFile(sourcePath: string, below: string): Promise<HeldFile> {
    const filename = basename(sourcePath);
    const project = projectOf(filename, undefined);
    if (project === undefined)
      throw new RefusedError(`${filename} is not the name of a wheel or sdist.`);
    return await this.#copyIn(
      sourcePath,
      `${ADOPTED_BELOW}${below}/${filename}`,
      project,
      'adopted',
    );
  }

  /**
   * Records the local files of a catalog that was lost; their path tells how they came.
   *
   * @returns how many were found
   */
  async rebuild(): Promise<number> {
    const root = this.#layout.fileAt(`packages/-/${LOCAL_UPSTREAM}`);
    let found = 0;
    if (!existsSync(root)) return found;
    for await (const path of distributionFilesBelow(root, null)) {
      const mirrorPath = relative(this.#layout.mirrorDir, path).split(sep).join('/');
      const project = projectOf(basename(path), basename(dirname(path)));
      if (project === undefined || this.#catalog.findFile(LOCAL_UPSTREAM, mirrorPath) !== undefined)
        continue;
      const origin = mirrorPath.startsWith(ADOPTED_BELOW) ? 'adopted' : 'added';
      await this.#record(path, mirrorPath, project, await sha256Of(path), origin);
      found++;
    }
    return found;
  }

  async #adoptOne(path: string): Promise<boolean> {
    const where = relative(this.#layout.mirrorDir, path).split(sep).join('/');
    const project = projectOf(basename(path), basename(dirname(path)));
    if (project === undefined) return false;
    const mirrorPath = `${ADOPTED_BELOW}${where}`;
    if (this.#catalog.findFile(LOCAL_UPSTREAM, mirrorPath) !== undefined) return false;
    await makePublicFolder(dirname(this.#layout.fileAt(mirrorPath)));
    await this.#record(path, mirrorPath, project, await sha256Of(path), 'adopted');
    return true;
  }

  async #record(
    source: string,
    path: string,
    project: ProjectName,
    sha256: string,
    origin: Origin,
  ): Promise<HeldFile> {
    const filename = basename(path);
    // In place before a page can advertise it.
    const metadata = filename.endsWith('.whl') ? await this.#wheelMetadata(source, filename) : null;
    const common = { upstream: LOCAL_UPSTREAM, project, listed: true, origin } as const;
    if (metadata !== null) {
      const temporary = temporaryName(this.#layout.partialDir);
      await writeNewFile(temporary, metadata, { mode: 0o444, durable: true });
      const sidecar = { path: `${path}.metadata`, filename: `${filename}.metadata`, entry: null };
      const digest = createHash('sha256').update(metadata).digest('hex');
      try {
        await this.#publish(temporary, {
          ...common,
          ...sidecar,
          kind: 'metadata',
          sha256: digest,
        });
      } finally {
        await rm(temporary, { force: true });
      }
    }
    const requiresPython = metadata === null ? null : metadataFacts(metadata).requiresPython;
    const { size } = await stat(source);
    const entry = localEntry(filename, path, sha256, size, requiresPython);
    return await this.#publish(source, {
      ...common,
      path,
      filename,
      kind: 'distribution',
      sha256,
      entry,
    });
  }

  /** Gives the file its name in the mirror and its row. */
  async #publish(
    source: string,
    facts: Omit<HeldFile, 'sizeBytes' | 'mtimeMs'>,
  ): Promise<HeldFile> {
    const target = this.#layout.fileAt(facts.path);
    const { size, mtimeMs } = await stat(existsSync(target) ? target : source);
    const file: HeldFile = { ...facts, sizeBytes: size, mtimeMs: Math.floor(mtimeMs) };
    await this.#catalog.addFile(file, () => {
      try {
        linkSync(source, target);
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
      }
      if (statSync(target).size !== size)
        throw new StorageError(`${target} is occupied by another file.`);
    });
    return file;
  }

  /** METADATA out of a wheel; `null` when it cannot be read, which makes no worse wheel of it. */
  async #wheelMetadata(path: string, filename: string): Promise<Uint8Array | null> {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      const read = async (start: number, end: number): Promise<Uint8Array> => {
        const { buffer, bytesRead } = await handle.read(
          Buffer.alloc(end - start),
          0,
          end - start,
          start,
        );
        return buffer.subarray(0, bytesRead);
      };
      return await readWheelMetadata(filename, { sizeBytes: size, read });
    } catch (error) {
      this.#log.warn('no core metadata in a wheel', { filename, reason: messageOf(error) });
      return null;
    } finally {
      await handle.close();
    }
  }
}

function localEntry(
  filename: string,
  path: string,
  sha256: string,
  sizeBytes: number,
  requiresPython: string | null,
): DistributionFile {
  return {
    filename,
    url: `file:${path}`,
    hashes: { sha256 },
    requiresPython,
    sizeBytes,
    uploadTime: null,
    coreMetadata: false,
    yanked: false,
    provenance: null,
    gpgSig: null,
    extra: {},
  };
}

/** The project of a file; the folder's name decides when the filename can be read in several ways. */
function projectOf(filename: string, folderName: string | undefined): ProjectName | undefined {
  if (!isDistributionFilename(filename)) return undefined;
  const folder = folderName === undefined ? undefined : parseProjectName(folderName);
  if (folder !== undefined && fileBelongsTo(filename, folder)) return folder;
  return candidateProjects(filename)[0];
}

/**
 * Every distribution file below `folder`, but for the top folder that holds what is published, and for
 * marked indexes.
 */
async function* distributionFilesBelow(
  folder: string,
  skipped: string | null,
): AsyncGenerator<string, void, void> {
  const entries = await readdir(folder, { withFileTypes: true });
  if (entries.some(({ name }) => name === OWN_TREE_MARK)) return;
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== skipped) yield* distributionFilesBelow(path, null);
    else if (entry.isFile() && isDistributionFilename(entry.name)) yield path;
  }
}

async function syncToDisk(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.datasync();
  } finally {
    await handle.close();
  }
}
