import { chmod, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder that lasts as long as a test. */
export interface TempFolder {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** Deletes the folder and all in it, read-only parts too. */
  remove(): Promise<void>;
}

/** A new, empty folder below the system's folder for temporary files. */
export async function makeTempFolder(prefix = 'wheelcellar-'): Promise<TempFolder> {
  const path = await realpath(await mkdtemp(join(tmpdir(), prefix)));
  return { path, remove: () => removeFolder(path) };
}

async function removeFolder(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    if (!isRefused(error)) throw error;
    await makeWritable(path); // Tests of a read-only cache folder leave such.
    await rm(path, { recursive: true, force: true });
  }
}

function isRefused(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'EACCES' || code === 'EPERM';
}

async function makeWritable(folder: string): Promise<void> {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(join(folder, entry.name));
  }
}
