import { cp, mkdir, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import type { CommandResult } from '../support/run-command.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import type { TempFolder } from '../support/temp-folder.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

let folder: TempFolder;

beforeEach(async () => {
  folder = await makeTempFolder();
});

afterEach(() => folder.remove());

async function write(path: string, content: unknown): Promise<void> {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  await mkdir(join(folder.path, path, '..'), { recursive: true });
  await writeFile(join(folder.path, path), text);
}

describe('scripts/ready.mjs', () => {
  const lock = { packages: { '': {}, 'node_modules/better-sqlite3': { version: '12.0.0' } } };

  /** A project of one source file whose only dependency is there, with the real compiler. */
  beforeEach(async () => {
    await cp(join(ROOT, 'scripts'), join(folder.path, 'scripts'), { recursive: true });
    await write('package.json', { name: 'small', type: 'module' });
    await write('package-lock.json', lock);
    await write('node_modules/.package-lock.json', lock);
    await write('node_modules/better-sqlite3/index.js', 'module.exports = class { close() {} };');
    for (const tool of ['typescript', 'esbuild', '@esbuild'])
      await symlink(join(ROOT, 'node_modules', tool), join(folder.path, 'node_modules', tool));
    await write('tsconfig.json', {});
    const compilerOptions = {
      rootDir: 'src',
      module: 'nodenext',
      target: 'es2023',
      types: [],
      declaration: true,
    };
    await write('tsconfig.build.json', { compilerOptions, include: ['src'] });
    await write('src/index.ts', 'export const one: number = 1;\n');
    await write('src/pages/style.css', 'p {}');
  });

  function ready(): Promise<CommandResult> {
    return runCommand(process.execPath, ['scripts/ready.mjs', '--build'], { cwd: folder.path });
  }

  it('builds once, with the files that are no sources, and is silent then', async () => {
    const first = await ready();
    expect(first).toMatchObject({ code: 0, stdout: '' });
    expect(first.stderr).toContain('building');
    expect(await readFile(join(folder.path, 'dist/index.js'), 'utf8')).toContain('one = 1');
    expect(await readFile(join(folder.path, 'dist/pages/style.css'), 'utf8')).toBe('p {}');
    expect(await ready()).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('builds again when a source has changed, and drops what has no source any more', async () => {
    await ready();
    await write('dist/old.js', '');
    await write('src/index.ts', 'export const one: number = 11;\n');
    expect((await ready()).code).toBe(0);
    expect(await readFile(join(folder.path, 'dist/index.js'), 'utf8')).toContain('one = 11');
    await expect(stat(join(folder.path, 'dist/old.js'))).rejects.toThrow('ENOENT');
  });

  it('keeps the last good build when the compiler finds an error', async () => {
    await ready();
    await write('src/index.ts', 'export const one: number = "1";\n');
    const result = await ready();
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('TS2322');
    expect(await readFile(join(folder.path, 'dist/index.js'), 'utf8')).toContain('one = 1');
  });

  it('has the binding compiled with the headers that lie beside this Node, when they are its own', async () => {
    const bin = join(folder.path, 'node/bin');
    await mkdir(bin, { recursive: true });
    await cp(process.execPath, join(bin, 'node'));
    const [major, minor, patch] = process.versions.node.split('.');
    const header = (last: string | undefined): string =>
      `#define NODE_MAJOR_VERSION ${major}\n#define NODE_MINOR_VERSION ${minor}\n#define NODE_PATCH_VERSION ${last}\n`;
    // By an npm that installs nothing, and tells where the headers are to be.
    const asked = async (agent: string, name: string): Promise<string> => {
      await write('npm.js', `console.error("headers:", process.env.${name}), process.exit(1);`);
      await rm(join(folder.path, 'node_modules/.package-lock.json'), { force: true });
      const env = {
        PATH: process.env['PATH'],
        npm_execpath: join(folder.path, 'npm.js'),
        npm_config_user_agent: agent,
      };
      const args = [join(folder.path, 'scripts/ready.mjs')];
      const { stderr } = await runCommand(join(bin, 'node'), args, { cwd: folder.path, env });
      return /^headers: (.*)$/m.exec(stderr)?.[1] ?? stderr;
    };
    const [npm11, npm10] = ['npm/11.19.1 node/v20.20.2', 'npm/10.9.4 node/v20.20.2'];
    const [newName, oldName] = ['npm_package_config_node_gyp_nodedir', 'npm_config_nodedir'];
    expect(await asked(npm11, newName)).toBe('undefined');
    await write('node/include/node/node_version.h', header('999'));
    expect(await asked(npm11, newName)).toBe('undefined');
    await write('node/include/node/node_version.h', header(patch));
    expect(await asked(npm11, newName)).toBe(await realpath(join(folder.path, 'node')));
    expect(await asked(npm10, oldName)).toBe(await realpath(join(folder.path, 'node')));
  });

  it('tells what to install when the SQLite binding cannot be loaded', async () => {
    await write('node_modules/better-sqlite3/index.js', 'throw new Error("no bindings file");');
    const node = process.execPath;
    const env = { PATH: folder.path, HOME: folder.path, npm_lifecycle_event: 'test' };
    const args = ['scripts/ready.mjs', '--build'];
    const result = await runCommand(node, args, { cwd: folder.path, env });
    expect(result.code).toBe(1);
    expect(result.stderr).toContain('Error: no bindings file');
    expect(result.stderr).toContain('missing: g++, make, python3');
    expect(result.stderr).toMatch(/then: +npm test/);
  });
});

describe('scripts/test-count.mjs', () => {
  async function run(results: unknown, exitStatus: number): Promise<CommandResult> {
    await write('results.json', results);
    const args = [join(ROOT, 'scripts/test-count.mjs'), join(folder.path, 'results.json')];
    return runCommand(process.execPath, [...args, String(exitStatus)]);
  }

  async function count(results: unknown, exitStatus: number): Promise<string> {
    return (await run(results, exitStatus)).stdout;
  }

  const passed = { status: 'passed' };
  const failed = { status: 'failed' };

  it('counts tests that passed and failed, and none that were skipped', async () => {
    const assertionResults = [passed, passed, failed, { status: 'pending' }];
    const results = { testResults: [{ status: 'failed', assertionResults }] };
    expect(await count(results, 1)).toBe('2 passed, 1 failed\n');
  });

  it('counts a file that does not load as a failure', async () => {
    const testResults = [
      { status: 'passed', assertionResults: [passed] },
      { status: 'failed', assertionResults: [] },
    ];
    expect(await count({ testResults }, 1)).toBe('1 passed, 1 failed\n');
  });

  it('never reports success for a run that ended badly or ran nothing', async () => {
    const testResults = [{ status: 'passed', assertionResults: [passed] }];
    expect(await count({ testResults }, 0)).toBe('1 passed, 0 failed\n');
    expect(await count({ testResults }, 1)).toBe('1 passed, 1 failed\n');
    expect(await count({ testResults: [] }, 0)).toBe('0 passed, 1 failed\n');
    expect(await count('no JSON', 0)).toBe('0 passed, 1 failed\n');
  });

  it('says why a suite was skipped, and takes no suite for skipped that does not say it', async () => {
    const skipped = { status: 'skipped', ancestorTitles: ['images (skipped: no root (sudo))'] };
    const absent = { status: 'pending', title: 'pip is not here: no Python', ancestorTitles: [] };
    const silent = { status: 'skipped', title: 'works', ancestorTitles: ['images'] };
    const of = (...assertionResults: unknown[]): unknown => ({
      testResults: [{ status: 'passed', assertionResults }],
    });
    expect(await run(of(skipped, skipped, absent), 0)).toEqual({
      code: 0,
      stdout: '0 passed, 0 failed\n',
      stderr: 'skipped 2: no root (sudo)\nskipped 1: no Python\n',
    });
    expect(await count(of(skipped, silent), 0)).toBe('0 passed, 1 failed\n');
    expect(await count(of(skipped), 1)).toBe('0 passed, 1 failed\n');
  });
});
