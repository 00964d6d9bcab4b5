import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { makeBigFolder } from '../support/big-folder.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import type { FakeFile } from '../support/fake-upstream.ts';
import { stageUpstream } from '../support/mirror.ts';
import { startWalker } from '../support/mirror-walker.ts';
import { installedIn, makeVirtualEnvironment, pythonClients } from '../support/python-clients.ts';
import { runCommand } from '../support/run-command.ts';
import { startServer } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { runJson, runVerb } from '../support/verbs.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import { INSTALLERS, wordsOf } from './stage.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));
const NOBODY = 'http://127.0.0.1:9/simple/';

const PROJECTS: Readonly<Record<string, readonly FakeFile[]>> = {
  app: [writeWheel({ name: 'App', version: '1.0', requires: ['native>=1', 'pure'] })],
  native: [
    writeWheel({ name: 'native', version: '1.0', tag: 'cp311-cp311-win_amd64' }),
    writeWheel({ name: 'native', version: '1.0' }),
  ],
  pure: [writeSdist({ name: 'pure', version: '0.3' })],
};

beforeAll(() => {
  process.env['PATH'] = `${join(pythonClients.python, '..')}:${process.env['PATH'] ?? ''}`;
});

/** The pip that every Python carries for its own `venv`. */
async function pipOfPython(): Promise<FakeFile> {
  const script = 'import ensurepip, pathlib; print(pathlib.Path(ensurepip.__file__).parent)';
  const { stdout } = await runCommand(pythonClients.python, ['-c', script]);
  const folder = join(stdout.trim(), '_bundled');
  const filename = readdirSync(folder).find((name) => name.startsWith('pip-')) ?? '';
  const content = readFileSync(join(folder, filename));
  return { filename, content };
}

async function newFolder(): Promise<string> {
  const temp = await makeTempFolder('wheelcellar-bundle-');
  onTestFinished(() => temp.remove());
  return temp.path;
}

describe('bundle', () => {
  it('is all that pip, uv and a bare Python need', async () => {
    const folder = await newFolder();
    const upstream = await stageUpstream({
      projects: { ...PROJECTS, pip: [await pipOfPython()] },
    });
    const stage = { cacheDir: join(folder, 'cache'), indexUrl: upstream.indexUrl };
    const bundle = join(folder, 'a bundle');
    const made = await runVerb(stage, 'bundle', 'create', '-o', bundle, 'App');
    expect(made.code, made.stderr).toBe(0);
    expect(made.stderr).toContain('uv is not in the bundle');
    await upstream.close();
    const indexUrl = `${pathToFileURL(bundle).href}/simple/`;
    for (const { name, install } of INSTALLERS) {
      const { python } = await makeVirtualEnvironment(join(folder, `venv-${name}`));
      const result = await install({ python, indexUrl, args: ['app'] });
      expect(result.code, wordsOf(result)).toBe(0);
      expect(await installedIn(python)).toEqual(['app==1.0', 'native==1.0', 'pure==0.3']);
    }
    const venv = join(folder, 'bare');
    const args = ['-I', join(bundle, 'bootstrap.py'), '--venv', venv, 'app'];
    const started = await runCommand(pythonClients.python, args, {
      env: { PATH: '/usr/bin:/bin' },
    });
    expect(started.code, wordsOf(started)).toBe(0);
    expect(await installedIn(join(venv, 'bin', 'python'))).toEqual(
      expect.arrayContaining(['app==1.0', 'native==1.0', 'pure==0.3']),
    );
    // And it names the bundle to whoever installs more later.
    expect(readFileSync(join(venv, 'pip.conf'), 'utf8')).toContain(indexUrl);
  });

  it('holds what a lock names, and is not written when that is not to be had', async () => {
    const folder = await newFolder();
    const upstream = await stageUpstream({ projects: PROJECTS });
    const stage = { cacheDir: join(folder, 'cache'), indexUrl: upstream.indexUrl };
    const lock = join(folder, 'requirements.txt');
    const [app] = PROJECTS['app'] ?? [];
    await writeFile(lock, `app==1.0 --hash=sha256:${sha256Of(app?.content ?? Buffer.alloc(0))}\n`);
    const output = join(folder, 'bundle.tar.gz');
    const create = ['bundle', 'create', '-o', output, '--no-tools', '-r', lock];
    expect(await runJson(stage, ...create)).toMatchObject({ files: 1, projects: 1 });
    await writeFile(lock, `app==1.0 --hash=sha256:${'0'.repeat(64)}\n`);
    const other = join(folder, 'other.tar.gz');
    const refused = await runVerb(stage, ...create, '-o', other);
    expect([refused.code, refused.stderr]).toEqual([
      3,
      expect.stringContaining('no bundle was written'),
    ]);
    expect(existsSync(other)).toBe(false);
  });

  it('leaves whole files when its import is killed anywhere, and comes in whole the next time', async () => {
    const folder = await newFolder();
    const cacheDir = join(folder, 'cache');
    const big = await makeBigFolder({ cacheDir, files: 600, indexUrl: NOBODY });
    const bundle = join(folder, 'bundle.tar.gz');
    const flags = ['--all', '--no-tools', '--offline'];
    const stage = { cacheDir, indexUrl: NOBODY };
    const made = await runVerb(stage, 'bundle', 'create', '-o', bundle, ...flags);
    expect(made.code, made.stderr).toBe(0);
    const there = join(folder, 'there');
    const server = await startServer({
      cacheDir: there,
      args: ['--index-url', NOBODY, '--offline'],
    });
    onTestFinished(async () => void (await server.stop()));
    await mkdir(join(there, 'mirror'), { recursive: true });
    const walker = await startWalker(join(there, 'mirror'));
    const args = ['bundle', 'import', bundle, '--cache-dir', there, '--index-url', NOBODY];
    let killed = 0;
    const held: number[] = [];
    for (const files of [0, 1, 40, 150, 300, 450]) {
      const child = spawn(process.execPath, [PROGRAM, ...args], {
        env: { PATH: process.env['PATH'], HOME: folder, WHEELCELLAR_LOG_LEVEL: 'error' },
        stdio: 'ignore',
      });
      const ended = once(child, 'close');
      // While it stages, then when so many files are published.
      const reached = (): boolean =>
        files === 0
          ? countBelow(join(there, 'state-v1', 'imports')) > 100
          : published(there) >= files;
      while (child.exitCode === null && child.signalCode === null && !reached())
        await new Promise((resolve) => setTimeout(resolve, 2));
      child.kill('SIGKILL');
      await ended;
      if (child.signalCode === 'SIGKILL') killed++;
      held.push(published(there));
      await freeLock(there);
    }
    expect(killed).toBeGreaterThanOrEqual(4);
    expect(new Set(held).size).toBeGreaterThan(2);
    const last = await runCommand(process.execPath, [PROGRAM, ...args], {
      env: { PATH: process.env['PATH'] ?? '', HOME: folder },
    });
    expect(last.code, wordsOf(last)).toBe(0);
    const { dead, rounds } = await walker.stop();
    expect(dead).toEqual([]);
    expect(rounds).toBeGreaterThan(3);
    expect(existsSync(join(there, 'state-v1', 'imports'))).toBe(false);
    for (const { path, content } of big.files)
      expect(readFileSync(join(there, 'mirror', path), 'utf8')).toBe(content);
    const verified = await runVerb({ cacheDir: there, indexUrl: NOBODY }, 'verify');
    expect(verified.stdout).toContain('all is well');
  });
});

function countBelow(folder: string): number {
  try {
    return readdirSync(folder).length;
  } catch {
    return 0;
  }
}

function published(cacheDir: string): number {
  try {
    return readdirSync(join(cacheDir, 'mirror', 'packages'), {
      recursive: true,
      encoding: 'utf8',
    }).filter((path) => path.endsWith('.tar.gz') || path.endsWith('.whl')).length;
  } catch {
    return 0;
  }
}

/** A killed holder's lock is free after five seconds. */
async function freeLock(cacheDir: string): Promise<void> {
  if (existsSync(join(cacheDir, 'state-v1', '.imports.import.lock')))
    await new Promise((resolve) => setTimeout(resolve, 5_500));
}
