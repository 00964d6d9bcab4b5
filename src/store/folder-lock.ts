import { mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import lockfile from 'proper-lockfile';
import { codeOf } from '../core/errors.ts';

/** How long a lock may go without a sign of life before others take it, in milliseconds. */
const STALE_MS = 5_000;

/** What a holder has. */
export interface FolderLock {
  /** Never throws: a lock that is lost already is nobody's business any more. */
  release(): Promise<void>;
}

/**
 * Tries once to take a folder for one kind of work; `undefined` when somebody has it. The lock lies beside
 * the folder as `.<name>.<work>.lock`; that of a killed holder is free after five seconds. It keeps two
 * works from being done twice and guards nothing: where none can be made, the work goes on without.
 *
 * @param onCompromised called when the lock was lost, because this process was stopped for long
 */
export async function tryFolderLock(
  folder: string,
  work: string,
  onCompromised: () => void,
): Promise<FolderLock | undefined> {
  const path = join(dirname(folder), `.${basename(folder)}.${work}`);
  try {
    mkdirSync(dirname(folder), { recursive: true });
    const release = await lockfile.lock(path, {
      lockfilePath: `${path}.lock`,
      realpath: false,
      retries: 0,
      stale: STALE_MS,
      update: 1_000,
      onCompromised,
    });
    return { release: () => release().catch(() => {}) };
  } catch (error) {
    if (codeOf(error) === 'ELOCKED') return undefined;
    return { release: async () => {} };
  }
}
