import { BusyError } from '../core/errors.ts';
import { sleep } from '../core/sleep.ts';
import { tryFolderLock } from '../store/folder-lock.ts';
import type { FolderLock } from '../store/folder-lock.ts';

const LOOK_AGAIN_MS = 300;

/**
 * Waits until no other run works on a folder.
 *
 * @param options.onWait hears once that somebody else is at work
 * @throws BusyError when that takes longer than `waitMs`
 */
export async function lockFolder(
  folder: string,
  options: { readonly waitMs: number; readonly signal: AbortSignal; readonly onWait: () => void },
): Promise<FolderLock> {
  const until = performance.now() + options.waitMs;
  for (let attempt = 0; ; attempt++) {
    const lock = await tryFolderLock(folder, 'run-mirror', () => {});
    if (lock !== undefined) return lock;
    if (performance.now() >= until) {
      throw new BusyError(`Another run-mirror is at work on ${folder}.`, {
        hint: 'Try again when it is through, or give it longer with --wait.',
      });
    }
    if (attempt === 0) options.onWait();
    await sleep(LOOK_AGAIN_MS, options.signal);
    options.signal.throwIfAborted();
  }
}
