/**
 * The hot path stays as light as it is: counts of what the built program does for a request that it has
 * answered before. Counts, not times: they are the same on a busy machine. When one of them grows on
 * purpose, say why where the number stands.
 */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { ask } from '../support/http-client.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import type { TempFolder } from '../support/temp-folder.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));
const COUNTER = new URL('./count-work.mjs', import.meta.url).href;

const SMALL = writeWheel({ name: 'demo', version: '1.0', paddingBytes: 20_000 });
const LARGE = writeSdist({ name: 'demo', version: '2.0', paddingBytes: 1_200_000 });

interface Work {
  readonly fs: number;
  readonly sql: number;
  readonly promises: number;
  /** Bytes of heap that were taken, buffers apart; nothing is collected meanwhile. */
  readonly allocated: number;
  /** Bytes of heap that are still taken after a collection. */
  readonly kept: number;
}

let folder: TempFolder;
let upstream: FakeUpstream;
let child: ChildProcess;
let origin: string;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

beforeAll(async () => {
  folder = await makeTempFolder('wheelcellar-weight-');
  upstream = await startFakeUpstream({ projects: { demo: [SMALL, LARGE] } });
  const space = ['--min-semi-space-size=64', '--max-semi-space-size=64', '--expose-gc'];
  const args = ['serve', '--listen', '127.0.0.1:0', '--index-url', upstream.indexUrl];
  child = spawn(
    process.execPath,
    [...space, '--import', COUNTER, PROGRAM, ...args, '--cache-dir', join(folder.path, 'cache')],
    {
      stdio: ['ignore', 'pipe', 'ignore', 'ipc'],
      env: { PATH: process.env['PATH'], HOME: folder.path, WHEELCELLAR_CACHE_SCRUB: 'off' },
    },
  );
  process.once('exit', () => child.kill('SIGKILL'));
  origin = await new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout! });
    lines.on('line', (line) => {
      const url = /https?:\/\/\S+\/simple\/(?=\s|$)/.exec(line)?.[0];
      if (url !== undefined) resolve(new URL(url).origin);
    });
    lines.once('close', () => reject(new Error('the server did not start')));
  });
  for (const file of [SMALL, LARGE]) {
    await vi.waitFor(async () => {
      const { headers } = await ask(origin, upstream.filePath(file.filename), { agent });
      expect(headers['cache-status']).toBe('wheelcellar; hit');
    }, 10_000);
  }
});

afterAll(async () => {
  agent.destroy();
  child.kill('SIGTERM');
  await once(child, 'exit');
  await upstream.close();
  await folder.remove();
});

async function told(message: object): Promise<unknown> {
  child.send(message);
  const [answer] = (await once(child, 'message')) as [unknown];
  return answer;
}

type Request = () => Promise<number>;

/** What the program does for so many of these requests, one after the other on one connection. */
async function workFor(request: Request, times: number, withPromises: boolean): Promise<Work> {
  await told({ what: 'begin', withPromises });
  for (let at = 0; at < times; at++) await request();
  return (await told({ what: 'end' })) as Work;
}

/** The status of an answer whose body is read and thrown away. */
function statusOf(target: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    get(`${origin}${target}`, { agent, headers: { ...headers } }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode ?? 0));
      response.once('error', reject);
    }).once('error', reject);
  });
}

const known = (target: () => string): Request => {
  let tag: string | undefined;
  return async () => {
    tag ??= String((await ask(origin, target(), { agent, method: 'HEAD' })).headers.etag);
    return await statusOf(target(), { 'if-none-match': tag });
  };
};
const fileOf = (file: { readonly filename: string }): string => upstream.filePath(file.filename);
const page: Request = () => statusOf('/simple/demo/');
const small: Request = () => statusOf(fileOf(SMALL));
const large: Request = () => statusOf(fileOf(LARGE));
const part: Request = () => statusOf(fileOf(LARGE), { range: 'bytes=100000-109999' });

/**
 * For each request: calls to the disk, promises, bytes of heap. Measured: 10 kB for a page or a small file, 8.5 kB
 * for a 304 (nearly all of it node:http's own), 18 kB from the disk; the disk: open, fstat,
 * two reads, close for a large file, one read less for a part.
 */
const ROWS: readonly (readonly [
  what: string,
  request: Request,
  status: number,
  most: { readonly fs: number; readonly heapBytes: number },
])[] = [
  ['a page', page, 200, { fs: 0, heapBytes: 13_500 }],
  ['a page that is known', known(() => '/simple/demo/'), 304, { fs: 0, heapBytes: 11_000 }],
  ['a small file', small, 200, { fs: 0, heapBytes: 13_000 }],
  ['a small file that is known', known(() => fileOf(SMALL)), 304, { fs: 0, heapBytes: 11_500 }],
  ['a large file', large, 200, { fs: 5, heapBytes: 24_000 }],
  ['a part of a large file', part, 206, { fs: 4, heapBytes: 23_000 }],
  ['a large file that is known', known(() => fileOf(LARGE)), 304, { fs: 0, heapBytes: 11_500 }],
];

/** What the program does besides, a few times a second, falls on some request or other. */
const BESIDES = 0.5;

/** The least of ten rounds, for each request: what the program does besides is in them by chance. */
async function leastWork(request: Request, withPromises = false): Promise<Work> {
  const TIMES = 100;
  let least: Work = {
    fs: Infinity,
    sql: Infinity,
    promises: Infinity,
    allocated: Infinity,
    kept: Infinity,
  };
  for (let round = 0; round < 10; round++) {
    const work = await workFor(request, TIMES, withPromises);
    const of = (name: keyof Work): number => Math.min(least[name], work[name] / TIMES);
    least = {
      fs: of('fs'),
      sql: of('sql'),
      promises: of('promises'),
      allocated: of('allocated'),
      kept: of('kept'),
    };
  }
  return least;
}

describe.each(ROWS)('%s, asked for again', { timeout: 120_000 }, (_what, request, status, most) => {
  it('costs no SQL, no question upstream, few calls to the disk, little memory that is given back', async () => {
    for (let at = 0; at < 100; at++) expect(await request()).toBe(status);
    upstream.forget();
    const work = await leastWork(request);
    expect(work.sql, 'SQL').toBeLessThan(BESIDES);
    expect(work.fs, 'calls to the disk').toBeLessThan(most.fs + BESIDES);
    expect(work.allocated, 'bytes taken').toBeLessThan(most.heapBytes);
    expect(work.kept, 'bytes kept').toBeLessThan(800);
    expect(upstream.requests).toHaveLength(0);
  });

  it('makes no promises', async () => {
    for (let at = 0; at < 5; at++) await request();
    expect((await leastWork(request, true)).promises).toBeLessThan(BESIDES);
  });
});

const CANNOT_TRACE = spawnSync('strace', ['-o', '/dev/null', 'true']).status !== 0;

describe.skipIf(CANNOT_TRACE)('system calls (skipped where strace is missing)', () => {
  const TRACED = 100;

  /** A read and a write of the socket, and waiting for the next request. */
  it.for<[string, Request, number]>([
    ['a small file', small, 8],
    ['a page that is known', known(() => '/simple/demo/'), 8],
    ['a large file', large, 80],
  ])('%s takes few of them', async ([, request, most], { skip }) => {
    for (let at = 0; at < 20; at++) await request();
    const report = join(folder.path, `strace-${most}-${Math.random()}`);
    const tracer = spawn('strace', ['-f', '-c', '-o', report, '-p', String(child.pid)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const isAttached = await new Promise<boolean>((resolve) => {
      tracer.stderr.on('data', (text: Buffer) => {
        if (text.includes('attached')) resolve(true);
      });
      tracer.once('exit', () => resolve(false));
    });
    // Where processes may not look at their siblings (Yama).
    if (!isAttached) return skip('strace may not attach');
    for (let at = 0; at < TRACED; at++) await request();
    tracer.kill('SIGINT');
    await once(tracer, 'exit');
    const total = /^100\.00\s+\S+\s+(?:\S+\s+)?(\d+)\s+(?:\d+\s+)?total$/m.exec(
      readFileSync(report, 'utf8'),
    );
    expect(Number(total?.[1]) / TRACED).toBeGreaterThan(1);
    expect(Number(total?.[1]) / TRACED).toBeLessThan(most);
  });
});
