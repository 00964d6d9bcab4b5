import { existsSync } from 'node:fs';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import type { CommandResult } from '../support/run-command.ts';
import { startServer } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import type { TempFolder } from '../support/temp-folder.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

let folder: TempFolder;
let installed: string;

// As npm installs it, but with this checkout's dependencies: compiling SQLite again takes two minutes.
beforeAll(async () => {
  folder = await makeTempFolder('wheelcellar-packed-');
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder.path];
  const packed = await runCommand('npm', args, { cwd: ROOT });
  expect(packed.code, packed.stderr).toBe(0);
  const tarball = join(folder.path, readFilename(packed.stdout));
  const unpacked = await runCommand('tar', ['-xzf', tarball, '-C', folder.path]);
  expect(unpacked.code, unpacked.stderr).toBe(0);
  installed = join(folder.path, 'package');
  await symlink(join(ROOT, 'node_modules'), join(installed, 'node_modules'));
});

afterAll(() => folder.remove());

/** npm 12 prints an object by package name, older ones a list. */
function readFilename(json: string): string {
  const packages = Object.values(JSON.parse(json) as Record<string, { filename: string }>);
  return packages[0]?.filename ?? '';
}

function wheelcellar(...args: readonly string[]): Promise<CommandResult> {
  return runCommand(process.execPath, [join(installed, 'bin', 'wheelcellar.js'), ...args], {
    cwd: folder.path,
    env: { PATH: process.env['PATH'], HOME: folder.path },
  });
}

it('tells its version', async () => {
  const result = await wheelcellar('version');
  expect(result).toMatchObject({ code: 0, stderr: '' });
  expect(result.stdout).toMatch(/^wheelcellar \d+\.\d+\.\d+/);
});

it('brings the elements along', async () => {
  const { stdout } = await wheelcellar('elements');
  expect(stdout.trim()).toBe(join(installed, 'elements'));
  for (const element of ['pypi', 'pip-cache']) {
    expect(existsSync(join(stdout.trim(), element)), element).toBe(true);
  }
});

it('carries no tests and no sources', () => {
  for (const path of ['src', 'test', 'scripts'])
    expect(existsSync(join(installed, path))).toBe(false);
});

it('serves', async () => {
  const program = join(installed, 'bin', 'wheelcellar.js');
  const server = await startServer({ program, args: ['--offline'] });
  expect((await fetch(server.indexUrl)).status).toBe(200);
  expect((await server.stop()).code).toBe(0);
});
