import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from './atomic-file.ts';
import type { Layout } from './layout.ts';

/**
 * The path of a program that was unpacked from a verified file, made by `unpack` when it is not there:
 * `state-v1/tools/<sha256 of that file>/<name>`.
 */
export async function unpackedTool(
  layout: Layout,
  sha256: string,
  name: string,
  unpack: () => Promise<Uint8Array>,
): Promise<string> {
  const folder = join(layout.stateDir, 'tools', sha256);
  const path = join(folder, name);
  const isThere = await access(path).then(
    () => true,
    () => false,
  );
  if (isThere) return path;
  const content = await unpack();
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeAtomically(path, layout.partialDir, content, { mode: 0o700 });
  return path;
}
