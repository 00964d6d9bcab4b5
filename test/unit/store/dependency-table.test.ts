import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ProjectName } from '../../../src/packaging/names.ts';
import { Database } from '../../../src/store/database.ts';
import { DependencyTable } from '../../../src/store/dependency-table.ts';
import type { LearnedProject } from '../../../src/store/dependency-table.ts';
import { CATALOG_SCHEMA, CATALOG_VERSION } from '../../../src/store/schema.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

const DEMO = 'demo' as ProjectName;
const LEARNED: LearnedProject = {
  index: 'pypi https://index.example/simple/',
  version: '1.0',
  requires: ['base>=2', 'other; sys_platform == "win32"'],
};

interface Stage {
  readonly table: DependencyTable;
  readonly db: Database;
  readonly clock: ManualClock;
  /** When the project was last written; epoch milliseconds. */
  writtenAt(project: ProjectName): number | undefined;
}

async function setStage(): Promise<Stage> {
  const folder = await makeTempFolder();
  onTestFinished(() => folder.remove());
  const db = await Database.open({
    file: join(folder.path, 'catalog.sqlite'),
    schema: CATALOG_SCHEMA,
    version: CATALOG_VERSION,
    isDerived: true,
    synchronous: 'NORMAL',
  });
  onTestFinished(() => db.close());
  const clock = new ManualClock();
  const writtenAt = (project: ProjectName): number | undefined =>
    db.get<{ at: number }>('SELECT learned_at AS at FROM dependencies WHERE project = ?', [project])
      ?.at;
  return { table: new DependencyTable(db, clock), db, clock, writtenAt };
}

describe('the dependency table', () => {
  it('knows what it has learned, word for word, and nothing else', async () => {
    const { table } = await setStage();
    expect(table.find(DEMO)).toBeUndefined();
    await table.learn(DEMO, LEARNED);
    expect(table.find(DEMO)).toEqual(LEARNED);
    expect(table.find('base' as ProjectName)).toBeUndefined();
    expect(table.size).toBe(1);
  });

  it('knows of a project that it needs nothing', async () => {
    const { table } = await setStage();
    await table.learn(DEMO, { ...LEARNED, requires: [] });
    expect(table.find(DEMO)?.requires).toEqual([]);
  });

  it.each([
    ['another version', { ...LEARNED, version: '2.0' }],
    ['other requirements', { ...LEARNED, requires: ['base>=3'] }],
    ['another index', { ...LEARNED, index: 'pypi https://other.example/simple/' }],
  ])('takes %s in place of what it knew', async (_what, later) => {
    const { table, clock, writtenAt } = await setStage();
    await table.learn(DEMO, LEARNED);
    clock.advance(1_000);
    await table.learn(DEMO, later);
    expect(table.find(DEMO)).toEqual(later);
    expect(table.size).toBe(1);
    expect(writtenAt(DEMO)).toBe(clock.now());
  });

  it('writes nothing when it learns what it knows', async () => {
    const { table, clock, writtenAt } = await setStage();
    await table.learn(DEMO, LEARNED);
    const before = writtenAt(DEMO);
    clock.advance(1_000);
    await table.learn(DEMO, { ...LEARNED, requires: [...LEARNED.requires] });
    expect(writtenAt(DEMO)).toBe(before);
  });

  it('keeps what it knew when a list is longer than 64 KiB', async () => {
    const { table } = await setStage();
    await table.learn(DEMO, LEARNED);
    const long = Array.from({ length: 4_000 }, (_, at) => `a-long-name-${at}; extra == "x"`);
    await table.learn(DEMO, { ...LEARNED, requires: long });
    expect(table.find(DEMO)).toEqual(LEARNED);
    const shorter = long.slice(0, 1_500);
    await table.learn(DEMO, { ...LEARNED, requires: shorter });
    expect(table.find(DEMO)?.requires).toEqual(shorter);
  });

  it('drops the projects that were learned first when there are more than 50,000', async () => {
    const { table, db } = await setStage();
    await db.write(() => {
      for (let at = 0; at < 50_010; at++) {
        db.run('INSERT INTO dependencies VALUES (?, ?, ?, ?, ?)', [
          `p${at}`,
          'pypi',
          '1',
          '[]',
          at,
        ]);
      }
    });
    await db.write(() => table.trim());
    expect(table.size).toBeLessThanOrEqual(50_001);
    expect(table.size).toBeGreaterThanOrEqual(50_000);
    expect(table.find('p0' as ProjectName)).toBeUndefined();
    expect(table.find('p8' as ProjectName)).toBeUndefined();
    expect(table.find('p10' as ProjectName)).toBeDefined();
    expect(table.find('p50009' as ProjectName)).toBeDefined();
  });

  it('drops nothing while there are fewer', async () => {
    const { table, db } = await setStage();
    await table.learn(DEMO, LEARNED);
    await db.write(() => table.trim());
    expect(table.size).toBe(1);
  });
});
