import { mkdir, rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { codeOf } from '../../core/errors.ts';
import { newNonce } from '../fill/fill-state.ts';
import type { Layout } from '../layout.ts';

/**
 * Moves whatever stands at a mirror path into a new folder below `state-v1/withheld/`: nothing is deleted.
 *
 * @returns where it is now; `null` when nothing was there
 */
export async function setAside(layout: Layout, mirrorPath: string): Promise<string | null> {
  const folder = join(layout.withheldDir, newNonce());
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const target = join(folder, basename(mirrorPath));
  try {
    await rename(layout.fileAt(mirrorPath), target);
    return target;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return null;
    throw error;
  }
}
