import { linkSync, statSync } from 'node:fs';
import { chmod, mkdir, rename, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { StorageError, codeOf } from '../../core/errors.ts';
import { makePublicFolder, makePublicFolderNow } from '../atomic-file.ts';
import { sha256Of } from '../digest.ts';
import type { HeldFile } from '../held-file.ts';
import type { FillRequest } from './byte-source.ts';
import { newNonce } from './fill-state.ts';
import type { FillEnvironment } from './fill-environment.ts';

/**
 * Gives verified bytes their name in the mirror and then their row in the catalog: the row is the
 * commit. The name is made by a link, which never replaces. Whatever stands there already is used if it
 * is the same file, and set aside (not deleted) if it is another one that no row vouches for.
 *
 * @throws StorageError when the path stays occupied.
 */
export async function publish(
  env: Pick<FillEnvironment, 'layout' | 'catalog' | 'log' | 'onStored'>,
  request: FillRequest,
  verifiedFile: string,
  sha256: string,
  sizeBytes: number,
): Promise<void> {
  const { upstream, path, project, filename, kind, entry } = request;
  const file = { upstream, path, project, filename, kind, sha256, sizeBytes, entry } as const;
  await publishFile(env, { ...file, listed: true, origin: 'fetched' }, verifiedFile);
  env.onStored(request, sizeBytes);
}

/** {@link publish}, of any file: nobody is told but the catalog. @throws StorageError */
export async function publishFile(
  env: Pick<FillEnvironment, 'layout' | 'catalog' | 'log'>,
  file: Omit<HeldFile, 'mtimeMs'>,
  verifiedFile: string,
): Promise<void> {
  const target = env.layout.fileAt(file.path);
  for (let attempt = 0; ; attempt++) {
    const source = await occupant(env, target, file.sha256, file.sizeBytes, verifiedFile);
    // Outside of the transaction: three folders take longer than the rest of it.
    if (source === verifiedFile) await makePublicFolder(dirname(target));
    const published = await stat(source);
    try {
      await env.catalog.addFile({ ...file, mtimeMs: Math.floor(published.mtimeMs) }, () =>
        putInPlace(verifiedFile, target, published.ino),
      );
      return;
    } catch (error) {
      if (!(error instanceof OccupiedError) || attempt >= 3) throw error;
    }
  }
}

/**
 * Records a file that stands at its path with the listed sha256 already: a folder that was copied here,
 * or whose catalog was lost. Saves the fetch.
 */
export async function adoptPublished(
  env: Pick<FillEnvironment, 'layout' | 'catalog' | 'log' | 'onStored'>,
  request: FillRequest,
): Promise<void> {
  const listed = request.hashes['sha256']?.toLowerCase();
  if (listed === undefined) return;
  const target = env.layout.fileAt(request.path);
  const present = statSync(target, { throwIfNoEntry: false });
  if (present === undefined || !present.isFile()) return;
  if (request.sizeBytes !== null && request.sizeBytes !== present.size) return;
  if ((await sha256Of(target)) !== listed) return;
  await publish(env, request, target, listed, present.size);
}

/** The path holds another inode than the one that was looked at. */
class OccupiedError extends StorageError {}

/** Which file shall have the target's name: what is there and equal, else the verified one. */
async function occupant(
  env: Pick<FillEnvironment, 'layout' | 'log'>,
  target: string,
  sha256: string,
  sizeBytes: number,
  verifiedFile: string,
): Promise<string> {
  const present = statSync(target, { throwIfNoEntry: false });
  if (present === undefined) return verifiedFile;
  if (verifiedFile === target) {
    await chmod(target, 0o444);
    return target;
  }
  if (present.isFile() && present.size === sizeBytes && (await sha256Of(target)) === sha256) {
    await chmod(target, 0o444);
    return target;
  }
  const folder = join(env.layout.withheldDir, newNonce());
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await rename(target, join(folder, basename(target)));
  env.log.warn('a file with other bytes stood in the place of a verified one; it was set aside', {
    target,
    setAside: folder,
  });
  return verifiedFile;
}

/** Runs inside the catalog's transaction: the name must be there when the row is. */
function putInPlace(verifiedFile: string, target: string, inode: number): void {
  try {
    linkOnce(verifiedFile, target);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    // The folder of an evicted file went with it a moment ago.
    makePublicFolderNow(dirname(target));
    linkOnce(verifiedFile, target);
  }
  if (statSync(target).ino !== inode)
    throw new OccupiedError(`${target} is occupied by another file.`);
}

function linkOnce(verifiedFile: string, target: string): void {
  try {
    linkSync(verifiedFile, target);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}
