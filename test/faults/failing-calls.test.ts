/**
 * The n-th call fails: one write, flush, rename, link, open of a fill, an eviction and a page refresh of the
 * built program fails once (strace's fault injection). Every time the old state or the new state is there, never
 * one between; the client gets the right bytes or an honest error; and the next request succeeds.
 *
 * `write` is left out: libuv wakes its own threads with it and ends the process when that fails.
 */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { Catalog } from '../../src/store/catalog.ts';
import { layoutOf } from '../../src/store/layout.ts';
import { download } from '../support/download.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { startServer } from '../support/server-process.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { writeWheel } from '../support/wheel-writer.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import type { TempFolder } from '../support/temp-folder.ts';

/** What fails, how, and at most which turn of it is tried. */
const CALLS: readonly (readonly [calls: string, error: string, turns: number])[] = [
  ['pwrite64', 'ENOSPC', 8],
  ['pwrite64', 'EIO', 8],
  ['fsync,fdatasync', 'EIO', 3],
  ['rename,renameat,renameat2', 'EIO', 4],
  ['link,linkat', 'ENOSPC', 1],
  ['open,openat', 'EMFILE', 6],
  ['open,openat', 'ENOSPC', 6],
  ['fchmod,fchmodat,chmod', 'EIO', 2],
  ['unlink,unlinkat', 'EIO', 2],
  ['mkdir,mkdirat', 'ENOSPC', 3],
];

/** Whether strace is there and may trace. */
const mayTrace = spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0;

async function failing(
  pid: number,
  [calls, error]: (typeof CALLS)[number],
  turn: number,
  trace: string,
): Promise<ChildProcess> {
  const inject = `inject=${calls}:error=${error}:when=${turn}`;
  const args = ['-f', '-p', String(pid), '-o', trace, '-e', `trace=${calls}`, '-e', inject];
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  await once(strace.stderr, 'data');
  await pause(100);
  return strace;
}

async function ended(strace: ChildProcess): Promise<void> {
  const end = once(strace, 'close');
  strace.kill('SIGTERM');
  await end;
}

describe.skipIf(!mayTrace)(`when a call fails once${mayTrace ? '' : ' (no strace here)'}`, () => {
  let folder: TempFolder;
  let upstream: FakeUpstream;
  let server: ServerProcess;
  let projects = 0;

  beforeAll(async () => {
    folder = await makeTempFolder();
    upstream = await startFakeUpstream();
    server = await startServer({
      cacheDir: join(folder.path, 'cache'),
      args: ['--index-url', upstream.indexUrl],
      env: {
        // Turns are counted for each thread.
        UV_THREADPOOL_SIZE: '1',
        WHEELCELLAR_CACHE_MAX_SIZE: '900KB',
        WHEELCELLAR_CACHE_GRACE: '1s',
        WHEELCELLAR_CACHE_RESERVE: '1MB',
      },
    });
  });

  afterAll(async () => {
    await server.stop();
    await upstream.close();
    await folder.remove();
  });

  it.each(CALLS)(
    '%s (%s), the old state or the new one is there',
    async (...row) => {
      const [calls, error, turns] = row;
      const trace = join(folder.path, 'trace');
      let struck = 0;
      for (let turn = 1; turn <= turns; turn++) {
        const name = `demo${projects++}`;
        const wheel = writeWheel({ name, version: '1.0', paddingBytes: 100_000 + projects * 4 });
        upstream.setProject(name, [wheel]);
        const fileUrl = server.baseUrl + upstream.filePath(wheel.filename);
        const pageUrl = `${server.baseUrl}/simple/${name}/`;
        const strace = await failing(server.pid, row, turn, trace);
        const page = await download(pageUrl);
        const file = await download(fileUrl);
        await pause(150);
        await ended(strace);
        struck += readFileSync(trace, 'utf8').split('(INJECTED)').length - 1;
        const where = `${calls} ${error} turn ${turn}`;
        if (page.isComplete) expect([200, 500, 502, 503], where).toContain(page.status);
        if (file.isComplete && file.status === 200) expect(file.sha256, where).toBe(wheel.sha256);
        else if (file.isComplete) expect(file.status, where).toBeGreaterThanOrEqual(500);
        expect(publishedWrong(server.cacheDir, wheel.filename, wheel.sha256), where).toEqual([]);
        // A short grace: a folder that could not be made is asked for again at once.
        const again = await retried(fileUrl);
        expect([where, again.status, again.isComplete, again.sha256]).toEqual([
          where,
          200,
          true,
          wheel.sha256,
        ]);
        expect((await retried(pageUrl)).status, where).toBe(200);
      }
      expect(struck).toBeGreaterThan(0);
    },
    120_000,
  );

  it('all that is left is sound: rows, files, pages, links', async () => {
    await pause(2_500);
    await server.stop();
    const layout = layoutOf(server.cacheDir);
    const catalog = await Catalog.open(layout, systemClock);
    expect(catalog.quickCheck()).toBe('ok');
    for (const project of catalog.heldProjects())
      for (const file of catalog.filesOf(project))
        expect(sha256Of(readFileSync(layout.fileAt(file.path)))).toBe(file.sha256);
    await catalog.close();
    expect(deadLinks(layout.mirrorDir)).toEqual([]);
  });
});

/** A server that was refused something may say so once more, never twice. */
async function retried(url: string): ReturnType<typeof download> {
  const first = await download(url);
  if (first.status === 200 && first.isComplete) return first;
  await pause(300);
  return await download(url);
}

/** Files of this name in the mirror that have other bytes. */
function publishedWrong(cacheDir: string, filename: string, sha256: string): string[] {
  const packages = join(layoutOf(cacheDir).mirrorDir, 'packages');
  return filesBelow(packages).filter(
    (path) =>
      path.endsWith(`/${filename}`) && sha256Of(readFileSync(join(packages, path))) !== sha256,
  );
}

/** Links of static pages that lead to nothing. */
function deadLinks(mirrorDir: string): string[] {
  const pages = readdirSync(mirrorDir)
    .map((name) => join(mirrorDir, name, 'index.html'))
    .filter((page) => existsSync(page));
  return pages.flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/href="([^"#]+)#sha256=/g)]
      .map(([, href = '']) => join(dirname(page), decodeURIComponent(href)))
      .filter((target) => !existsSync(target)),
  );
}

/** Paths below a folder from which files and folders are being evicted. */
function filesBelow(folder: string): string[] {
  for (let attempt = 0; ; attempt++) {
    try {
      return readdirSync(folder, { recursive: true, encoding: 'utf8' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt >= 10) throw error;
    }
  }
}
