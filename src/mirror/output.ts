import { existsSync } from 'node:fs';
import { lstat, readdir, readlink, realpath, rename, rm, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ConfigurationError, codeOf } from '../core/errors.ts';
import { makePublicFolder } from '../store/atomic-file.ts';
import type { Layout } from '../store/layout.ts';
import { placeFile } from './download-folders.ts';
import { swapLink, writeIndexes } from './index-tree.ts';
import type { TreeIndex, TreeWriting, WrittenIndex } from './index-tree.ts';

/**
 * What an output is: `live`, the cache folder's own mirror; `folder`, one that is updated in place; `link`, a symbolic link
 * (or nothing yet) that is pointed at a new tree.
 */
export type OutputKind = 'live' | 'folder' | 'link';

/** What an output is now. @throws ConfigurationError when it cannot be one */
export async function outputKind(output: string, layout: Layout): Promise<OutputKind> {
  const real = await realpath(output).catch(() => output);
  const cacheDir = await realpath(layout.cacheDir).catch(() => layout.cacheDir);
  if (real === join(cacheDir, basename(layout.mirrorDir))) return 'live';
  const isInState = `${real}/`.startsWith(`${join(cacheDir, basename(layout.stateDir))}/`);
  if (real === cacheDir || isInState) {
    throw new ConfigurationError([`The output ${output} is Wheelcellar's own folder.`], {
      hint: `Its mirror is ${layout.mirrorDir}.`,
    });
  }
  const present = await lstat(output).catch(() => undefined);
  if (present === undefined) return 'link';
  if (present.isSymbolicLink()) {
    const isOurs = (await readlink(output)).startsWith(`${treesName(output)}/`);
    if (isOurs || !existsSync(output)) return 'link';
    return 'folder';
  }
  if (present.isDirectory()) return 'folder';
  throw new ConfigurationError([`The output ${output} is no folder.`]);
}

/**
 * Writes indexes below an output: in place, or as a new tree that then takes the place of the old one in
 * one step. A new tree begins as a copy of the old one (by hard links), so that nothing is lost that other
 * machines have put there.
 *
 * @param indexesIn the indexes, given the folder of the tree
 */
export async function writeOutput(
  output: string,
  kind: Exclude<OutputKind, 'live'>,
  indexesIn: (root: string) => readonly TreeIndex[],
  writing: TreeWriting,
): Promise<WrittenIndex[]> {
  if (kind === 'folder') return await writeIndexes(indexesIn(output), writing);
  const trees = join(dirname(output), treesName(output));
  await makePublicFolder(trees);
  const current = await readlink(output).catch(() => undefined);
  const name = await freeName(trees, writing.now);
  const tree = join(trees, name);
  await removeHalfTrees(trees);
  const half = `${tree}.half`;
  await makePublicFolder(half);
  if (current !== undefined && existsSync(output)) await cloneTree(await realpath(output), half);
  const written = await writeIndexes(indexesIn(half), writing);
  await rename(half, tree);
  await swapLink(output, `${treesName(output)}/${name}`);
  await removeOldTrees(trees, [name, basename(current ?? '')], writing);
  return written.map((index) => ({ ...index, folder: index.folder.replace(half, output) }));
}

/** The folder beside an output that holds its trees. */
function treesName(output: string): string {
  return `.${basename(output)}.trees`;
}

async function freeName(trees: string, now: Date): Promise<string> {
  const stamp = now
    .toISOString()
    .replace(/[-:]/g, '')
    .replace(/\.\d+Z$/, 'Z');
  for (let number = 0; ; number++) {
    const name = number === 0 ? stamp : `${stamp}-${number}`;
    if (!existsSync(join(trees, name))) return name;
  }
}

/** What killed runs have left. */
async function removeHalfTrees(trees: string): Promise<void> {
  for (const name of await readdir(trees))
    if (name.endsWith('.half')) await rm(join(trees, name), { recursive: true, force: true });
}

/** Whoever reads an old tree gets the grace time. */
async function removeOldTrees(
  trees: string,
  kept: readonly string[],
  { now, graceMs }: TreeWriting,
): Promise<void> {
  for (const name of await readdir(trees)) {
    if (kept.includes(name)) continue;
    const { ctimeMs } = await stat(join(trees, name));
    if (now.getTime() - ctimeMs < graceMs) continue;
    await rm(join(trees, name), { recursive: true, force: true });
  }
}

async function cloneTree(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      await makePublicFolder(target);
      await cloneTree(source, target);
    } else if (entry.isSymbolicLink()) {
      await symlink(await readlink(source), target);
    } else if (entry.isFile()) {
      await placeFile(source, target).catch((error: unknown) => {
        // A temporary file of somebody else that has gone meanwhile.
        if (codeOf(error) !== 'ENOENT') throw error;
      });
    }
  }
}
