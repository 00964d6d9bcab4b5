import { createHash } from 'node:crypto';
import { lstat, readFile, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Everything below a folder: kind, mode, time and digest by path, to be compared with an earlier look. */
export async function treeOf(folder: string): Promise<Record<string, string>> {
  const tree: Record<string, string> = {};
  for (const name of (await readdir(folder, { recursive: true })).toSorted()) {
    const path = join(folder, name);
    const { mode, mtimeMs, size } = await lstat(path);
    const kind = mode & 0o170000;
    const content =
      kind === 0o100000
        ? `${size} ${mtimeMs} ${createHash('sha256')
            .update(await readFile(path))
            .digest('hex')}`
        : kind === 0o120000
          ? await readlink(path)
          : '';
    tree[name] = `${mode.toString(8)} ${content}`;
  }
  return tree;
}
