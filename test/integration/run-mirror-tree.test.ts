import { mkdir, writeFile } from 'node:fs/promises';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { describeFile } from '../../src/mirror/download-folders.ts';
import type { DownloadedFile } from '../../src/mirror/download-folders.ts';
import { writeOutput } from '../../src/mirror/output.ts';
import { startWalker } from '../support/mirror-walker.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { writeWheel } from '../support/wheel-writer.ts';

const PROJECTS = 25;
const GRACE_MS = 400;

/** Wheels of one version of each project, in a folder of downloads. */
async function wheelsOf(folder: string, version: string): Promise<DownloadedFile[]> {
  const files: DownloadedFile[] = [];
  for (let at = 0; at < PROJECTS; at++) {
    const { filename, content } = writeWheel({ name: `project-${at}`, version });
    const path = join(folder, filename);
    await writeFile(path, content);
    const file = await describeFile(path, 'fetched');
    if (file !== undefined) files.push({ ...file, path });
  }
  return files;
}

it.each(['folder', 'link'] as const)(
  'shows whole pages and living links to a reader while sets take turns, in a %s',
  async (kind) => {
    const temporary = await makeTempFolder('wheelcellar-tree-');
    onTestFinished(() => temporary.remove());
    const downloads = join(temporary.path, 'downloads');
    const output = join(temporary.path, 'out');
    await mkdir(downloads);
    if (kind === 'folder') await mkdir(output);
    const sets = [await wheelsOf(downloads, '1.0'), await wheelsOf(downloads, '2.0')];
    const write = async (turn: number): Promise<void> => {
      const files = sets[turn % 2] ?? [];
      const common = { title: 'test', files, isPruned: true, legacyNames: false };
      await writeOutput(
        output,
        kind,
        (root) => [
          { folder: join(root, 'Debian-12'), ...common },
          { folder: root, ...common },
        ],
        { now: new Date(), graceMs: GRACE_MS },
      );
    };
    await write(0);
    const walkers = [await startWalker(output), await startWalker(join(output, 'Debian-12'))];
    const until = performance.now() + 6_000;
    for (let turn = 1; turn < 6 || performance.now() < until; turn++) await write(turn);
    for (const walker of walkers) {
      const { dead, rounds } = await walker.stop();
      expect(dead).toEqual([]);
      expect(rounds).toBeGreaterThan(20);
    }
    // In the end what was taken out is gone, too.
    await new Promise((resolve) => setTimeout(resolve, GRACE_MS));
    for (let again = 0; again < 2; again++) {
      await write(0);
      await new Promise((resolve) => setTimeout(resolve, GRACE_MS));
    }
    await write(0);
    expect(existsSync(join(output, 'project-0/project_0-2.0-py3-none-any.whl'))).toBe(false);
    expect(readdirSync(join(output, 'project-0')).toSorted()).toEqual([
      'index.html',
      'index.json',
      'project_0-1.0-py3-none-any.whl',
      'project_0-1.0-py3-none-any.whl.metadata',
    ]);
  },
);
