import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import SQLite from 'better-sqlite3';
import { expect, it, vi } from 'vitest';
import type { Finding, VerifyReport } from '../../src/store/verify/report.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { startMirror, stageFolder, stageUpstream } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { startWalker } from '../support/mirror-walker.ts';
import { runJson, runVerb } from '../support/verbs.ts';
import type { VerbStage } from '../support/verbs.ts';
import { writeWheel } from '../support/wheel-writer.ts';
import type { WrittenWheel } from '../support/wheel-writer.ts';

const PROJECTS = 100;
const VERSIONS = 10;
const FILES = PROJECTS * VERSIONS;

type Report = VerifyReport & { readonly isWell: boolean };

/** Ways to damage a file, and what verify must say of each. */
const DAMAGES: readonly (readonly [
  name: string,
  problem: string,
  damage: (path: string) => void,
])[] = [
  ['one bit, time kept', 'wrong-digest', (path) => rewrite(path, (bytes) => flip(bytes), true)],
  ['one bit', 'wrong-digest', (path) => rewrite(path, (bytes) => flip(bytes), false)],
  ['truncated', 'wrong-size', (path) => rewrite(path, (bytes) => bytes.subarray(0, 100), true)],
  ['emptied', 'wrong-size', (path) => rewrite(path, () => Buffer.alloc(0), false)],
  ['deleted', 'missing', (path) => rmSync(path)],
  ['folder deleted', 'missing', (path) => rmSync(dirname(path), { recursive: true })],
  ['replaced by as many bytes', 'wrong-digest', (path) => replace(path)],
  ['a dead symlink', 'not-a-file', (path) => link(path, '/nonexistent/file')],
  ['a symlink to a file', 'not-a-file', (path) => link(path, '/etc/passwd')],
  ['a folder', 'not-a-file', (path) => (rmSync(path), mkdirSync(path))],
];

it('finds every damage of 1 % of 1,000 files beside a server, serves none, mends all', async () => {
  const stage = await heldFolder();
  const { mirror, wheels, paths } = stage;
  const mirrorDir = join(mirror.cacheDir, 'mirror');
  const planted = new Map<string, string>();
  for (const [at, [name, problem, damage]] of DAMAGES.entries()) {
    const path = paths[at * 97]!;
    damage(join(mirrorDir, path));
    planted.set(path, problem);
    if (name === 'folder deleted') planted.set(`${path}.metadata`, problem);
  }
  const others = plantOthers(mirrorDir, paths);
  // What was deleted or is a dead link is so by this test; nothing else may ever be.
  const broken = [...planted].filter(([path]) => !existsSync(join(mirrorDir, path)));
  const walker = await startWalker(
    mirrorDir,
    broken.map(([path]) => path),
  );

  const found = await runJson<Report>(stage, 'verify', '--offline');
  expect(outcomes(found, planted)).toEqual(
    [...planted].map(([path, problem]) => ({ path, problem, outcome: 'left-out' })),
  );
  expect(outcomes(found, others)).toEqual(
    [...others].map(([path, problem]) => ({
      path,
      problem,
      outcome: problem === 'wrong-digest' ? 'left-out' : 'found',
    })),
  );
  expect(found).toMatchObject({ isWell: false, files: FILES * 2, digested: expect.any(Number) });
  expect(found.findings).toHaveLength(planted.size + others.size);

  // The server has noticed: offline, none of them is listed any more, and nothing wrong is served.
  const offline = await startMirror({
    upstreams: [stage.upstream],
    cacheDir: mirror.cacheDir,
    settings: { offline: true, cache: mirror.config.cache },
  });
  for (const path of planted.keys()) {
    expect((await offline.get(`/${path}`)).status, path).toBe(404);
    expect((await offline.page(projectOf(path))).filenames).not.toContain(filenameOf(path));
  }
  await offline.stop();

  const mended = await runVerb(stage, 'verify', '--repair');
  expect(mended.stdout).toContain('0 not mended');
  expect(mended.code).toBe(0);
  const again = await runJson<Report>(stage, 'verify', '--repair');
  expect(again.findings).toEqual([]);
  const { rounds, dead } = await walker.stop();
  expect(dead.filter((path) => !path.includes('py4-none-any'))).toEqual([]);
  expect(rounds).toBeGreaterThan(3);
  for (const [at, path] of paths.entries()) {
    const { status, body } = await mirror.get(`/${path}`);
    expect([status, sha256Of(body)], path).toEqual([200, wheels[at]!.sha256]);
  }
}, 240_000);

it('leaves out and reports what cannot be fetched again', async () => {
  const stage = await heldFolder(3);
  const path = stage.paths[0]!;
  rewrite(join(stage.mirror.cacheDir, 'mirror', path), flip, true);
  await stage.upstream.down();
  const { code, stdout } = await runVerb(stage, 'verify', '--repair');
  expect(code).toBe(5);
  expect(stdout).toContain('left out');
  expect(stdout).toContain('1 not mended');
  await stage.upstream.up();
  expect((await runVerb(stage, 'verify')).code).toBe(0);
});

it('makes the catalog again from pages and files while a server runs', async () => {
  const stage = await heldFolder(5);
  const { mirror, paths, wheels } = stage;
  const { catalog } = mirror.mirror.store;
  await mirror.mirror.store.catalog.flushUses();
  // Rows that are gone, and one that says something wrong about good bytes.
  const lost = paths.slice(0, 20).map((path) => catalog.findFile('pypi', path)!);
  await Promise.all(lost.map((file) => catalog.forgetFile(file)));
  const wrong = catalog.findFile('pypi', paths[30]!)!;
  await catalog.addFile({ ...wrong, sha256: 'f'.repeat(64) }, () => {});
  const upstreamFiles = stage.upstream.count(/\.whl$/);
  const { code, stdout } = await runVerb(stage, 'verify', '--rebuild');
  expect(stdout).toContain('21 rows made again');
  expect(code).toBe(0);
  expect((await runJson<Report>(stage, 'verify')).findings).toEqual([]);
  for (const [at, path] of paths.entries())
    expect(sha256Of((await mirror.get(`/${path}`)).body)).toBe(wheels[at]!.sha256);
  // Nothing had to be fetched for it.
  expect(stage.upstream.count(/\.whl$/)).toBe(upstreamFiles);
});

it('begins a damaged catalog afresh, and what people decided holds on', async () => {
  const stage = await heldFolder(5);
  const { mirror, paths } = stage;
  await runVerb(stage, 'keep', 'demo-1');
  const catalog = join(mirror.cacheDir, 'state-v1/catalog.sqlite');
  await mirror.stop();
  rewrite(catalog, (bytes) => bytes.fill(7, 4096 * 3, bytes.length - 4096), false);
  const { code, stdout, stderr } = await runVerb(stage, 'verify', '--rebuild');
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toContain(`${paths.length} rows made again`);
  const { projects } = await runJson<{ projects: object[] }>(stage, 'ls');
  expect(projects).toHaveLength(5);
  expect(projects[1]).toMatchObject({ project: 'demo-1', files: 10, metadata: 10, kept: 10 });
});

it('makes a deleted catalog again while no server runs', async () => {
  const stage = await heldFolder(2);
  await stage.mirror.stop();
  removeCatalog(stage.mirror.cacheDir);
  const { code, stdout } = await runVerb(stage, 'verify', '--rebuild');
  expect(stdout).toContain(`${stage.paths.length} rows made again`);
  expect(code).toBe(0);
  const { projects } = await runJson<{ projects: object[] }>(stage, 'ls');
  expect(projects).toHaveLength(2);
});

it('goes on with a new catalog when the one of a running server is deleted', async () => {
  const stage = await heldFolder(2);
  const { mirror, paths, upstream } = stage;
  const { catalog } = mirror.mirror.store;
  const upstreamFiles = upstream.count(/\.whl$/);
  await mirror.get('/simple/demo-0/');
  removeCatalog(mirror.cacheDir);
  await vi.waitFor(() => expect(mirror.log.map(({ message }) => message)).toContain(LOST), WITHIN);
  await vi.waitFor(() => expect(catalog.heldCounts().files).toBe(paths.length), WITHIN);
  for (const path of paths) expect((await mirror.get(`/${path}`)).status).toBe(200);
  expect((await mirror.page('demo-0')).filenames).toHaveLength(VERSIONS);
  expect(upstream.count(/\.whl$/)).toBe(upstreamFiles);
  const { projects } = await runJson<{ projects: object[] }>(stage, 'ls');
  expect(projects).toHaveLength(2);
  expect(mirror.mirror.store.runningServers()).toHaveLength(1);
});

it('makes a damaged catalog again while a server runs', async () => {
  const stage = await heldFolder(2);
  const { mirror, paths } = stage;
  const { catalog } = mirror.mirror.store;
  await runVerb(stage, 'keep', 'demo-1');
  const file = join(mirror.cacheDir, 'state-v1/catalog.sqlite');
  // The newest pages lie in the log until then.
  const other = new SQLite(file);
  other.pragma('wal_checkpoint(TRUNCATE)');
  other.close();
  rewrite(file, (bytes) => bytes.fill(7, 4096 * 3, bytes.length - 4096), false);
  const { code, stderr } = await runVerb(stage, 'verify', '--rebuild');
  expect([code, stderr]).toEqual([0, '']);
  await vi.waitFor(() => expect(mirror.log.map(({ message }) => message)).toContain(LOST), WITHIN);
  await vi.waitFor(() => expect(catalog.heldCounts().files).toBe(paths.length), WITHIN);
  for (const path of paths) expect((await mirror.get(`/${path}`)).status).toBe(200);
  expect((await runJson<Report>(stage, 'verify')).findings).toEqual([]);
  const { projects } = await runJson<{ projects: object[] }>(stage, 'ls', 'demo-1');
  expect(projects[0]).toMatchObject({ project: 'demo-1', kept: VERSIONS });
});

const LOST = 'the catalog was lost; it is made again from pages and files';
const WITHIN = { timeout: 20_000, interval: 50 };

function removeCatalog(cacheDir: string): void {
  for (const suffix of ['', '-wal', '-shm'])
    rmSync(join(cacheDir, `state-v1/catalog.sqlite${suffix}`), { force: true });
}

interface HeldFolder extends VerbStage {
  readonly mirror: TestMirror;
  readonly upstream: Awaited<ReturnType<typeof stageUpstream>>;
  readonly wheels: readonly WrittenWheel[];
  /** Mirror paths, in the order of `wheels`. */
  readonly paths: readonly string[];
}

/** A running server that holds ten wheels of each project, with their core metadata. */
async function heldFolder(projects = PROJECTS): Promise<HeldFolder> {
  const wheels = Array.from({ length: projects * VERSIONS }, (_, at) =>
    writeWheel({ name: `demo-${Math.floor(at / VERSIONS)}`, version: `1.${at % VERSIONS}` }),
  );
  const upstream = await stageUpstream({
    projects: Object.fromEntries(
      Array.from({ length: projects }, (_, at) => [
        `demo-${at}`,
        wheels.slice(at * VERSIONS, (at + 1) * VERSIONS),
      ]),
    ),
  });
  const cacheDir = await stageFolder();
  const mirror = await startMirror({ upstreams: [upstream], cacheDir });
  const paths = wheels.map((wheel) =>
    decodeURIComponent(upstream.filePath(wheel.filename).slice(1)),
  );
  let next = 0;
  const fetchAll = async (): Promise<void> => {
    while (next < paths.length) {
      const path = paths[next++]!;
      await mirror.get(`/${path}`);
      await mirror.get(`/${path}.metadata`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, fetchAll));
  await mirror.mirror.store.finishStaticPages();
  expect(mirror.mirror.store.catalog.heldCounts().files).toBe(projects * VERSIONS);
  return { mirror, upstream, wheels, paths, cacheDir, indexUrl: upstream.indexUrl };
}

/** Damage to what lies around the files. */
function plantOthers(mirrorDir: string, paths: readonly string[]): Map<string, string> {
  const foreign = join(dirname(paths[500]!), 'other-1.0-py3-none-any.whl');
  writeFileSync(join(mirrorDir, foreign), 'not from here');
  const deadLink = join(dirname(paths[501]!), 'dead-1.0-py3-none-any.whl');
  symlinkSync('/nonexistent', join(mirrorDir, deadLink));
  const writable = paths[502]!;
  chmodSync(join(mirrorDir, writable), 0o666);
  const metadata = `${paths[503]!}.metadata`;
  rewrite(join(mirrorDir, metadata), flip, true);
  const gone = projectOf(paths[611]!);
  rmSync(join(mirrorDir, gone, 'index.html'));
  const edited = projectOf(paths[700]!);
  rewrite(
    join(mirrorDir, edited, 'index.json'),
    (bytes) => Buffer.from(bytes.toString().replaceAll('py3-none-any', 'py4-none-any')),
    false,
  );
  return new Map([
    [foreign, 'stranger'],
    [deadLink, 'stranger'],
    [writable, 'wrong-mode'],
    [metadata, 'wrong-digest'],
    [`${gone}/index.html`, 'page-missing'],
    [`${edited}/index.html`, 'dead-link'],
  ]);
}

function outcomes(
  report: Report,
  planted: ReadonlyMap<string, string>,
): Pick<Finding, 'path' | 'problem' | 'outcome'>[] {
  return [...planted.keys()].flatMap((path) =>
    report.findings
      .filter((finding) => finding.path === path)
      .map(({ problem, outcome }) => ({ path, problem, outcome })),
  ) as Pick<Finding, 'path' | 'problem' | 'outcome'>[];
}

function projectOf(path: string): string {
  return filenameOf(path).split('-')[0]!.replaceAll('_', '-');
}

function filenameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function rewrite(path: string, change: (bytes: Buffer) => Buffer, keepsTime: boolean): void {
  const { atime, mtime, mode } = statSync(path);
  const bytes = change(readFileSync(path));
  chmodSync(path, 0o644);
  writeFileSync(path, bytes);
  chmodSync(path, mode);
  if (keepsTime) utimesSync(path, atime, mtime);
}

function flip(bytes: Buffer): Buffer {
  bytes[Math.floor(bytes.length / 2)]! ^= 1;
  return bytes;
}

function replace(path: string): void {
  const { size } = statSync(path);
  rmSync(path);
  writeFileSync(path, Buffer.alloc(size, 'x'), { mode: 0o444 });
}

function link(path: string, target: string): void {
  rmSync(path);
  symlinkSync(target, path);
}
