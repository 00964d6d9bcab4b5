/** Table C: faults of this machine. Disk, clock, processes; against the whole program. */
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, vi } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import { download } from '../support/download.ts';
import { eventually } from '../support/eventually.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import { JSON_PAGE, hold, stageFolder, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { startServer } from '../support/server-process.ts';
import { faultTable } from './fault-row.ts';
import { NEWER, PAGE, WHEEL, blob, listed, stage } from './fault-stage.ts';

const BASE = loadConfig({ env: {}, homeDir: '/nonexistent' });
const NAMES = [WHEEL.filename, NEWER.filename];
const OFFLINE = { offline: true };
const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

const onDisk = (mirror: TestMirror, path: string): string =>
  join(mirror.cacheDir, 'mirror', decodeURIComponent(path.slice(1)));

/** Changes a held file behind the back of the mirror, which then serves the right bytes all the same. */
async function healsItself(harm: (file: string) => void): Promise<void> {
  const { mirror, upstream, wheelPath } = await stage();
  await hold(mirror, wheelPath);
  const file = onDisk(mirror, wheelPath);
  chmodSync(dirname(file), 0o755);
  harm(file);
  upstream.forget();
  const answer = await mirror.get(wheelPath);
  expect([answer.status, sha256Of(answer.body)]).toEqual([200, sha256Of(WHEEL.content)]);
  await hold(mirror, wheelPath);
  expect(upstream.count(/\.whl$/, 'GET')).toBe(1);
  await eventually(() => expect(sha256Of(readFileSync(file))).toBe(sha256Of(WHEEL.content)));
}

/** Overwrites the middle of a file and leaves its length. */
function flip(file: string): void {
  chmodSync(file, 0o644);
  const bytes = readFileSync(file);
  bytes[1_000] = (bytes[1_000] ?? 0) ^ 0xff;
  writeFileSync(file, bytes);
}

/** A run that fills the cache folder; then harm is done, and another run starts. */
async function restarted(
  harm: (stateDir: string) => void,
  settings = {},
): Promise<{ mirror: TestMirror; wheelPath: string }> {
  const upstream = await stageUpstream({ projects: { demo: [WHEEL, NEWER] } });
  const wheelPath = upstream.filePath(WHEEL.filename);
  const cacheDir = await stageFolder();
  const first = await startMirror({ upstreams: [upstream], cacheDir });
  await hold(first, wheelPath);
  await first.stop();
  harm(join(cacheDir, 'state-v1'));
  const mirror = await startMirror({ upstreams: [upstream], cacheDir, settings });
  return { mirror, wheelPath };
}

const removeAll = (stateDir: string, prefix: string): void => {
  for (const name of readdirSync(stateDir))
    if (name.startsWith(prefix)) rmSync(join(stateDir, name));
};

/** Everything that was held is listed and served, with no index asked. */
async function servesWhatItHad(mirror: TestMirror, wheelPath: string): Promise<void> {
  await vi.waitFor(
    async () => expect(await listed(mirror), JSON.stringify(mirror.log)).toContain(WHEEL.filename),
    5_000,
  );
  expect((await mirror.get(wheelPath)).body.equals(WHEEL.content)).toBe(true);
}

/** The data of fills; notes of failures beside them are for other processes, until the next sweep. */
const partials = (cacheDir: string): string[] =>
  readdirSync(join(cacheDir, 'state-v1', 'partial')).filter((name) => name.endsWith('.part'));

/** A file system of 6 MB, or `null` when this user may not mount one. */
async function smallDisk(): Promise<string | null> {
  const folder = await stageFolder();
  mkdirSync(folder, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'none', folder], { stdio: 'ignore' });
  } catch {
    return null;
  }
  onTestFinished(() => void execFileSync('umount', ['-l', folder]));
  return folder;
}

const mayMount = process.getuid?.() === 0;

faultTable('C: faults of the machine', [
  {
    id: 'C1',
    what: 'a held file that is deleted, truncated or replaced is fetched again',
    run: async () => {
      await healsItself((file) => unlinkSync(file));
      await healsItself((file) => truncateSync(file, 1_000));
      await healsItself((file) => truncateSync(file, 0));
      await healsItself((file) => rmSync(dirname(file), { recursive: true }));
      await healsItself((file) => {
        unlinkSync(file);
        mkdirSync(file);
        rmSync(file, { recursive: true });
      });
    },
  },
  {
    id: 'C1',
    what: 'a stored page that is deleted or cut is fetched again; offline what is held is listed',
    run: async () => {
      for (const harm of [
        (page: string) => unlinkSync(page),
        (page: string) => truncateSync(page, 40),
      ]) {
        const { mirror } = await restarted((stateDir) =>
          harm(join(stateDir, 'pages', 'pypi', 'demo.json')),
        );
        expect(await listed(mirror)).toEqual(NAMES);
      }
      const offline = await restarted(
        (stateDir) => rmSync(join(stateDir, 'pages'), { recursive: true }),
        OFFLINE,
      );
      await servesWhatItHad(offline.mirror, offline.wheelPath);
    },
  },
  {
    id: 'C2',
    what: 'bytes that rot are never served; online they are fetched again, offline the file is gone',
    run: async () => {
      await healsItself(flip);
      const { mirror, wheelPath } = await restarted((stateDir) => {
        const packages = join(dirname(stateDir), 'mirror', 'packages');
        const file = readdirSync(packages, { recursive: true, encoding: 'utf8' }).find((name) =>
          name.endsWith('.whl'),
        );
        flip(join(packages, file ?? ''));
      }, OFFLINE);
      const answer = await mirror.get(wheelPath);
      expect([404, 502]).toContain(answer.status);
    },
  },
  {
    id: 'C3',
    what: 'with the reserve touched a client gets its file, nothing is kept, and storing comes back',
    run: async () => {
      const dir = await stageFolder();
      const upstream = await stageUpstream({ projects: { demo: [WHEEL] } });
      const wheelPath = upstream.filePath(WHEEL.filename);
      const settings = { cache: { ...BASE.cache, dir, reserveBytes: 2 ** 60 } };
      const mirror = await startMirror({ upstreams: [upstream], cacheDir: dir, settings });
      for (let round = 0; round < 3; round++) {
        const answer = await mirror.get(wheelPath);
        expect(answer.body.equals(WHEEL.content)).toBe(true);
      }
      expect(existsSync(onDisk(mirror, wheelPath))).toBe(false);
      expect(partials(dir)).toEqual([]);
    },
  },
  {
    id: 'C3',
    what: 'on a full disk clients get their files, no part is kept, and it recovers by itself',
    ...(mayMount ? {} : { skipped: 'only root may mount a small disk' }),
    run: async () => {
      const cacheDir = await smallDisk();
      if (cacheDir === null) return;
      const files = Array.from({ length: 6 }, (_, at) =>
        blob(`demo-${at}.0.tar.gz`, 300_000 + 4 * at),
      );
      const upstream = await stageUpstream({ projects: { demo: files } });
      const settings = { cache: { ...BASE.cache, dir: cacheDir, reserveBytes: 0 } };
      const mirror = await startMirror({ upstreams: [upstream], cacheDir, settings });
      const filler = join(cacheDir, 'filler');
      const getsAll = async (): Promise<void> => {
        const got = await Promise.all(
          files.map((file) => download(mirror.origin + upstream.filePath(file.filename))),
        );
        for (const [at, file] of files.entries())
          expect([got[at]?.status, got[at]?.isComplete, got[at]?.sha256]).toEqual([
            200,
            true,
            sha256Of(file.content),
          ]);
      };
      await listed(mirror);
      execFileSync('sh', ['-c', `cat /dev/zero > ${filler} 2>/dev/null || true`]);
      await getsAll();
      expect(partials(cacheDir)).toEqual([]);
      rmSync(filler);
      await getsAll();
      await eventually(() => {
        const { catalog } = mirror.mirror.store;
        expect(catalog.heldCounts().files).toBeGreaterThanOrEqual(1);
      });
      expect(mirror.mirror.store.catalog.quickCheck()).toBe('ok');
    },
  },
  {
    id: 'C4',
    what: 'a process that is killed in mid-fill leaves nothing wrong, and the next one goes on',
    run: async () => {
      const big = blob('demo-1.0.tar.gz', 4_000_000);
      const upstream = await stageUpstream({ projects: { demo: [big] } });
      const path = upstream.filePath(big.filename);
      const cacheDir = await stageFolder();
      const args = ['--index-url', upstream.indexUrl];
      const victim = await startServer({ cacheDir, args });
      upstream.fault(/\.gz$/, { bytesPerSecond: 2_000_000 });
      const cut = download(victim.baseUrl + path);
      await vi.waitFor(() => expect(upstream.bytesSent(path)).toBeGreaterThan(500_000), 10_000);
      victim.kill('SIGKILL');
      expect((await cut).isComplete).toBe(false);
      await victim.stop();
      expect(existsSync(join(cacheDir, 'mirror', path))).toBe(false);
      upstream.clearFaults();
      const next = await startServer({ cacheDir, args });
      onTestFinished(async () => void (await next.stop()));
      const got = await download(next.baseUrl + path);
      expect([got.status, got.sha256]).toEqual([200, sha256Of(big.content)]);
    },
  },
  {
    id: 'C4',
    what: 'a lock of nobody, even one from the future, holds nobody up for long',
    run: async () => {
      const { mirror, upstream, wheelPath } = await stage();
      const locks = join(mirror.cacheDir, 'state-v1', 'locks');
      upstream.fault(/\.whl$/, { bytesPerSecond: 400_000, times: 1 });
      const first = download(mirror.origin + wheelPath);
      await eventually(() => expect(readdirSync(locks)).not.toEqual([]));
      const [name = ''] = readdirSync(locks);
      await first;
      await mirror.stop();
      for (const shiftMs of [-HOUR, 0, 10 * YEAR]) {
        const other = await stage();
        const lock = join(other.mirror.cacheDir, 'state-v1', 'locks', name);
        mkdirSync(lock);
        const at = new Date(Date.now() + shiftMs);
        utimesSync(lock, at, at);
        const answer = await other.mirror.get(other.wheelPath);
        expect(answer.body.equals(WHEEL.content)).toBe(true);
        expect(answer.elapsedMs).toBeLessThan(11_500);
      }
    },
  },
  {
    id: 'C5',
    what: 'sixteen requests for one cold file are one fetch and sixteen good bodies',
    run: async () => {
      const { mirror, upstream, wheelPath } = await stage();
      const got = await Promise.all(
        Array.from({ length: 16 }, () => download(mirror.origin + wheelPath)),
      );
      for (const { status, isComplete, sha256 } of got)
        expect([status, isComplete, sha256]).toEqual([200, true, sha256Of(WHEEL.content)]);
      expect(upstream.count(/\.whl$/, 'GET')).toBe(1);
    },
  },
  {
    id: 'C6',
    what: 'jumps of the clock, by an hour or by ten years, either way, do no harm',
    run: async () => {
      for (const jumpMs of [HOUR, -HOUR, 10 * YEAR, -10 * YEAR]) {
        const { mirror, upstream, wheelPath } = await stage();
        await hold(mirror, wheelPath);
        mirror.clock.jump(jumpMs);
        expect(await listed(mirror)).toEqual(NAMES);
        expect((await mirror.get(wheelPath)).body.equals(WHEEL.content)).toBe(true);
        upstream.setProject('demo', [NEWER]);
        mirror.clock.advance(HOUR);
        expect(await listed(mirror)).toEqual([NEWER.filename]);
        upstream.forget();
        await listed(mirror);
        expect(upstream.count(PAGE)).toBe(0);
        await upstream.down();
        mirror.clock.advance(HOUR);
        expect((await mirror.page('demo')).status).toBe(200);
        expect((await mirror.get(wheelPath)).status).toBe(200);
      }
    },
  },
  {
    id: 'C6',
    what: 'a catalog that is lost, cut, scrambled or of another version is made again',
    run: async () => {
      for (const [how, harm] of Object.entries({
        lost: (state: string) => removeAll(state, 'catalog.sqlite'),
        cut: (state: string) => truncateSync(join(state, 'catalog.sqlite'), 5_000),
        'no database': (state: string) => {
          removeAll(state, 'catalog.sqlite-');
          writeFileSync(join(state, 'catalog.sqlite'), 'this is no database');
        },
        scrambled: (state: string) => {
          removeAll(state, 'catalog.sqlite-');
          const file = join(state, 'catalog.sqlite');
          const bytes = readFileSync(file);
          bytes.fill(0x5a, 4_096, 16_384);
          writeFileSync(file, bytes);
        },
      })) {
        const { mirror, wheelPath } = await restarted(harm, OFFLINE);
        await servesWhatItHad(mirror, wheelPath);
        expect([how, mirror.mirror.store.catalog.quickCheck()]).toEqual([how, 'ok']);
      }
    },
  },
  {
    id: 'C6',
    what: 'a catalog that is scrambled while it is used is sound at the next start at the latest',
    run: async () => {
      const upstream = await stageUpstream({ projects: { demo: [WHEEL, NEWER] } });
      const wheelPath = upstream.filePath(WHEEL.filename);
      const cacheDir = await stageFolder();
      const first = await startMirror({ upstreams: [upstream], cacheDir });
      await hold(first, wheelPath);
      const file = join(cacheDir, 'state-v1', 'catalog.sqlite');
      const bytes = readFileSync(file);
      writeFileSync(file, bytes.fill(0x5a, 0));
      for (const target of [PAGE, wheelPath, '/simple/other/']) {
        const answer = await first.get(target);
        if (answer.status === 200 && target === wheelPath)
          expect(answer.body.equals(WHEEL.content)).toBe(true);
      }
      await first.stop().catch(() => {});
      const mirror = await startMirror({ upstreams: [upstream], cacheDir });
      await servesWhatItHad(mirror, wheelPath);
      expect(mirror.mirror.store.catalog.quickCheck()).toBe('ok');
    },
  },
  {
    id: 'C7',
    what: 'symbolic links that somebody plants in the cache are never followed out of it',
    run: async () => {
      const secret = join(dirname(await stageFolder()), 'secret');
      writeFileSync(secret, WHEEL.content.toString('latin1').replaceAll('demo', 'evil'));
      await healsItself((file) => {
        unlinkSync(file);
        symlinkSync(secret, file);
      });
      const { mirror, wheelPath } = await stage();
      await listed(mirror);
      const file = onDisk(mirror, wheelPath);
      mkdirSync(dirname(file), { recursive: true });
      symlinkSync(secret, file);
      const before = readFileSync(secret);
      expect((await mirror.get(wheelPath)).body.equals(WHEEL.content)).toBe(true);
      await hold(mirror, wheelPath);
      expect(readFileSync(secret).equals(before)).toBe(true);
      const adopted = await startMirror({
        upstreams: [],
        cacheDir: await folderWith((mirrorDir) => {
          mkdirSync(join(mirrorDir, 'demo'), { recursive: true });
          symlinkSync(secret, join(mirrorDir, 'demo', 'demo-1.0-py3-none-any.whl'));
          linkSync(secret, join(mirrorDir, 'demo', 'readme.txt'));
        }),
      });
      const answer = await adopted.get('/packages/-/local/-/demo/demo-1.0-py3-none-any.whl');
      expect(answer.status).toBe(404);
    },
  },
  {
    id: 'C8',
    what: 'offline, what is not held is not there, at once and in plain words',
    run: async () => {
      const { mirror, upstream, wheelPath } = await stage({}, OFFLINE);
      for (const target of [PAGE, wheelPath, '/simple/other/']) {
        const answer = await mirror.get(target, { headers: { accept: JSON_PAGE } });
        expect(answer.status).toBe(404);
        expect(answer.elapsedMs).toBeLessThan(500);
        expect(answer.headers['content-type']).toMatch(/^text\/plain/);
      }
      expect(upstream.connections).toBe(0);
    },
  },
]);

async function folderWith(fill: (mirrorDir: string) => void): Promise<string> {
  const cacheDir = await stageFolder();
  fill(join(cacheDir, 'mirror'));
  return cacheDir;
}
