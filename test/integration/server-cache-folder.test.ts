/** The cache folder as people treat it: the whole program over a fake upstream and a real folder. */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { eventually } from '../support/eventually.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { hold, stageFolder, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import type { WrittenFile } from '../support/wheel-writer.ts';

const DEFAULTS: Config = loadConfig({ env: {}, homeDir: '/nonexistent' });
const sdist = (version: string, name = 'demo', paddingBytes = 0): WrittenFile =>
  writeSdist({ name, version, paddingBytes });
const DEMO = [sdist('1.0'), writeWheel({ name: 'demo', version: '1.1' }), sdist('2.0')];
const [FIRST, WHEEL] = DEMO as [WrittenFile, WrittenFile, WrittenFile];

async function demoUpstream(files: readonly WrittenFile[] = DEMO): Promise<FakeUpstream> {
  return await stageUpstream({ projects: { demo: files } });
}

const onDisk = (mirror: TestMirror, path: string): string => join(mirror.cacheDir, 'mirror', path);

/** Every link of every static page leads to the bytes it names. */
function expectWholeTree(cacheDir: string): string[] {
  const root = join(cacheDir, 'mirror');
  const seen: string[] = [];
  for (const name of readdirSync(root)) {
    const page = join(root, name, 'index.html');
    if (!existsSync(page)) continue;
    for (const [, href = '', digest = ''] of readFileSync(page, 'utf8').matchAll(
      /href="([^"#]+)#sha256=([0-9a-f]+)"/g,
    )) {
      const file = join(dirname(page), decodeURIComponent(href));
      if (!existsSync(file)) throw new Error(`${page} lists ${href}, which is not there`);
      expect(sha256Of(readFileSync(file))).toBe(digest);
      seen.push(decodeURIComponent(href.slice(href.lastIndexOf('/') + 1)));
    }
  }
  return seen.toSorted();
}

describe('with an empty catalog', () => {
  it('a file is to be had before anything else was asked', async () => {
    const upstream = await demoUpstream();
    const { get } = await startMirror({ upstreams: [upstream] });
    for (const file of DEMO) {
      const answer = await get(upstream.filePath(file.filename));
      expect(sha256Of(answer.body)).toBe(file.sha256);
    }
  });

  it('because it was deleted, what is on the disk is found again', async () => {
    const upstream = await demoUpstream();
    const cacheDir = await stageFolder();
    const path = upstream.filePath(FIRST.filename);
    const before = await startMirror({ upstreams: [upstream], cacheDir });
    await before.page('demo');
    await hold(before, path);
    await before.stop();
    upstream.forget();
    for (const suffix of ['', '-wal', '-shm']) {
      rmSync(join(cacheDir, 'state-v1', `catalog.sqlite${suffix}`), { force: true });
    }
    const after = await startMirror({ upstreams: [upstream], cacheDir });
    expect(sha256Of((await after.get(path)).body)).toBe(FIRST.sha256);
    await vi.waitFor(() => expect(after.mirror.store.catalog.heldCounts().files).toBe(1), 5_000);
    expect(upstream.count(path)).toBe(0);
    await after.stop();
    const offline = await startMirror({
      upstreams: [upstream],
      cacheDir,
      settings: { offline: true },
    });
    expect((await offline.page('demo')).filenames).toEqual([FIRST.filename]);
  });
});

describe('a held file that was changed behind our back', () => {
  const changes: readonly (readonly [string, (path: string) => void])[] = [
    ['deleted', (path) => rmSync(path)],
    ['deleted with its folder', (path) => rmSync(dirname(path), { recursive: true })],
    ['truncated', (path) => (chmodSync(path, 0o644), truncateSync(path, 10))],
    ['emptied', (path) => (chmodSync(path, 0o644), truncateSync(path, 0))],
    ['replaced', (path) => (rmSync(path), writeFileSync(path, randomBytes(FIRST.content.length)))],
  ];

  it.each(changes)('(%s) is fetched again, and offline not served', async (_what, change) => {
    const upstream = await demoUpstream();
    const cacheDir = await stageFolder();
    const path = upstream.filePath(FIRST.filename);
    const mirror = await startMirror({ upstreams: [upstream], cacheDir });
    await hold(mirror, path);
    change(onDisk(mirror, path));
    expect(sha256Of((await mirror.get(path)).body)).toBe(FIRST.sha256);
    expect(upstream.count(path)).toBe(2);
    await hold(mirror, path);
    expect(sha256Of(readFileSync(onDisk(mirror, path)))).toBe(FIRST.sha256);
    change(onDisk(mirror, path));
    await mirror.stop();
    const offline = await startMirror({
      upstreams: [upstream],
      cacheDir,
      settings: { offline: true },
    });
    expect((await offline.get(path)).status).toBe(404);
    expect((await offline.page('demo')).status).toBe(404);
  });

  it('(its time only) is served all the same', async () => {
    const upstream = await demoUpstream();
    const mirror = await startMirror({ upstreams: [upstream] });
    const path = upstream.filePath(FIRST.filename);
    await hold(mirror, path);
    utimesSync(onDisk(mirror, path), new Date(0), new Date(0));
    expect(sha256Of((await mirror.get(path)).body)).toBe(FIRST.sha256);
    expect(upstream.count(path)).toBe(1);
  });

  it('(a copy of the whole folder without times) is served all the same, offline', async () => {
    const upstream = await demoUpstream();
    const cacheDir = await stageFolder();
    const before = await startMirror({ upstreams: [upstream], cacheDir });
    for (const file of DEMO) await hold(before, upstream.filePath(file.filename));
    await before.stop();
    const copy = await stageFolder();
    cpSync(cacheDir, copy, { recursive: true, preserveTimestamps: false });
    const mirror = await startMirror({
      upstreams: [upstream],
      cacheDir: copy,
      settings: { offline: true },
    });
    const { urls, filenames } = await mirror.page('demo');
    expect(filenames).toHaveLength(3);
    for (const file of DEMO) {
      expect(sha256Of((await mirror.get(urls[file.filename] ?? '')).body)).toBe(file.sha256);
    }
  });
});

describe('a mirror folder that others made', () => {
  it('is listed and served as it is, and nothing in it changes', async () => {
    const cacheDir = await stageFolder();
    const safe = writeWheel({ name: 'MarkupSafe', version: '2.0' });
    const flat = writeWheel({ name: 'flat-one', version: '1.0' });
    const theirs = join(cacheDir, 'mirror', 'MarkupSafe');
    mkdirSync(theirs, { recursive: true });
    writeFileSync(join(theirs, safe.filename), safe.content);
    writeFileSync(join(theirs, 'index.html'), '<a href="x">theirs</a>');
    writeFileSync(join(cacheDir, 'mirror', flat.filename), flat.content);
    writeFileSync(join(cacheDir, 'mirror', 'notes.txt'), 'mine');
    const upstream = await stageUpstream();
    const mirror = await startMirror({
      upstreams: [upstream],
      cacheDir,
      settings: { offline: true },
    });
    for (const [project, file] of [
      ['markupsafe', safe],
      ['flat-one', flat],
    ] as const) {
      await vi.waitFor(
        async () => expect((await mirror.page(project)).filenames).toEqual([file.filename]),
        5_000,
      );
      const url = (await mirror.page(project)).urls[file.filename] ?? '';
      expect(sha256Of((await mirror.get(url)).body)).toBe(file.sha256);
    }
    await mirror.mirror.store.flushStaticPages();
    expect(readFileSync(join(theirs, safe.filename)).equals(safe.content)).toBe(true);
    expect(readFileSync(join(theirs, 'index.html'), 'utf8')).toBe('<a href="x">theirs</a>');
    expect(readFileSync(join(cacheDir, 'mirror', 'notes.txt'), 'utf8')).toBe('mine');
    expect(existsSync(join(cacheDir, 'mirror', flat.filename))).toBe(true);
    expect(expectWholeTree(cacheDir)).toEqual([flat.filename, safe.filename].toSorted());
  });

  it('is listed beside what the index has, and again after a restart', async () => {
    const cacheDir = await stageFolder();
    const own = writeWheel({ name: 'demo', version: '0.5' });
    mkdirSync(join(cacheDir, 'mirror', 'demo'), { recursive: true });
    writeFileSync(join(cacheDir, 'mirror', 'demo', own.filename), own.content);
    const upstream = await demoUpstream();
    for (let start = 0; start < 2; start++) {
      const mirror = await startMirror({ upstreams: [upstream], cacheDir });
      await vi.waitFor(
        async () =>
          expect((await mirror.page('demo')).versions).toEqual(['0.5', '1.0', '1.1', '2.0']),
        5_000,
      );
      const { urls } = await mirror.page('demo');
      expect(sha256Of((await mirror.get(urls[own.filename] ?? '')).body)).toBe(own.sha256);
      await mirror.stop();
    }
  });
});

describe('an added file', () => {
  async function added(mirror: TestMirror, file: WrittenFile): Promise<void> {
    const path = join(dirname(mirror.cacheDir), file.filename);
    writeFileSync(path, file.content);
    await mirror.mirror.store.local.add(path);
  }

  it('is listed at once, and its project is never asked for upstream', async () => {
    const upstream = await demoUpstream();
    const mirror = await startMirror({ upstreams: [upstream] });
    expect((await mirror.page('demo')).versions).toHaveLength(3);
    upstream.forget();
    const own = writeWheel({ name: 'demo', version: '7.0' });
    await added(mirror, own);
    const { versions, urls } = await mirror.page('demo');
    expect(versions).toEqual(['7.0']);
    expect(sha256Of((await mirror.get(urls[own.filename] ?? '')).body)).toBe(own.sha256);
    expect(upstream.requests).toHaveLength(0);
    await mirror.mirror.store.flushStaticPages();
    expect(expectWholeTree(mirror.cacheDir)).toEqual([own.filename]);
  });

  it('may be added again with the same bytes, not with others', async () => {
    const mirror = await startMirror({ upstreams: [] });
    const own = sdist('7.0');
    await added(mirror, own);
    await added(mirror, own);
    const other = { ...own, content: sdist('7.0', 'demo', 100).content };
    await expect(added(mirror, other)).rejects.toThrow(/already with other bytes/);
    const { urls } = await mirror.page('demo');
    expect(sha256Of((await mirror.get(urls[own.filename] ?? '')).body)).toBe(own.sha256);
  });

  it('keeps working in files that lock files have from before', async () => {
    const upstream = await demoUpstream();
    const mirror = await startMirror({ upstreams: [upstream] });
    const path = upstream.filePath(FIRST.filename);
    await hold(mirror, path);
    await added(mirror, writeWheel({ name: 'demo', version: '7.0' }));
    expect(sha256Of((await mirror.get(path)).body)).toBe(FIRST.sha256);
  });
});

describe('when the cache is full', () => {
  it('the least recently used go: from the page first, from the disk after the grace', async () => {
    const files = ['1.0', '2.0', '3.0', '4.0'].map((version) => sdist(version, 'demo', 100_000));
    const upstream = await demoUpstream(files);
    const settings = {
      cache: { ...DEFAULTS.cache, maxSizeBytes: 350_000, graceMs: 60_000, reserveBytes: 0 },
    };
    const cacheDir = await stageFolder();
    const mirror = await startMirror({
      upstreams: [upstream],
      cacheDir,
      settings: { ...settings, cache: { ...settings.cache, dir: cacheDir } },
    });
    const { store } = mirror.mirror;
    for (const file of files) {
      await hold(mirror, upstream.filePath(file.filename));
      mirror.clock.advance(1_000);
    }
    await eventually(async () => {
      await store.eviction.run();
      expect(store.catalog.heldCounts().bytes).toBeLessThanOrEqual(350_000);
    });
    await store.flushStaticPages();
    const held = store.catalog.heldCounts();
    expect(held.files).toBeGreaterThan(0);
    const oldest = join(cacheDir, 'mirror', upstream.filePath('demo-1.0.tar.gz'));
    const listed = expectWholeTree(cacheDir);
    expect(listed).toHaveLength(held.files);
    expect(listed).not.toContain('demo-1.0.tar.gz');
    expect(existsSync(oldest)).toBe(true);
    mirror.clock.advance(61_000);
    await store.eviction.run();
    expect(existsSync(oldest)).toBe(false);
    expectWholeTree(cacheDir);
    expect(sha256Of((await mirror.get(upstream.filePath('demo-1.0.tar.gz'))).body)).toBe(
      files[0]?.sha256,
    );
  });
});

describe('the static mirror', () => {
  it('lists a stored file within a second, readable by others, and nothing that is not there', async () => {
    const upstream = await demoUpstream();
    const mirror = await startMirror({ upstreams: [upstream] });
    await mirror.page('demo');
    await hold(mirror, upstream.filePath(WHEEL.filename));
    await vi.waitFor(
      () => expect(expectWholeTree(mirror.cacheDir)).toEqual([WHEEL.filename]),
      1_500,
    );
    const file = onDisk(mirror, upstream.filePath(WHEEL.filename));
    expect(statSync(file).mode & 0o777).toBe(0o444);
    expect(statSync(dirname(file)).mode & 0o777).toBe(0o755);
    // The root page comes right behind that of the project.
    const root = join(mirror.cacheDir, 'mirror', 'index.html');
    await vi.waitFor(() => expect(readFileSync(root, 'utf8')).toContain('href="demo/"'), 1_000);
    expect(statSync(join(mirror.cacheDir, 'state-v1')).mode & 0o777).toBe(0o700);
  });
});
