/** Several processes behind one listener. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { download } from '../support/download.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import { noise } from '../support/fill-stage.ts';
import { litterAfterSweep } from '../support/litter.ts';
import { startWalker } from '../support/mirror-walker.ts';
import { runCommand } from '../support/run-command.ts';
import { startServer } from '../support/server-process.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { PIP_USER_AGENT } from '../support/user-agents.ts';
import { writeWheel } from '../support/wheel-writer.ts';
import { setStage } from './stage.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));
const JSON_PAGE = 'application/vnd.pypi.simple.v1+json';

/** The workers of a server: the processes whose parent it is. */
function workersOf({ pid }: ServerProcess): number[] {
  const isChild = (id: string): boolean => {
    try {
      const words = readFileSync(`/proc/${id}/stat`, 'utf8').split(') ').at(-1)?.split(' ');
      return words?.[1] === String(pid) && words[0] !== 'Z';
    } catch {
      return false;
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isChild(name))
    .map(Number);
}

/** Asks again and again, each time by a new connection, until told to stop. */
function keepAsking(url: string): () => Promise<readonly number[]> {
  let isOver = false;
  const ask = async (): Promise<number[]> => {
    const statuses: number[] = [];
    while (!isOver) {
      const answer = await fetch(url, { headers: { connection: 'close' } }).catch(() => null);
      statuses.push(answer?.status ?? 0);
      await answer?.arrayBuffer();
    }
    return statuses;
  };
  const asking = Promise.all([ask(), ask(), ask()]);
  return async () => {
    isOver = true;
    return (await asking).flat();
  };
}

describe.runIf(process.platform === 'linux')('three workers', () => {
  it('fetch a cold file once for 60 clients, and add their figures up', async () => {
    const { upstream, serve } = await setStage();
    const content = noise(8_000_000, 5);
    upstream.setProject('bulk', [{ filename: 'bulk-1.0-py3-none-any.whl', content }]);
    const path = upstream.filePath('bulk-1.0-py3-none-any.whl');
    upstream.fault(path, { bytesPerSecond: 8_000_000 });
    const server = await serve('--workers', '3');
    expect(workersOf(server)).toHaveLength(3);
    const url = `${server.baseUrl}${path}`;
    const downloads = await Promise.all(Array.from({ length: 60 }, () => download(url)));
    expect(new Set(downloads.map(({ sha256 }) => sha256))).toEqual(new Set([sha256Of(content)]));
    expect(upstream.count(path, 'GET')).toBe(1);
    const answer = await fetch(`${server.baseUrl}/-/stats`);
    expect(await answer.json()).toMatchObject({
      processes: 3,
      upstreams: [{ fileFetches: 1, failures: 0 }],
    });
    const metrics = await (await fetch(`${server.baseUrl}/-/metrics`)).text();
    expect(metrics).toContain('\nwheelcellar_processes 3\n');
    expect(metrics).toContain('\nwheelcellar_upstream_files_total{upstream="pypi"} 1\n');
  });

  it('show what another worker has stored within a second', async () => {
    const { upstream, serve } = await setStage();
    const wheel = writeWheel({ name: 'late', version: '1.0' });
    upstream.setProject('late', [wheel]);
    const online = await serve('--workers', '3');
    const file = await download(`${online.baseUrl}${upstream.filePath(wheel.filename)}`);
    expect(file.sha256).toBe(wheel.sha256);
    const offline = await serve('--workers', '3', '--offline');
    const listed = async (): Promise<number[]> =>
      await Promise.all(
        Array.from({ length: 12 }, async () => {
          const headers = { accept: JSON_PAGE, connection: 'close' };
          const page = await fetch(`${offline.indexUrl}late/`, { headers });
          return ((await page.json()) as { files?: unknown[] }).files?.length ?? 0;
        }),
      );
    await expect.poll(listed, { timeout: 2_000 }).toEqual(Array.from({ length: 12 }, () => 1));
    const later = writeWheel({ name: 'late', version: '2.0' });
    upstream.setProject('late', [wheel, later]);
    const more = await serve('--index-ttl', '1s');
    const digest = async (): Promise<string> =>
      (await download(`${more.baseUrl}${upstream.filePath(later.filename)}`)).sha256;
    // Unknown until the stored page is a second old.
    await expect.poll(digest, { timeout: 5_000 }).toBe(later.sha256);
    await expect.poll(listed, { timeout: 1_500 }).toEqual(Array.from({ length: 12 }, () => 2));
  });

  it('know together what an installer is about, wherever its connections end', async () => {
    const { upstream, serve } = await setStage({ ahead: true });
    const names = Array.from({ length: 12 }, (_, at) => `pinned-${at}`);
    for (const name of names)
      upstream.setProject(
        name,
        ['1.0', '2.0'].map((version) => writeWheel({ name, version })),
      );
    upstream.fault('*', { delayMs: 25 });
    const server = await serve('--workers', '3');
    const ask = async (path: string): Promise<void> => {
      const headers = { 'user-agent': PIP_USER_AGENT, accept: JSON_PAGE, connection: 'close' };
      await (await fetch(server.baseUrl + path, { headers })).arrayBuffer();
    };
    const metadataOf = (name: string, version: string): string =>
      `${upstream.filePath(`${name.replace('-', '_')}-${version}-py3-none-any.whl`)}.metadata`;
    // The client takes the older one: to guess at the newest was wrong, which all workers must know.
    await ask(`/simple/${names[0]}/`);
    await pause(200);
    await ask(metadataOf(names[0] ?? '', '1.0'));
    await pause(200);
    for (const name of names.slice(1)) {
      await ask(`/simple/${name}/`);
      await ask(metadataOf(name, '1.0'));
    }
    await pause(300);
    const guessed = names.filter((name) => upstream.count(metadataOf(name, '2.0')) > 0);
    expect(guessed).toEqual([names[0]]);
    // What is no guess is fetched: each wheel whose metadata was asked for, once.
    const wheels = names.map((name) => metadataOf(name, '1.0').slice(0, -'.metadata'.length));
    await expect
      .poll(() => wheels.map((wheel) => upstream.count(wheel, 'GET')), { timeout: 5_000 })
      .toEqual(wheels.map(() => 1));
  });

  it('evict together, and no link of the static tree dies', async () => {
    const { upstream, serve, cacheDir } = await setStage();
    const files = Array.from({ length: 12 }, (_, at) => ({
      filename: `bulk-${at}.0-py3-none-any.whl`,
      content: noise(400_000, at + 1),
    }));
    upstream.setProject('bulk', files);
    const server = await serve('--workers', '3', '--max-size', '2MB');
    const walker = await startWalker(join(cacheDir, 'mirror'));
    for (const { filename, content } of files) {
      const got = await download(`${server.baseUrl}${upstream.filePath(filename)}`);
      expect(got.sha256).toBe(sha256Of(content));
    }
    const figures = async (): Promise<{ held: { bytes: number }; evictedFiles: number }> =>
      (await (await fetch(`${server.baseUrl}/-/stats`)).json()) as never;
    await expect
      .poll(async () => (await figures()).held.bytes, { timeout: 20_000 })
      .toBeLessThanOrEqual(2_000_000);
    // Counted in groups, every five seconds. Two who evict at once may take one more than they must.
    await expect
      .poll(async () => (await figures()).evictedFiles, { timeout: 15_000 })
      .toBeGreaterThanOrEqual(files.length - 5);
    const { links, dead } = await walker.stop();
    expect(links).toBeGreaterThan(0);
    expect(dead).toEqual([]);
  });

  it('hold to what was added within a second: the name is asked of no index any more', async () => {
    const { upstream, serve, cacheDir, folder } = await setStage();
    upstream.setProject('ours', [writeWheel({ name: 'ours', version: '1.0' })]);
    const server = await serve('--workers', '3');
    const listed = async (): Promise<string[]> => {
      const answers = Array.from({ length: 9 }, async () => {
        const headers = { accept: JSON_PAGE, connection: 'close' };
        const page = await fetch(`${server.indexUrl}ours/`, { headers });
        const { files } = (await page.json()) as { files: { filename: string }[] };
        return files.map(({ filename }) => filename).join();
      });
      return [...new Set(await Promise.all(answers))];
    };
    expect(await listed()).toEqual(['ours-1.0-py3-none-any.whl']);
    const added = writeWheel({ name: 'ours', version: '9.0' });
    const path = join(folder, added.filename);
    writeFileSync(path, added.content);
    const { code } = await runCommand(
      process.execPath,
      [PROGRAM, 'add', '--cache-dir', cacheDir, path],
      {
        env: { PATH: process.env['PATH'], HOME: folder },
      },
    );
    expect(code).toBe(0);
    await expect.poll(listed, { timeout: 1_000 }).toEqual([added.filename]);
  });

  it('are replaced when one is killed, and nobody notices but its clients', async () => {
    const { serve } = await setStage();
    const server = await serve('--workers', '3');
    const [victim] = workersOf(server);
    process.kill(victim ?? 0, 'SIGKILL');
    const survivors = (): number[] => workersOf(server).filter((pid) => pid !== victim);
    await expect.poll(() => survivors().length, { timeout: 20_000 }).toBe(3);
    const stop = keepAsking(`${server.indexUrl}diamond/`);
    await pause(500);
    expect(new Set(await stop())).toEqual(new Set([200]));
  });

  it('are renewed one after the other by SIGHUP, with every request answered', async () => {
    const { serve, cacheDir } = await setStage();
    const server = await serve('--workers', '3');
    const before = workersOf(server);
    const stop = keepAsking(`${server.indexUrl}diamond/`);
    server.kill('SIGHUP');
    await expect
      .poll(() => workersOf(server).filter((pid) => before.includes(pid)), { timeout: 30_000 })
      .toEqual([]);
    const statuses = await stop();
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(statuses.length).toBeGreaterThan(30);
    const workers = workersOf(server);
    expect(workers).toHaveLength(3);
    expect((await server.stop()).code).toBe(0);
    for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(await litterAfterSweep(cacheDir)).toEqual([]);
  });

  it('end when their primary is killed', async () => {
    const { serve } = await setStage();
    const server = await serve('--workers', '3');
    const workers = workersOf(server);
    server.kill('SIGKILL');
    await server.ended;
    const isAlive = (pid: number): boolean => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    await expect.poll(() => workers.filter(isAlive), { timeout: 10_000 }).toEqual([]);
  });

  it('say once that the address is taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as AddressInfo;
    const args = ['--workers', '3', '--offline', '--listen', `127.0.0.1:${port}`];
    const failure = await startServer({ args }).then(String, String);
    expect(failure).toContain('exit 2');
    expect(failure.match(/EADDRINUSE/g)).toHaveLength(1);
  });
});

it('refuses a number of workers that is none', async () => {
  const failure = await startServer({ args: ['--workers', 'many'] }).catch(String);
  expect(failure).toContain('exit 2');
  expect(failure).toContain('--workers: workers is "many"');
});
