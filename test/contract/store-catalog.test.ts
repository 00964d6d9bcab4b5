import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ProjectName } from '../../src/packaging/names.ts';
import { Catalog } from '../../src/store/catalog.ts';
import type { HeldFile, PageRow } from '../../src/store/catalog.ts';
import { layoutOf, prepareLayout } from '../../src/store/layout.ts';
import type { Layout } from '../../src/store/layout.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

const DEMO = 'demo' as ProjectName;
const OTHER = 'other' as ProjectName;

interface Stage {
  readonly layout: Layout;
  readonly clock: ManualClock;
  /** Two connections on one file, as two processes have them. */
  readonly one: Catalog;
  readonly two: Catalog;
  /** Puts a file with a row. */
  add(name: string, changes?: Partial<HeldFile>): Promise<HeldFile>;
}

async function setStage(): Promise<Stage> {
  const folder = await makeTempFolder();
  onTestFinished(() => folder.remove());
  const layout = layoutOf(join(folder.path, 'cache'));
  prepareLayout(layout);
  const clock = new ManualClock();
  const [one, two] = await Promise.all([Catalog.open(layout, clock), Catalog.open(layout, clock)]);
  onTestFinished(async () => void (await Promise.all([one.close(), two.close()])));
  const add: Stage['add'] = async (name, changes = {}) => {
    const path = changes.path ?? `packages/-/pypi/${name}/${name}.whl`;
    const target = layout.fileAt(path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, name);
    const file: HeldFile = {
      upstream: 'pypi',
      path,
      project: DEMO,
      filename: `${name}.whl`,
      kind: 'distribution',
      sha256: name.padEnd(64, '0'),
      sizeBytes: name.length,
      mtimeMs: Math.floor(statSync(target).mtimeMs),
      entry: null,
      listed: true,
      origin: 'fetched',
      ...changes,
    };
    await one.addFile(file, () => {});
    return file;
  };
  return { layout, clock, one, two, add };
}

function page(changes: Partial<PageRow> = {}): PageRow {
  return {
    upstream: 'pypi',
    project: DEMO,
    indexUrl: 'http://index/simple/',
    absent: false,
    etag: '"1"',
    lastModified: null,
    bodyDigest: 'd',
    lastSerial: 7,
    sizeBytes: 10,
    fetchedAt: 1,
    checkedAt: 1,
    maxAgeMs: null,
    missingSince: null,
    ...changes,
  };
}

describe('files', () => {
  it('are seen by other connections once they are committed', async () => {
    const { two, add } = await setStage();
    const file = await add('a');
    expect(two.findFile('pypi', file.path)).toEqual(file);
    expect(two.filesOf(DEMO)).toEqual([file]);
    expect(two.heldProjects()).toEqual([DEMO]);
  });

  it('have no row when their bytes cannot be put in place', async () => {
    const { one, add } = await setStage();
    const file = await add('a');
    const before = one.revisionOf(DEMO);
    const placing = one.addFile({ ...file, path: 'packages/-/pypi/b' }, () => {
      throw new Error('no room');
    });
    await expect(placing).rejects.toThrow('no room');
    expect(one.findFile('pypi', 'packages/-/pypi/b')).toBeUndefined();
    expect(one.revisionOf(DEMO)).toBe(before);
  });

  it('are committed together without one failure touching the others', async () => {
    const { one, add } = await setStage();
    const file = await add('a');
    const outcomes = await Promise.allSettled(
      ['b', 'c', 'd'].map((name) =>
        one.addFile({ ...file, path: `packages/-/pypi/${name}` }, () => {
          if (name === 'c') throw new Error('no room');
        }),
      ),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(one.filesOf(DEMO)).toHaveLength(3);
  });

  it('are forgotten only as they were seen', async () => {
    const { one, add } = await setStage();
    const file = await add('a');
    await one.forgetFile({ ...file, mtimeMs: file.mtimeMs - 1 });
    expect(one.findFile('pypi', file.path)).toBeDefined();
    await one.forgetFile(file);
    expect(one.findFile('pypi', file.path)).toBeUndefined();
  });
});

describe('a file that leaves', () => {
  it('is no longer held, but its bytes stay for the grace time, and then go with their folder', async () => {
    const { one, two, clock, layout, add } = await setStage();
    const file = await add('a');
    expect(await one.removeFiles([file], 1_000)).toEqual([file]);
    expect(two.findFile('pypi', file.path)).toBeUndefined();
    expect(await two.deleteDeparted()).toBe(0);
    expect(existsSync(layout.fileAt(file.path))).toBe(true);
    clock.advance(1_000);
    expect(await two.deleteDeparted()).toBe(1);
    expect(existsSync(dirname(layout.fileAt(file.path)))).toBe(false);
    expect(existsSync(join(layout.mirrorDir, 'packages'))).toBe(true);
  });

  it('can come back until then, if it is the file that is wanted', async () => {
    const { one, two, clock, layout, add } = await setStage();
    const file = await add('a');
    await one.removeFiles([file], 1_000);
    expect(await two.returnFile('pypi', file.path, 'f'.repeat(64))).toBeUndefined();
    expect(await two.returnFile('pypi', file.path, file.sha256)).toEqual(file);
    clock.advance(2_000);
    expect(await one.deleteDeparted()).toBe(0);
    expect(existsSync(layout.fileAt(file.path))).toBe(true);
  });

  it('does not come back when its bytes were changed', async () => {
    const { one, layout, add } = await setStage();
    const file = await add('a');
    await one.removeFiles([file], 1_000);
    writeFileSync(layout.fileAt(file.path), 'other bytes');
    expect(await one.returnFile('pypi', file.path)).toBeUndefined();
  });

  it('keeps its bytes when it was stored again meanwhile', async () => {
    const { one, two, clock, layout, add } = await setStage();
    const file = await add('a');
    await one.removeFiles([file], 1_000);
    await two.addFile(file, () => {});
    clock.advance(2_000);
    expect(await one.deleteDeparted()).toBe(0);
    expect(existsSync(layout.fileAt(file.path))).toBe(true);
  });

  it('keeps its bytes as long as a page on the disk may name it', async () => {
    const { one, clock, layout, add } = await setStage();
    const file = await add('a');
    mkdirSync(join(layout.mirrorDir, DEMO));
    writeFileSync(join(layout.mirrorDir, DEMO, 'index.html'), '');
    await one.removeFiles([file], 1_000);
    clock.advance(2_000);
    expect(await one.deleteDeparted()).toBe(0);
    await one.publishStatic(DEMO, one.revisionOf(DEMO), () => {});
    expect(await one.deleteDeparted()).toBe(1);
    expect(existsSync(layout.fileAt(file.path))).toBe(false);
  });

  it('does not keep others from being deleted when it cannot be', async () => {
    const { one, clock, layout, add } = await setStage();
    const files = [await add('a'), await add('b')];
    await one.removeFiles(files, 0);
    // A folder in its place cannot be unlinked.
    const stubborn = await add('c');
    await one.removeFiles([stubborn], 0);
    rmSync(layout.fileAt(stubborn.path));
    mkdirSync(layout.fileAt(stubborn.path));
    clock.advance(1);
    expect(await one.deleteDeparted()).toBe(2);
  });
});

describe('use', () => {
  it('decides what is evicted first; what people added is not in question', async () => {
    const { one, clock, add } = await setStage();
    const [a, b] = [await add('a'), await add('b')];
    await add('mine', { origin: 'added', upstream: 'local' });
    clock.advance(10);
    one.noteUse(a);
    await one.flushUses();
    expect([...one.evictable()].map(({ path }) => path)).toEqual([b.path, a.path]);
  });

  it('is counted across connections', async () => {
    const { one, two } = await setStage();
    one.count('hits', 2);
    await one.flushUses();
    two.count('hits', 3);
    expect(two.counters()['hits']).toBe(5);
    await two.flushUses();
    expect(one.counters()['hits']).toBe(5);
  });
});

describe('pages', () => {
  it('count for nothing when they came from another index', async () => {
    const { one, two } = await setStage();
    await one.putPage(page(), null);
    expect(two.findPage('pypi', DEMO, 'http://index/simple/')?.lastSerial).toBe(7);
    expect(two.findPage('pypi', DEMO, 'http://another/simple/')).toBeUndefined();
  });

  it('are confirmed without a new revision', async () => {
    const { one, clock } = await setStage();
    await one.putPage(page({ missingSince: 5 }), null);
    const before = one.revisionOf(DEMO);
    await one.confirmPage('pypi', DEMO, 60_000);
    expect(one.findPage('pypi', DEMO, 'http://index/simple/')).toMatchObject({
      checkedAt: clock.now(),
      maxAgeMs: 60_000,
      missingSince: null,
    });
    expect(one.revisionOf(DEMO)).toBe(before);
  });

  it('say which held files are listed still', async () => {
    const { one, add } = await setStage();
    const file = await add('a');
    await one.putPage(page(), { entryAt: () => undefined });
    expect(one.findFile('pypi', file.path)?.listed).toBe(false);
    expect(one.heldProjects()).toEqual([]);
  });

  it('are trimmed to the newest 10,000 unknown names', async () => {
    const { one } = await setStage();
    await Promise.all(
      Array.from({ length: 10_050 }, (_, at) =>
        one.putPage(page({ project: `p${at}` as ProjectName, absent: true, checkedAt: at }), null),
      ),
    );
    await one.trim();
    expect(one.findPage('pypi', 'p10' as ProjectName, 'http://index/simple/')).toBeUndefined();
    expect(one.findPage('pypi', 'p10049' as ProjectName, 'http://index/simple/')).toBeDefined();
  });
});

describe('changes', () => {
  it('of another connection are told once, of this one at once', async () => {
    const { one, two, add } = await setStage();
    const told: string[] = [];
    one.onChange((project) => told.push(`one ${project}`));
    two.onChange((project) => told.push(`two ${project}`));
    await add('a');
    await two.touch(OTHER);
    two.readChanges();
    two.readChanges();
    expect(told).toEqual(['one demo', 'two other', 'two demo', 'two other']);
  });

  it('let only a page of the newest revision be published', async () => {
    const { one, two } = await setStage();
    await one.touch(DEMO);
    await two.touch(DEMO);
    const revision = one.revisionOf(DEMO);
    let runs = 0;
    expect(await one.publishStatic(DEMO, revision - 1, () => runs++)).toBe(false);
    expect(await two.publishStatic(DEMO, revision, () => runs++)).toBe(true);
    expect(runs).toBe(1);
    expect(one.staticRevisionOf(DEMO)).toBe(revision);
    expect(one.projectsToWrite(0)).toEqual([]);
  });
});

it('waits for a transaction of another connection instead of failing', async () => {
  const { one, two, add } = await setStage();
  const file = await add('a');
  await Promise.all(
    Array.from({ length: 200 }, (_, at) =>
      (at % 2 === 0 ? one : two).addFile({ ...file, path: `packages/-/pypi/${at}` }, () => {}),
    ),
  );
  expect(one.filesOf(DEMO)).toHaveLength(201);
  expect(two.quickCheck()).toBe('ok');
});
