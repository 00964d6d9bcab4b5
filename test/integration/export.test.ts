import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ExportedTree } from '../../src/bundle/export-tree.ts';
import { makeBigFolder } from '../support/big-folder.ts';
import type { BigFolder } from '../support/big-folder.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { startWalker } from '../support/mirror-walker.ts';
import { freePort, missingNginx, startNginx } from '../support/nginx.ts';
import { treeOf } from '../support/tree-snapshot.ts';
import { runJson, runVerb } from '../support/verbs.ts';
import type { VerbStage } from '../support/verbs.ts';

const NOBODY = 'http://127.0.0.1:9/simple/';

interface Stage extends VerbStage {
  readonly big: BigFolder;
  readonly tree: string;
  readonly folder: string;
}

async function setStage(files = 12): Promise<Stage> {
  const temp = await makeTempFolder('wheelcellar-export-');
  onTestFinished(() => temp.remove());
  const cacheDir = join(temp.path, 'cache');
  const big = await makeBigFolder({ cacheDir, files, filesPerProject: 4, indexUrl: NOBODY });
  return { big, cacheDir, indexUrl: NOBODY, tree: join(temp.path, 'tree'), folder: temp.path };
}

const exported = (stage: Stage, ...more: string[]): Promise<ExportedTree> =>
  runJson<ExportedTree>(stage, 'export', stage.tree, ...more);

/** Links of the tree's pages, followed; throws for one that leads nowhere. */
async function followAll(tree: string, names: readonly string[]): Promise<number> {
  let links = 0;
  for (const name of names) {
    const html = readFileSync(join(tree, name, 'index.html'), 'utf8');
    for (const [, href = ''] of html.matchAll(/href="([^"#]+)/g)) {
      await stat(join(tree, name, decodeURIComponent(href)));
      links++;
    }
  }
  return links;
}

describe('export', () => {
  it('writes a tree of links to the same bytes, and only what changed the next time', async () => {
    const stage = await setStage();
    const first = await exported(stage);
    expect(first).toMatchObject({ projects: 3, files: 12, linked: 12, copied: 0, pagesWritten: 8 });
    expect(await followAll(stage.tree, stage.big.projects)).toBe(12);
    const [file] = stage.big.files;
    const inode = (folder: string): number => statSync(join(folder, file?.path ?? '')).ino;
    expect(inode(stage.tree)).toBe(inode(join(stage.cacheDir, 'mirror')));
    const before = await treeOf(stage.tree);
    expect(await exported(stage)).toMatchObject({ linked: 0, unchanged: 12, pagesWritten: 0 });
    expect(await treeOf(stage.tree)).toEqual(before);
    await runVerb(stage, 'delete', 'project-000001');
    const third = await exported(stage);
    expect(third).toMatchObject({ projects: 2, files: 8, gone: 6, pruned: 0, pagesWritten: 2 });
    expect(await followAll(stage.tree, stage.big.projects)).toBe(12);
    await writeFile(join(stage.tree, 'robots.txt'), 'of somebody else');
    expect(await exported(stage, '--prune')).toMatchObject({ gone: 6, pruned: 6 });
    const left = (await readdir(stage.tree)).filter((name) => !name.startsWith('.'));
    expect(left.toSorted()).toEqual(
      ['index.html', 'index.json', 'packages', 'robots.txt']
        .concat(stage.big.projects.filter((name) => name !== 'project-000001'))
        .toSorted(),
    );
    expect(await followAll(stage.tree, [stage.big.projects[0] ?? ''])).toBe(4);
  });

  it.skipIf(!existsSync('/dev/shm'))(
    'copies to another file system, and each file once',
    async () => {
      const stage = await setStage(60);
      const tree = mkdtempSync('/dev/shm/wheelcellar-export-');
      onTestFinished(() => rmSync(tree, { recursive: true }));
      const elsewhere = { ...stage, tree };
      if (statSync(tree).dev === statSync(stage.cacheDir).dev) return;
      expect(await exported(elsewhere)).toMatchObject({ linked: 0, copied: 60 });
      expect(await followAll(tree, stage.big.projects)).toBe(60);
      expect(await exported(elsewhere)).toMatchObject({
        copied: 0,
        unchanged: 60,
        pagesWritten: 0,
      });
    },
  );

  it('puts the index below a folder', async () => {
    const stage = await setStage();
    await exported(stage, '--simple-prefix', 'simple');
    expect(await followAll(join(stage.tree, 'simple'), stage.big.projects)).toBe(12);
    const { code, stderr } = await runVerb(stage, 'export', stage.tree, '--simple-prefix', '../up');
    expect([code, stderr]).toEqual([2, expect.stringContaining('is no folder of the tree')]);
  });

  it('refuses a place inside or around the cache', async () => {
    const stage = await setStage();
    for (const place of [join(stage.cacheDir, 'mirror', 'out'), stage.folder]) {
      const { code, stderr } = await runVerb(stage, 'export', place);
      expect([code, stderr]).toEqual([2, expect.stringContaining('lie in each other')]);
    }
  });

  it('names only files that are in the tree while others are added and deleted', async () => {
    const stage = await setStage(200);
    await exported(stage);
    const walker = await startWalker(stage.tree);
    for (let round = 0; round < 6; round++) {
      const name = stage.big.projects[round] ?? '';
      const work = [runVerb(stage, 'delete', name), exported(stage), exported(stage)];
      await Promise.allSettled(work);
    }
    const { dead, rounds } = await walker.stop();
    expect(dead).toEqual([]);
    expect(rounds).toBeGreaterThan(3);
  });

  it.skipIf(missingNginx() !== null)('is served by nginx as it is', async () => {
    const stage = await setStage();
    await exported(stage);
    const port = await freePort();
    const text = `events {}\nhttp {\n  server { listen 127.0.0.1:${port}; root ${stage.tree}; index index.html; }\n}\n`;
    const origin = await startNginx(text, join(stage.folder, 'nginx'), port);
    const page = `${origin}/project-000001/`;
    const html = await (await fetch(page)).text();
    const [, href = ''] = /href="([^"#]+)/.exec(html) ?? [];
    const answer = await fetch(new URL(href, page));
    const file = stage.big.files.find(({ filename }) => href.endsWith(filename));
    expect(await answer.text()).toBe(file?.content);
  });
});
