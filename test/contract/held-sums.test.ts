/** The sums of held files that triggers keep, held against a count of the files themselves. */
import { mkdirSync, writeFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import SQLite from 'better-sqlite3';
import { expect, it, onTestFinished } from 'vitest';
import type { ProjectName } from '../../src/packaging/names.ts';
import { Catalog } from '../../src/store/catalog.ts';
import type { HeldFile } from '../../src/store/catalog.ts';
import { layoutOf, prepareLayout } from '../../src/store/layout.ts';
import type { Layout } from '../../src/store/layout.ts';
import { ROOT_PAGE } from '../../src/store/revisions.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { Dice } from '../support/packaging-oracle.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

const PROJECTS = ['alpha', 'beta', 'gamma', 'delta'] as ProjectName[];
const GRACE_MS = 1_000;

interface Stage {
  readonly layout: Layout;
  readonly one: Catalog;
  readonly two: Catalog;
  /** A connection past the catalog. */
  readonly raw: SQLite.Database;
  readonly reopened: () => Promise<Catalog>;
}

async function setStage(): Promise<Stage> {
  const folder = await makeTempFolder();
  onTestFinished(() => folder.remove());
  const layout = layoutOf(join(folder.path, 'cache'));
  prepareLayout(layout);
  const clock = new ManualClock();
  const opened: Catalog[] = [];
  const open = async (): Promise<Catalog> => {
    const catalog = await Catalog.open(layout, clock);
    opened.push(catalog);
    return catalog;
  };
  const [one, two] = [await open(), await open()];
  const raw = new SQLite(layout.catalogFile);
  onTestFinished(async () => {
    raw.close();
    await Promise.all(opened.map((catalog) => catalog.close()));
  });
  return { layout, one, two, raw, reopened: open };
}

/** A file of which there are several versions and sizes, with its bytes in place. */
function someFile({ layout }: Stage, dice: Dice): HeldFile {
  const project = dice.pick(PROJECTS);
  const name = `${project}-${Math.floor(dice.next() * 3)}`;
  const isMetadata = dice.next() < 0.3;
  const filename = `${name}.whl${isMetadata ? '.metadata' : ''}`;
  const path = `packages/-/pypi/${name}/${filename}`;
  const target = layout.fileAt(path);
  const content = 'x'.repeat(Math.floor(dice.next() * 1_000));
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
  return {
    upstream: 'pypi',
    path,
    project,
    filename,
    kind: isMetadata ? 'metadata' : 'distribution',
    sha256: 'a'.repeat(64),
    sizeBytes: content.length,
    mtimeMs: Math.floor(statSync(target).mtimeMs),
    entry: null,
    listed: true,
    origin: 'fetched',
  };
}

async function changeSomething(stage: Stage, catalog: Catalog, dice: Dice): Promise<void> {
  const file = someFile(stage, dice);
  const present = catalog.findFile(file.upstream, file.path);
  const act = dice.next();
  if (act < 0.4) await catalog.addFile(file, () => {});
  else if (act < 0.55) await catalog.removeFiles([file], GRACE_MS);
  else if (act < 0.7) await catalog.returnFile(file.upstream, file.path);
  else if (act < 0.8) {
    if (present !== undefined) await catalog.forgetFile(present);
  } else await listing(catalog, file.project, dice.next() < 0.5);
}

/** A new page, which names all files of the project or none. */
async function listing(catalog: Catalog, project: ProjectName, isListed: boolean): Promise<void> {
  const row = {
    upstream: 'pypi',
    project,
    indexUrl: 'http://index/simple/',
    absent: false,
    etag: null,
    lastModified: null,
    bodyDigest: String(isListed),
    lastSerial: null,
    sizeBytes: 1,
    fetchedAt: 1,
    checkedAt: 1,
    maxAgeMs: null,
    missingSince: null,
  };
  const entry = { filename: 'x', hashes: {}, yanked: false } as never;
  await catalog.putPage(row, { entryAt: () => (isListed ? entry : undefined) });
}

function counted(raw: SQLite.Database): object {
  const sums = raw
    .prepare(
      `SELECT COUNT(DISTINCT project) AS projects, COUNT(*) AS files, COALESCE(SUM(size_bytes), 0) AS bytes
       FROM files WHERE kind = 'distribution'`,
    )
    .get();
  const all = raw.prepare('SELECT COALESCE(SUM(size_bytes), 0) FROM files').pluck().get();
  return { sums, all, names: namesIn(raw) };
}

function namesIn(raw: SQLite.Database): unknown[] {
  const sql = `SELECT DISTINCT project FROM files WHERE kind = 'distribution' AND listed = 1 ORDER BY 1`;
  return raw.prepare(sql).pluck().all();
}

function told(catalog: Catalog): object {
  return {
    sums: catalog.heldCounts(),
    all: catalog.heldBytes(),
    names: catalog.heldProjects(),
  };
}

it('are those of the files, whatever comes and goes over two connections', async () => {
  const stage = await setStage();
  const dice = new Dice(21);
  const seen = new Set<string>();
  for (let step = 0; step < 500; step++) {
    const catalog = dice.next() < 0.5 ? stage.one : stage.two;
    const before = [JSON.stringify(namesIn(stage.raw)), stage.one.revisionOf(ROOT_PAGE)] as const;
    await changeSomething(stage, catalog, dice);
    expect(told(stage.one), `step ${step}`).toEqual(counted(stage.raw));
    const names = JSON.stringify(namesIn(stage.raw));
    seen.add(names);
    // The root page is behind when it must name others, and only then.
    const isRaised = stage.two.revisionOf(ROOT_PAGE) !== before[1];
    expect(isRaised, `step ${step}: ${before[0]} to ${names}`).toBe(names !== before[0]);
  }
  expect(seen.size).toBeGreaterThan(4);
});

it('are the same after a transaction that was undone', async () => {
  const stage = await setStage();
  const dice = new Dice(22);
  await stage.one.addFile(someFile(stage, dice), () => {});
  const before = told(stage.one);
  stage.raw.exec(`BEGIN; DELETE FROM files; ROLLBACK`);
  expect(told(stage.one)).toEqual(before);
  expect(told(stage.one)).toEqual(counted(stage.raw));
});

it('are made for a catalog that had none, and its root page is written again', async () => {
  const stage = await setStage();
  const dice = new Dice(23);
  for (let at = 0; at < 10; at++) await stage.one.addFile(someFile(stage, dice), () => {});
  for (const name of ['held_more', 'held_less', 'held_otherwise'])
    stage.raw.exec(`DROP TRIGGER ${name}`);
  stage.raw.exec(`DROP TABLE held; DELETE FROM projects WHERE project = ''`);
  const later = await stage.reopened();
  expect(told(later)).toEqual(counted(stage.raw));
  expect(later.projectsToWrite(-Infinity)).toContain(ROOT_PAGE);
  await changeSomething(stage, later, dice);
  expect(told(later)).toEqual(counted(stage.raw));
});

it('are told without a look at the files, however many there are', async () => {
  const stage = await setStage();
  const dice = new Dice(24);
  for (let at = 0; at < 10; at++) await stage.one.addFile(someFile(stage, dice), () => {});
  const before = told(stage.one);
  const plan = stage.raw
    .prepare('EXPLAIN QUERY PLAN SELECT upstream, path FROM files WHERE pinned = 1')
    .all() as { detail: string }[];
  expect(plan.map(({ detail }) => detail).join()).toContain('files_pinned');
  stage.raw.exec('DROP TABLE files');
  expect(told(stage.one)).toEqual(before);
});
