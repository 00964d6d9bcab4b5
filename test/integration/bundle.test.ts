import { readFileSync, readdirSync } from 'node:fs';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import Sqlite from 'better-sqlite3';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createBundle } from '../../src/bundle/create-bundle.ts';
import type { CreatedBundle } from '../../src/bundle/create-bundle.ts';
import type { ImportedBundle } from '../../src/bundle/import-bundle.ts';
import { makeBigFolder } from '../support/big-folder.ts';
import type { BigFolder } from '../support/big-folder.ts';
import { eventually } from '../support/eventually.ts';
import { index, indexAt, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { ARCHIVE_LIES, entriesOf, FOLDER_LIES, packArchive } from '../support/tampered-bundle.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { treeOf } from '../support/tree-snapshot.ts';
import { runJson, runVerb } from '../support/verbs.ts';
import type { VerbStage } from '../support/verbs.ts';
import { writeWheel } from '../support/wheel-writer.ts';

const NOBODY = 'http://127.0.0.1:9/simple/';

interface Stage extends VerbStage {
  readonly folder: string;
  readonly big: BigFolder;
  /** Another machine: a cache folder that holds nothing. */
  readonly there: VerbStage;
}

async function setStage(files = 12): Promise<Stage> {
  const temp = await makeTempFolder('wheelcellar-bundle-');
  onTestFinished(() => temp.remove());
  const cacheDir = join(temp.path, 'cache');
  const big = await makeBigFolder({ cacheDir, files, filesPerProject: 4, indexUrl: NOBODY });
  const there = { cacheDir: join(temp.path, 'there'), indexUrl: NOBODY };
  return { folder: temp.path, big, cacheDir, indexUrl: NOBODY, there };
}

/** A server on the folder that asks nobody. */
async function serve({ cacheDir }: VerbStage): Promise<TestMirror> {
  const settings = { upstreams: [indexAt('pypi', NOBODY)], offline: true };
  return await startMirror({ upstreams: [], cacheDir, settings });
}

const CREATE = ['bundle', 'create', '--all', '--no-tools', '--offline'];

async function create(stage: Stage, name: string, ...more: string[]): Promise<string> {
  const output = join(stage.folder, name);
  const result = await runVerb(stage, ...CREATE, '-o', output, ...more);
  expect(result.code, result.stderr).toBe(0);
  return output;
}

async function heldNames({ cacheDir }: VerbStage): Promise<string[]> {
  const rows = rowsOf(cacheDir)['files'] as { kind: string; filename: string }[];
  return rows.filter(({ kind }) => kind === 'distribution').map(({ filename }) => filename);
}

/** All that the catalog says of files, pages and projects. */
function rowsOf(cacheDir: string): Record<string, unknown[]> {
  const database = new Sqlite(join(cacheDir, 'state-v1', 'catalog.sqlite'), { readonly: true });
  try {
    const tables = ['files', 'pages', 'projects', 'departed'];
    return Object.fromEntries(
      tables.map((table) => [table, database.prepare(`SELECT * FROM ${table}`).all()]),
    );
  } finally {
    database.close();
  }
}

/** Everything that a refused import must leave as it is. */
async function stateOf({ cacheDir }: VerbStage): Promise<unknown> {
  return {
    mirror: await treeOf(join(cacheDir, 'mirror')),
    rows: rowsOf(cacheDir),
    pages: await treeOf(join(cacheDir, 'state-v1', 'pages')),
    partial: readdirSync(join(cacheDir, 'state-v1', 'partial')),
    state: readdirSync(join(cacheDir, 'state-v1')).toSorted(),
  };
}

describe('bundle', () => {
  it.each(['bundle.tar.gz', 'bundle.tar', 'bundle'])(
    'carries all that is held as %s, and once more changes nothing',
    async (name) => {
      const stage = await setStage();
      const { there } = stage;
      // Its static pages have not been written yet.
      await runVerb(stage, 'verify', '--repair', '--offline');
      const bundle = await create(stage, name);
      expect((await runVerb(there, 'bundle', 'verify', bundle)).stdout).toContain('is whole');
      const first = await runJson<ImportedBundle>(there, 'bundle', 'import', bundle);
      expect(first).toMatchObject({ imported: 12, held: 0, local: 0, projects: 3 });
      expect(await heldNames(there)).toEqual(await heldNames(stage));
      // The very same pages as where it came from.
      for (const page of ['project-000001/index.html', 'project-000002/index.json', 'index.html'])
        expect(readFileSync(join(there.cacheDir, 'mirror', page), 'utf8')).toBe(
          readFileSync(join(stage.cacheDir, 'mirror', page), 'utf8'),
        );
      const before = await treeOf(join(there.cacheDir, 'mirror'));
      const rows = rowsOf(there.cacheDir)['files'];
      const second = await runJson<ImportedBundle>(there, 'bundle', 'import', bundle);
      expect(second).toMatchObject({ imported: 0, held: 12, importedBytes: 0 });
      expect(await treeOf(join(there.cacheDir, 'mirror'))).toEqual(before);
      expect(rowsOf(there.cacheDir)['files']).toEqual(rows);
      expect((await runVerb(there, 'verify')).stdout).toContain('all is well');
    },
  );

  it('is the same to the byte from another folder, at another time, with another umask', async () => {
    const stage = await setStage();
    const one = await create(stage, 'one.tar.gz');
    const folderOne = await create(stage, 'folder-one');
    const umask = process.umask(0o077);
    onTestFinished(() => void process.umask(umask));
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const copied = { ...stage, cacheDir: join(stage.folder, 'copied', 'cache') };
    await cp(stage.cacheDir, copied.cacheDir, { recursive: true });
    const two = await create(copied, 'two.tar.gz');
    const folderTwo = await create(copied, 'folder-two');
    expect((await readFile(one)).equals(await readFile(two))).toBe(true);
    expect(await treeOf(folderTwo)).toEqual(await treeOf(folderOne));
    // The archive tells no time of its own.
    expect((await readFile(one)).readUInt32LE(4)).toBe(0);
  });

  it.each(FOLDER_LIES)('refuses $name and changes nothing', async ({ words, tell }) => {
    const stage = await setStage();
    const { there } = stage;
    const bundle = await create(stage, 'bundle');
    // Something is held there already, and stays as it is.
    const other = await setStage(1);
    await runJson(there, 'bundle', 'import', await create(other, 'first.tar.gz'));
    const before = await stateOf(there);
    await tell(bundle);
    for (const action of ['verify', 'import']) {
      const { code, stderr } = await runVerb(there, 'bundle', action, bundle);
      expect([code, stderr]).toEqual([5, expect.stringMatching(words)]);
    }
    expect(await stateOf(there)).toEqual(before);
  });

  it.each(ARCHIVE_LIES)(
    'refuses an archive with $name and changes nothing',
    async ({ words, tell, after = (archive) => archive }) => {
      const stage = await setStage();
      const { there } = stage;
      const entries = await entriesOf(await create(stage, 'bundle'));
      const bundle = join(stage.folder, 'lie.tar.gz');
      await writeFile(bundle, packArchive(entries));
      expect((await runVerb(there, 'bundle', 'verify', bundle)).code).toBe(0);
      const other = await setStage(1);
      await runJson(there, 'bundle', 'import', await create(other, 'first.tar.gz'));
      const before = await stateOf(there);
      await writeFile(bundle, after(packArchive(tell(entries))));
      for (const action of ['verify', 'import']) {
        const { code, stderr } = await runVerb(there, 'bundle', action, bundle);
        expect([code, stderr]).toEqual([5, expect.stringMatching(words)]);
      }
      expect(await stateOf(there)).toEqual(before);
    },
  );

  it('holds exactly what a recorded set names', async () => {
    const stage = await setStage();
    const server = await serve(stage);
    const { catalog, records } = server.mirror.store;
    const rows = stage.big.files
      .slice(0, 3)
      .flatMap(({ path }) => catalog.findFile('pypi', path) ?? []);
    const files = rows.flatMap((row) =>
      row.entry === null
        ? []
        : [{ ...row, entry: row.entry, version: null, metadataSha256: null, lastUsed: 1 }],
    );
    await records.sets.put({ name: 'image', recordedAt: 0, command: [], pages: [], files });
    await server.stop();
    const output = join(stage.folder, 'set.tar.gz');
    const argv = ['bundle', 'create', '--no-tools', '--offline', '-o', output, '--set'];
    expect(await runJson(stage, ...argv, 'image')).toMatchObject({ files: 3, projects: 1 });
    const unknown = await runVerb(stage, ...argv, 'other');
    expect([unknown.code, unknown.stderr]).toEqual([
      3,
      expect.stringContaining('There is no recorded set "other"'),
    ]);
  });

  it('refuses a file that is held here with other bytes', async () => {
    const stage = await setStage();
    const bundle = await create(stage, 'bundle.tar.gz');
    await runJson(stage.there, 'bundle', 'import', bundle);
    const [file] = stage.big.files;
    const database = new Sqlite(join(stage.there.cacheDir, 'state-v1', 'catalog.sqlite'));
    database.prepare('UPDATE files SET sha256 = ? WHERE path = ?').run('0'.repeat(64), file?.path);
    database.close();
    const { code, stderr } = await runVerb(stage.there, 'bundle', 'import', bundle);
    expect([code, stderr]).toEqual([5, expect.stringContaining('is known here with the sha256')]);
  });

  it('adds only what an earlier bundle lacks, and asks for that one', async () => {
    const stage = await setStage(8);
    const base = await create(stage, 'base.tar.gz');
    await makeBigFolder({
      cacheDir: stage.cacheDir,
      files: 12,
      filesPerProject: 4,
      indexUrl: NOBODY,
    });
    const output = join(stage.folder, 'delta.tar.gz');
    const delta = await runJson<CreatedBundle>(stage, ...CREATE, '-o', output, '--since', base);
    expect(delta).toMatchObject({ files: 4, needs: 8, projects: 3 });
    const verified = await runVerb(stage.there, 'bundle', 'verify', output);
    expect([verified.code, verified.stdout]).toEqual([0, expect.stringContaining('8 files')]);
    const early = await runVerb(stage.there, 'bundle', 'import', output);
    expect([early.code, early.stderr]).toEqual([
      3,
      expect.stringMatching(/of which 8 files are not here: project/),
    ]);
    expect(await heldNames(stage.there)).toEqual([]);
    await runJson(stage.there, 'bundle', 'import', base);
    expect(await runJson(stage.there, 'bundle', 'import', output)).toMatchObject({ imported: 4 });
    expect(await heldNames(stage.there)).toEqual(await heldNames(stage));
  });

  it('is listed within a second by servers that are running', async () => {
    const stage = await setStage();
    const bundle = await create(stage, 'bundle.tar.gz');
    const servers = [await serve(stage.there), await serve(stage.there)];
    await runJson(stage.there, 'bundle', 'import', bundle);
    const until = performance.now() + 1_000;
    for (const server of servers) {
      await vi.waitFor(
        async () => expect((await server.get('/simple/')).text).toContain('project-000001'),
        { timeout: until - performance.now(), interval: 50 },
      );
    }
  });

  it('brings files of an index that is not known here as local ones', async () => {
    const stage = await setStage();
    const wheel = writeWheel({ name: 'private-thing', version: '1.0' });
    const second = await stageUpstream({ projects: { 'private-thing': [wheel] } });
    const upstreams = [
      index('second', second, { projects: ['private-*'] }),
      indexAt('pypi', NOBODY),
    ];
    const { cacheDir } = stage;
    const server = await startMirror({ upstreams: [], cacheDir, settings: { upstreams } });
    const { urls } = await server.page('private-thing');
    expect((await server.get(urls[wheel.filename] ?? '')).status).toBe(200);
    await eventually(() => expect(rowsOf(cacheDir)['files']?.length).toBeGreaterThan(13));
    const output = join(stage.folder, 'bundle.tar.gz');
    const options = { output, since: null, mtimeSeconds: 0, signal: new AbortController().signal };
    await createBundle(server.mirror, 'all', options);
    await server.stop();
    for (const imported of [13, 0]) {
      const report = await runJson<ImportedBundle>(stage.there, 'bundle', 'import', output);
      expect(report).toMatchObject({ imported, held: 13 - imported, local: 1 });
    }
    const rows = rowsOf(stage.there.cacheDir)['files'] as Record<string, string>[];
    const own = rows.filter(({ project }) => project === 'private-thing');
    // The wheel, and its core metadata beside it.
    expect(own.map((row) => [row['upstream'], row['origin'], row['path']])).toEqual(
      ['', '.metadata'].map((ending) => [
        'local',
        'adopted',
        expect.stringMatching(new RegExp(`^packages/-/local/-/packages/-/second/.*whl${ending}$`)),
      ]),
    );
    const there = await serve(stage.there);
    expect((await there.page('private-thing')).filenames).toEqual([wheel.filename]);
  });

  it('comes back with a catalog that is made again', async () => {
    const stage = await setStage();
    await runJson(stage.there, 'bundle', 'import', await create(stage, 'bundle.tar.gz'));
    const state = join(stage.there.cacheDir, 'state-v1');
    for (const name of readdirSync(state).filter((each) => each.startsWith('catalog.sqlite')))
      await rm(join(state, name));
    await serve(stage.there);
    await vi.waitFor(
      async () => expect(await heldNames(stage.there)).toEqual(await heldNames(stage)),
      { timeout: 10_000, interval: 100 },
    );
  });

  it('is not written over a folder with something in it, nor from a damaged file', async () => {
    const stage = await setStage();
    const { code, stderr } = await runVerb(stage, ...CREATE, '-o', stage.folder);
    expect([code, stderr]).toEqual([3, expect.stringContaining('There is something in')]);
    const [file] = stage.big.files;
    const path = join(stage.cacheDir, 'mirror', file?.path ?? '');
    const bytes = await readFile(path);
    await rm(path);
    await writeFile(path, Buffer.alloc(bytes.length));
    const output = join(stage.folder, 'bundle.tar.gz');
    const damaged = await runVerb(stage, ...CREATE, '-o', output);
    expect([damaged.code, damaged.stderr]).toEqual([
      5,
      expect.stringContaining('is not what the catalog says'),
    ]);
    expect(readdirSync(stage.folder).toSorted()).toEqual(['cache']);
  });
});
