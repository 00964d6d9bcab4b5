import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { makeBigFolder } from '../support/big-folder.ts';
import type { BigFolder } from '../support/big-folder.ts';
import { executioner } from '../support/killing-blow.ts';
import type { Executioner } from '../support/killing-blow.ts';
import { startWalker } from '../support/mirror-walker.ts';
import { Dice } from '../support/packaging-oracle.ts';
import { runCommand } from '../support/run-command.ts';
import type { CommandResult } from '../support/run-command.ts';
import { startServer } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));
const NOBODY = 'http://127.0.0.1:9/simple/';

/** Verbs that write, each with work enough to be killed in. */
const VERBS: readonly (readonly string[])[] = [
  ['keep', 'project-000000', 'project-000001', 'project-000002>=1.5'],
  ['unkeep', 'project-000000', 'project-000001'],
  ['delete', ...Array.from({ length: 10 }, (_, at) => `project-0000${10 + at}`)],
  ['gc', '--max-size', '100KB'],
  ['verify', '--repair', '--index-url', NOBODY],
  ['verify', '--rebuild', '--index-url', NOBODY],
  ['refresh', '--all', '--index-url', NOBODY],
];

it('leaves a whole mirror when a verb is killed anywhere, and the next one goes on', async () => {
  const { folder, environment } = await stage();
  const mirrorDir = join(folder.cacheDir, 'mirror');
  expect((await run(environment, 'verify', '--repair', '--index-url', NOBODY)).code).toBe(0);
  const executioners: Executioner[] = [];
  for (const verb of VERBS) executioners.push(executioner(await durationOf(environment, verb)));
  const server = await startServer({
    cacheDir: folder.cacheDir,
    args: ['--index-url', NOBODY],
    env: environment,
  });
  onTestFinished(async () => void (await server.stop()));
  const walker = await startWalker(mirrorDir);
  const dice = new Dice(7);
  let killed = 0;
  for (const [at, verb] of VERBS.entries()) {
    const start = (): ChildProcess =>
      spawn(process.execPath, [PROGRAM, ...verb], { env: environment, stdio: 'ignore' });
    for (const share of [0.5, 0.7, 0.85]) {
      if (await executioners[at]!.strike(start, { share: share + dice.next() * 0.1 })) killed++;
      expect(deadLinks(mirrorDir), verb.join(' ')).toEqual([]);
    }
    // Whatever was left half done is no hindrance; 4: nobody to refresh from, 3: it is deleted already.
    expect([0, 3, 4], verb.join(' ')).toContain((await run(environment, ...verb)).code);
    expect(deadLinks(mirrorDir), verb.join(' ')).toEqual([]);
  }
  const { dead, rounds } = await walker.stop();
  expect(dead).toEqual([]);
  expect(rounds).toBeGreaterThan(VERBS.length);
  expect(killed).toBeGreaterThanOrEqual(VERBS.length);
  const last = await run(environment, 'verify', '--repair', '--index-url', NOBODY);
  expect([last.code, last.stdout]).toEqual([0, expect.stringContaining(', ')]);
  expect((await run(environment, 'verify', '--index-url', NOBODY)).stdout).toContain('all is well');
});

it('shows lists through the pager on a terminal, plain in a pipe', async () => {
  const { environment } = await stage(20);
  const plain = await run(environment, 'ls');
  expect(plain.stdout).not.toContain('files of');
  const terminal = `import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)`;
  const paged = await runCommand('python3', ['-c', terminal, process.execPath, PROGRAM, 'ls'], {
    env: { ...environment, PAGER: 'sed s/^/paged:/' },
  });
  expect(paged.stdout).toContain('paged:PROJECT');
  expect(paged.stdout).toContain('paged:20 files of 2 projects');
});

async function stage(files = 1_000): Promise<{
  folder: BigFolder;
  environment: Record<string, string>;
}> {
  const temporary = await makeTempFolder('wheelcellar-verbs-');
  onTestFinished(() => temporary.remove());
  const cacheDir = join(temporary.path, 'cache');
  const folder = await makeBigFolder({ cacheDir, files, indexUrl: NOBODY });
  const environment = {
    PATH: process.env['PATH'] ?? '',
    HOME: temporary.path,
    NO_COLOR: '1',
    WHEELCELLAR_CACHE_DIR: cacheDir,
    WHEELCELLAR_LOG_LEVEL: 'error',
  };
  return { folder, environment };
}

async function run(
  env: Readonly<Record<string, string>>,
  ...argv: readonly string[]
): Promise<CommandResult> {
  return await runCommand(process.execPath, [PROGRAM, ...argv], { env });
}

/** Milliseconds that a verb takes on this machine when nobody strikes it, measured on a copy of the folder. */
async function durationOf(
  env: Readonly<Record<string, string>>,
  argv: readonly string[],
): Promise<number> {
  const copy = await makeTempFolder('wheelcellar-verbs-copy-');
  try {
    const cacheDir = join(copy.path, 'cache');
    await cp(env['WHEELCELLAR_CACHE_DIR'] ?? '', cacheDir, {
      recursive: true,
      verbatimSymlinks: true,
    });
    const startMs = performance.now();
    await run({ ...env, WHEELCELLAR_CACHE_DIR: cacheDir }, ...argv);
    return performance.now() - startMs;
  } finally {
    await copy.remove();
  }
}

/** Links of the mirror's pages that lead nowhere. */
function deadLinks(mirrorDir: string): string[] {
  return readdirSync(mirrorDir)
    .filter((name) => existsSync(join(mirrorDir, name, 'index.json')))
    .flatMap((name) => {
      const text = readFileSync(join(mirrorDir, name, 'index.json'), 'utf8');
      const { files } = JSON.parse(text) as { files: { url: string }[] };
      return files
        .map(({ url }) => join(mirrorDir, name, decodeURIComponent(url.split('#')[0] ?? '')))
        .filter((path) => !existsSync(path));
    });
}
