/** `serve`, `stats` and `add` as a new user meets them: what they print, and their exit status. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { main } from '../../src/cli/main.ts';
import type { Signal } from '../../src/cli/verb.ts';
import { eventually } from '../support/eventually.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { ask } from '../support/http-client.ts';
import { stageFolder, stageUpstream } from '../support/mirror.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';

interface Run {
  readonly ended: Promise<number>;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly signal: (signal: Signal) => void;
}

function start(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Run {
  const out: string[] = [];
  const err: string[] = [];
  const listeners = new Set<(signal: Signal) => void>();
  const ended = main(argv, {
    env,
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => err.push(text) },
    isTty: false,
    homeDir: '/nonexistent/home',
    cwd: '/nonexistent/work',
    onSignal: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  });
  return {
    ended,
    stdout: () => out.join(''),
    stderr: () => err.join(''),
    signal: (signal) => {
      for (const listener of listeners) listener(signal);
    },
  };
}

async function finished(
  argv: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const run = start(argv);
  const code = await run.ended;
  return { code, stdout: run.stdout(), stderr: run.stderr() };
}

/** A server that goes away with the test, and the URL of its index. */
async function serve(
  cacheDir: string,
  ...flags: string[]
): Promise<{ run: Run; indexUrl: string }> {
  const run = start(['serve', '--listen', '127.0.0.1:0', '--cache-dir', cacheDir, ...flags]);
  let isRunning = true;
  void run.ended.then(() => (isRunning = false));
  onTestFinished(async () => {
    if (isRunning) run.signal('SIGTERM');
    await run.ended;
  });
  await vi.waitFor(() => expect(run.stdout() + run.stderr()).not.toBe(''), 10_000);
  return { run, indexUrl: /index\s+(\S+)/.exec(run.stdout())?.[1] ?? run.stderr() };
}

const demo = [writeSdist({ name: 'demo', version: '1.0' })];
const demoUpstream = (): Promise<FakeUpstream> => stageUpstream({ projects: { demo } });

describe('serve', () => {
  it('says where it listens, what it holds, what it asks, and how to use it', async () => {
    const upstream = await demoUpstream();
    const cacheDir = await stageFolder();
    const { run, indexUrl } = await serve(cacheDir, '--index-url', upstream.indexUrl);
    expect(indexUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/simple\/$/);
    const text = run.stdout();
    expect(text).toContain(`cache   ${cacheDir}  (0 files of 0 projects)`);
    expect(text).toContain(`mode    online: pypi (${upstream.indexUrl})`);
    expect(text).toContain(`pip install --index-url ${indexUrl} --trusted-host 127.0.0.1 NAME`);
    expect(text).toContain(`uv pip install --default-index ${indexUrl} NAME`);
    expect(text).toContain(`DIB_PYPI_MIRROR_URL=${indexUrl}`);
    expect(text).not.toContain('Other machines');
    expect((await ask(new URL(indexUrl).origin, '/simple/demo/')).status).toBe(200);
    run.signal('SIGTERM');
    expect(await run.ended).toBe(0);
  });

  it('says so when others can reach it, and under which name', async () => {
    const { run } = await serve(await stageFolder(), '--listen', '0.0.0.0:0', '--base-path', '/x');
    expect(run.stdout()).toContain('Other machines can reach this mirror');
    expect(run.stdout()).toMatch(new RegExp(`http://${hostname()}:\\d+/x/simple/`));
  });

  it('says that it is offline', async () => {
    const { run } = await serve(await stageFolder(), '--offline');
    expect(run.stdout()).toContain('mode    offline: no upstream is asked');
  });

  it('ends with 2 and a way out when the port is taken', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void other.close());
    const listen = `127.0.0.1:${(other.address() as AddressInfo).port}`;
    const { code, stdout, stderr } = await finished([
      'serve',
      '--listen',
      listen,
      '--cache-dir',
      await stageFolder(),
    ]);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(`Cannot listen on ${listen}`);
    expect(stderr).toContain('--listen');
  });

  it('ends with a way out when the cache folder cannot be one', async () => {
    const cacheDir = await stageFolder();
    writeFileSync(cacheDir, 'a file');
    const { code, stderr } = await finished([
      'serve',
      '--listen',
      '127.0.0.1:0',
      '--cache-dir',
      cacheDir,
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain(cacheDir);
    expect(stderr).toContain('--cache-dir');
  });

  it.each([
    [['serve', '--listen', '127.0.0.1:99999'], /--listen.*host:port/],
    [['serve', '--lisen', 'x'], /Did you mean --listen/],
    [['serve', 'extra'], /--help/],
    [['srve'], /Did you mean serve/],
    [['serve', '--offline', '--prefer-offline'], /--prefer-offline.*--offline/],
    [['serve', '--index-ttl', '10'], /10m/],
  ])('ends with 2 for %j', async (argv, text) => {
    const { code, stdout, stderr } = await finished(argv);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(text);
  });
});

describe('stats', () => {
  it('of a folder that is not there makes none', async () => {
    const cacheDir = await stageFolder();
    const { code, stdout } = await finished(['stats', '--cache-dir', cacheDir]);
    expect(code).toBe(0);
    expect(stdout).toContain('not there yet');
    expect(stdout).toContain('none is running');
    expect(existsSync(cacheDir)).toBe(false);
  });

  it('tells of the running server: what it holds and saved, and how its upstream fares', async () => {
    const upstream = await demoUpstream();
    const cacheDir = await stageFolder();
    const { indexUrl } = await serve(cacheDir, '--index-url', upstream.indexUrl);
    const { origin } = new URL(indexUrl);
    const path = upstream.filePath('demo-1.0.tar.gz');
    await ask(origin, path);
    await eventually(async () =>
      expect((await ask(origin, path)).headers['cache-status']).toBe('wheelcellar; hit'),
    );
    await vi.waitFor(async () => {
      const { stdout } = await finished(['stats', '--cache-dir', cacheDir]);
      expect(stdout).toMatch(/held\s+1 file of 1 project,/);
      expect(stdout).toMatch(/requests\s+[1-9]\d* files? from the cache, [1-9]\d* waited/);
      expect(stdout).toContain(`server    ${origin}`);
      expect(stdout).toMatch(/pypi: up, 1 page, 1 file,/);
    }, 10_000);
    const { stdout } = await finished(['stats', '--json', '--cache-dir', cacheDir]);
    expect(JSON.parse(stdout)).toMatchObject({
      cacheDir,
      held: { projects: 1, files: 1 },
      servers: [
        { origin, statistics: { mode: 'online', upstreams: [{ name: 'pypi', state: 'up' }] } },
      ],
    });
  });
});

describe('add', () => {
  it('beside a running server lists the file there within a second', async () => {
    const cacheDir = await stageFolder();
    const { indexUrl } = await serve(cacheDir, '--offline');
    const wheel = writeWheel({ name: 'Mine.Own', version: '1.0' });
    const file = join(dirname(cacheDir), wheel.filename);
    writeFileSync(file, wheel.content);
    const { code, stdout } = await finished(['add', file, '--cache-dir', cacheDir]);
    expect(code).toBe(0);
    expect(stdout).toBe(`mine-own  ${wheel.filename}  sha256 ${wheel.sha256}\n`);
    await vi.waitFor(async () => {
      const page = await ask(new URL(indexUrl).origin, '/simple/mine-own/');
      expect(page.text).toContain(wheel.sha256);
    }, 1_500);
    const again = await finished(['add', file, '--json', '--cache-dir', cacheDir]);
    expect(JSON.parse(again.stdout)).toMatchObject([{ project: 'mine-own', sha256: wheel.sha256 }]);
    writeFileSync(file, writeWheel({ name: 'Mine.Own', version: '1.0', paddingBytes: 9 }).content);
    const other = await finished(['add', file, '--cache-dir', cacheDir]);
    expect(other.code).toBe(3);
    expect(other.stderr).toContain('new version');
  });

  it('adds nothing when one of the files is not there or is none', async () => {
    const cacheDir = await stageFolder();
    const folder = dirname(cacheDir);
    const good = join(folder, 'demo-1.0.tar.gz');
    writeFileSync(good, demo[0]?.content ?? '');
    mkdirSync(join(folder, 'folder-1.0.tar.gz'));
    const missing = join(folder, 'missing-1.0.tar.gz');
    const argv = ['add', good, missing, join(folder, 'folder-1.0.tar.gz'), '--cache-dir', cacheDir];
    const { code, stdout, stderr } = await finished(argv);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(`There is no file ${missing}.`);
    expect(stderr).toContain('folder-1.0.tar.gz is not a file.');
    expect(existsSync(cacheDir)).toBe(false);
  });

  it('refuses what is no distribution file, with the form of such names', async () => {
    const cacheDir = await stageFolder();
    const file = join(dirname(cacheDir), 'notes.txt');
    writeFileSync(file, 'x');
    const { code, stderr } = await finished(['add', file, '--cache-dir', cacheDir]);
    expect(code).toBe(3);
    expect(stderr).toContain('NAME-VERSION');
  });
});
