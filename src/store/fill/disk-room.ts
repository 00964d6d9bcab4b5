import { statfsSync } from 'node:fs';
import { StorageError } from '../../core/errors.ts';
import type { FillEnvironment } from './fill-environment.ts';
import type { FillRequest } from './byte-source.ts';

/**
 * Makes sure that `moreBytes` can be stored and the reserve stays free.
 *
 * @throws StorageError when they cannot
 */
export function checkRoom(
  env: Pick<FillEnvironment, 'layout' | 'reserveBytes' | 'onNoRoom'>,
  request: Pick<FillRequest, 'filename'>,
  moreBytes: number,
): void {
  const { bavail, bsize } = statfsSync(env.layout.partialDir);
  if (bavail * bsize - moreBytes >= env.reserveBytes) return;
  env.onNoRoom?.(moreBytes);
  throw new StorageError(
    `Storing ${request.filename} would leave less than the reserve of ${env.reserveBytes} bytes free on the disk.`,
    { hint: 'Free some space, or lower cache.reserve or cache.max_size.' },
  );
}
