import { readFileSync, writeFileSync, chmodSync, statSync, utimesSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { silentLogger } from '../../src/core/logger.ts';
import { fetchAgain } from '../../src/repository/fetch-again.ts';
import { Scrub } from '../../src/store/verify/scrub.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { hold, stageFolder, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { runJson, runVerb } from '../support/verbs.ts';
import type { VerbStage } from '../support/verbs.ts';
import { writeWheel } from '../support/wheel-writer.ts';

const WHEELS = ['1.0', '1.1', '2.0'].map((version) =>
  writeWheel({ name: 'demo', version, paddingBytes: 10_000 }),
);
const OTHER = writeWheel({ name: 'Other.Thing', version: '1.0', paddingBytes: 10_000 });

interface Stage extends VerbStage {
  readonly mirror: TestMirror;
  readonly upstream: Awaited<ReturnType<typeof stageUpstream>>;
  /** The path of a file below the origin. */
  pathOf(version: string): string;
}

/** A running server that holds three wheels of `demo` and one of another project. */
async function heldStage(): Promise<Stage> {
  const [first, ...rest] = WHEELS;
  const upstream = await stageUpstream({
    projects: {
      demo: [first!, { ...rest[0]!, yanked: 'broken' }, rest[1]!],
      'other-thing': [OTHER],
    },
  });
  const cacheDir = await stageFolder();
  const mirror = await startMirror({ upstreams: [upstream], cacheDir });
  for (const { filename } of [...WHEELS, OTHER]) {
    const path = upstream.filePath(filename);
    await hold(mirror, path);
    await mirror.get(`${path}.metadata`);
  }
  await mirror.get(upstream.filePath(OTHER.filename));
  // Uses are noted when the body has left; one request later that is over.
  await mirror.get('/-/health');
  await mirror.mirror.store.catalog.flushUses();
  const pathOf = (version: string): string => upstream.filePath(`demo-${version}-py3-none-any.whl`);
  return { mirror, upstream, cacheDir, indexUrl: upstream.indexUrl, pathOf };
}

describe('ls', () => {
  it('lists projects with what is held of them, as a table and as JSON', async () => {
    const stage = await heldStage();
    const { projects, totals } = await runJson<{
      projects: {
        project: string;
        files: number;
        yanked: number;
        metadata: number;
        hits: number;
      }[];
      totals: object;
    }>(stage, 'ls');
    expect(projects).toMatchObject([
      { project: 'demo', files: 3, yanked: 1, metadata: 3, kept: 0, upstreams: ['pypi'] },
      { project: 'other-thing', files: 1, hits: 1 },
    ]);
    expect(totals).toMatchObject({ projects: 2, files: 4 });
    const { stdout } = await runVerb(stage, 'ls', 'Other_*');
    expect(stdout.split('\n')).toHaveLength(3);
    expect(stdout).toMatch(/^PROJECT +FILES +SIZE/);
    const bySize = await runJson<{ projects: { project: string }[] }>(
      stage,
      'ls',
      '--sort',
      'hits',
    );
    expect(bySize.projects.map(({ project }) => project)).toEqual(['other-thing', 'demo']);
  });

  it('makes no cache folder', async () => {
    const cacheDir = await stageFolder();
    const { code, stdout } = await runVerb({ cacheDir, indexUrl: 'http://127.0.0.1:9/' }, 'ls');
    expect([code, stdout, existsSync(cacheDir)]).toEqual([0, 'Nothing is held.\n', false]);
  });
});

describe('info', () => {
  it('shows files, pages, wishes and reasons', async () => {
    const stage = await heldStage();
    await runVerb(stage, 'keep', 'demo>=2');
    const { stdout } = await runVerb(stage, 'info', 'Demo');
    expect(stdout).toContain('demo: 3 files held');
    expect(stdout).toContain(`pypi (${stage.indexUrl}): page of`);
    expect(stdout).toContain('kept: >=2');
    expect(stdout).toMatch(/demo-1\.1\S+ .*metadata, yanked: broken/);
    expect(stdout).toMatch(/demo-2\.0\S+ .*metadata, kept/);
    const one = await runJson<{ files: { filename: string }[] }>(stage, 'info', 'demo==1.0');
    expect(one.files.map(({ filename }) => filename)).toEqual([
      WHEELS[0]!.filename,
      `${WHEELS[0]!.filename}.metadata`,
    ]);
    expect((await runVerb(stage, 'info', 'demo==9')).code).toBe(3);
    expect((await runVerb(stage, 'info', 'demo==')).code).toBe(2);
  });
});

describe('keep and gc', () => {
  it('evict what was used longest ago, and never what is kept, now or later', async () => {
    const stage = await heldStage();
    expect((await runVerb(stage, 'keep', 'demo==1.0', 'other.thing')).code).toBe(0);
    const limit = ['--max-size', '1B'];
    const dry = await runJson<{ bytes: number; files: { path: string; reason: string }[] }>(
      stage,
      'gc',
      '--dry-run',
      ...limit,
    );
    expect(dry.files.every(({ reason }) => reason === 'size')).toBe(true);
    expect(dry.files.filter(({ path }) => path.endsWith('.whl'))).toHaveLength(2);
    expect((await runJson<{ totals: { files: number } }>(stage, 'ls')).totals.files).toBe(4);
    const done = await runJson<{ bytes: number }>(stage, 'gc', ...limit);
    expect(done.bytes).toBe(dry.bytes);
    // The running server has noticed: it lists offline what is left.
    const { filenames } = await offlinePage(stage, 'demo');
    expect(filenames).toEqual([WHEELS[0]!.filename]);
    // A file of a kept version that is fetched later is kept as well.
    await runVerb(stage, 'keep', 'demo>=2');
    expect(sha256Of((await stage.mirror.get(stage.pathOf('2.0'))).body)).toBe(WHEELS[2]!.sha256);
    await runVerb(stage, 'gc', ...limit);
    const left = await runJson<{ files: { filename: string; pinned: boolean }[] }>(
      stage,
      'info',
      'demo',
    );
    expect(left.files.filter(({ filename }) => filename.endsWith('.whl'))).toMatchObject([
      { filename: WHEELS[0]!.filename, pinned: true },
      { filename: WHEELS[2]!.filename, pinned: true },
    ]);
    expect((await runVerb(stage, 'unkeep', 'demo==7')).code).toBe(3);
    expect((await runVerb(stage, 'unkeep', 'demo')).code).toBe(0);
    await runVerb(stage, 'gc', ...limit);
    expect((await runVerb(stage, 'info', 'demo==1.0')).code).toBe(3);
  });

  it('takes what nobody asked for again with --unused, but not what was fetched just now', async () => {
    const stage = await heldStage();
    const plan = (await runJson<{ files: object[] }>(stage, 'gc', '--unused', '--dry-run')).files;
    expect(plan).toEqual([]);
    const { eviction, catalog } = stage.mirror.mirror.store;
    stage.mirror.clock.advance(2 * 3_600_000);
    const planned = await eviction.plan({ unused: true });
    expect(planned.map(({ file }) => file.project)).not.toContain('nobody');
    expect(planned.filter(({ file }) => file.path.endsWith('.whl'))).toHaveLength(3);
    expect(planned.every(({ reason }) => reason === 'unused')).toBe(true);
    expect(catalog.heldCounts().files).toBe(4);
  });
});

describe('delete', () => {
  it('takes files out at once for clients, and their bytes after the grace', async () => {
    const stage = await heldStage();
    const { mirror, cacheDir } = stage;
    const { code, stdout } = await runVerb(stage, 'delete', 'demo==1.0');
    expect([code, stdout]).toEqual([0, expect.stringContaining('1 file deleted')]);
    expect((await offlinePage(stage, 'demo')).filenames).not.toContain(WHEELS[0]!.filename);
    const file = join(cacheDir, 'mirror', stage.pathOf('1.0'));
    expect(existsSync(file)).toBe(true);
    const page = readFileSync(join(cacheDir, 'mirror/demo/index.json'), 'utf8');
    expect(page).not.toContain('demo-1.0');
    // Offline, nothing brings it back.
    const offline = await startMirror({
      upstreams: [stage.upstream],
      cacheDir,
      settings: { offline: true, cache: mirror.config.cache },
    });
    expect((await offline.get(stage.pathOf('1.0'))).status).toBe(404);
    mirror.clock.advance(11 * 60_000);
    await mirror.mirror.store.eviction.run();
    expect(existsSync(file)).toBe(false);
    expect((await runVerb(stage, 'delete', 'demo==1.0')).code).toBe(3);
  });

  it('refuses what is kept', async () => {
    const stage = await heldStage();
    await runVerb(stage, 'keep', 'demo');
    const { code, stderr } = await runVerb(stage, 'delete', 'demo==1.0');
    expect([code, stderr]).toEqual([3, expect.stringContaining('wheelcellar unkeep "demo"')]);
  });
});

describe('refresh', () => {
  it('shows a running server within a second what is new', async () => {
    const stage = await heldStage();
    const { mirror, upstream } = stage;
    expect((await mirror.page('demo')).filenames).toHaveLength(3);
    upstream.setProject('demo', [...WHEELS, writeWheel({ name: 'demo', version: '3.0' })]);
    const before = upstream.count('/simple/demo/');
    const { projects } = await runJson<{ projects: object[] }>(
      stage,
      'refresh',
      'Demo',
      'other-thing',
    );
    expect(projects).toMatchObject([
      { project: 'demo', outcome: 'changed', upstream: 'pypi' },
      { project: 'other-thing', outcome: 'unchanged' },
    ]);
    expect(upstream.count('/simple/demo/')).toBe(before + 1);
    await vi.waitFor(async () => expect((await mirror.page('demo')).filenames).toHaveLength(4), {
      timeout: 1_000,
    });
  });

  it('tells by its status what it could not do', async () => {
    const stage = await heldStage();
    expect((await runVerb(stage, 'refresh')).code).toBe(2);
    expect((await runVerb(stage, 'refresh', 'nobody-has-this')).code).toBe(3);
    expect((await runVerb(stage, 'refresh', 'demo', '--offline')).code).toBe(4);
    await stage.upstream.down();
    expect((await runVerb(stage, 'refresh', '--all')).code).toBe(4);
    await stage.upstream.up();
    expect((await runVerb(stage, 'refresh', '--all', '--force')).code).toBe(0);
  });
});

describe('explain', () => {
  const machine = ['--python', '3.12', '--platform', 'manylinux_2_28_x86_64'];

  it('tells who answers, what is taken and why not the others', async () => {
    const stage = await heldStage();
    const found = await runJson<{ chosen: string; files: { filename: string; kind: string }[] }>(
      stage,
      'explain',
      'demo<2',
      ...machine,
    );
    expect(found).toMatchObject({
      answeredBy: 'pypi',
      indexes: [{ name: 'pypi', state: 'answers' }],
      page: { isFresh: true },
      chosen: WHEELS[0]!.filename,
      next: { file: expect.stringContaining('from the disk') },
    });
    expect(Object.fromEntries(found.files.map(({ filename, kind }) => [filename, kind]))).toEqual({
      [WHEELS[0]!.filename]: null,
      [WHEELS[1]!.filename]: 'yanked',
      [WHEELS[2]!.filename]: 'specifier',
    });
  });

  it('looks at extras as at the name: they are no part of which file is taken', async () => {
    const stage = await heldStage();
    interface Found {
      readonly chosen: string;
      readonly specifier: string;
    }
    const plain = await runJson<Found>(stage, 'explain', 'demo<2', ...machine);
    for (const spelling of ['demo[extra]<2', 'Demo[one, Two] < 2'])
      expect(await runJson<Found>(stage, 'explain', spelling, ...machine)).toMatchObject({
        answeredBy: 'pypi',
        chosen: plain.chosen,
      });
    const { code, stderr } = await runVerb(stage, 'explain', 'demo[extra', ...machine);
    expect([code, stderr]).toEqual([2, expect.stringContaining('names no project')]);
  });

  it('tells what is not held while offline, and asks nobody', async () => {
    const stage = await heldStage();
    await runVerb(stage, 'delete', 'demo==2.0');
    stage.upstream.forget();
    const { stdout } = await runVerb(stage, 'explain', 'demo', '--offline', ...machine);
    expect(stdout).toMatch(/demo-2\.0\S+ .*not held, and pypi is not asked/);
    expect(stdout).toMatch(/demo-1\.0\S+ .*taken/);
    expect((await runVerb(stage, 'explain', 'never-heard-of', ...machine)).code).toBe(3);
    expect(stage.upstream.requests).toEqual([]);
  });
});

describe('the slow pass of a server', () => {
  it('finds a damaged file, and fetches it again', async () => {
    const stage = await heldStage();
    const { store, repository } = stage.mirror.mirror;
    const file = join(stage.cacheDir, 'mirror', stage.pathOf('1.0'));
    const { atime, mtime } = statSync(file);
    const bytes = readFileSync(file);
    bytes[500]! ^= 1;
    chmodSync(file, 0o644);
    writeFileSync(file, bytes);
    utimesSync(file, atime, mtime);
    const fetched: string[] = [];
    const scrub = new Scrub(
      store,
      { bytesPerSecond: 50e6, startAfterMs: 0 },
      {
        clock: stage.mirror.clock,
        log: silentLogger,
        onDamaged: async (files) => {
          fetched.push(...files.map(({ filename }) => filename));
          const paths = files.map(({ path }) => path);
          await fetchAgain(repository, paths, new AbortController().signal);
        },
      },
    );
    onTestFinished(() => scrub.close());
    scrub.start();
    await vi.waitFor(() => expect(store.catalog.note('scrub')).toContain('"isFinished":true'), {
      timeout: 10_000,
    });
    expect(fetched).toEqual([WHEELS[0]!.filename]);
    expect(sha256Of(readFileSync(file))).toBe(WHEELS[0]!.sha256);
    expect((await runVerb(stage, 'verify')).code).toBe(0);
  });
});

async function offlinePage(
  stage: Stage,
  project: string,
): Promise<{ filenames: readonly string[] }> {
  const offline = await startMirror({
    upstreams: [stage.upstream],
    cacheDir: stage.cacheDir,
    settings: { offline: true, cache: stage.mirror.config.cache },
  });
  try {
    return await offline.page(project);
  } finally {
    await offline.stop();
  }
}
