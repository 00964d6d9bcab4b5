import { mkdir, realpath, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '');

async function scratch(): Promise<string> {
  const folder = await makeTempFolder('wheelcellar-elements-');
  onTestFinished(() => folder.remove());
  return folder.path;
}

async function outputOf(command: string, args: readonly string[], cwd: string): Promise<string> {
  const env = { PATH: process.env['PATH'], HOME: cwd };
  const result = await runCommand(command, args, { cwd, env });
  expect(result.code, result.stderr).toBe(0);
  return result.stdout.trim();
}

/** As `npm install -g` lays a packed package out below `prefix`; compiling its dependencies takes too long. */
async function installPacked(prefix: string): Promise<string> {
  const args = ['pack', '--ignore-scripts', '--silent', '--pack-destination', prefix];
  const tarball = (await outputOf('npm', [...args, ROOT], prefix)).split('\n').at(-1) ?? '';
  await outputOf('tar', ['-xzf', join(prefix, tarball), '-C', prefix], prefix);
  const installed = join(prefix, 'lib', 'node_modules', 'wheelcellar');
  await mkdir(join(prefix, 'lib', 'node_modules'), { recursive: true });
  await rename(join(prefix, 'package'), installed);
  await symlink(join(ROOT, 'node_modules'), join(installed, 'node_modules'));
  await mkdir(join(prefix, 'bin'));
  await symlink(
    '../lib/node_modules/wheelcellar/bin/wheelcellar.js',
    join(prefix, 'bin', 'wheelcellar'),
  );
  return installed;
}

it('is found from a checkout, from any folder', async () => {
  const folder = await scratch();
  const path = await outputOf(
    process.execPath,
    [join(ROOT, 'bin', 'wheelcellar.js'), 'elements'],
    folder,
  );
  expect(path).toBe(join(ROOT, 'elements'));
});

it('is found through a link that npm made', async () => {
  const prefix = await scratch();
  const install = [
    'install',
    '--global',
    '--prefix',
    prefix,
    '--ignore-scripts',
    '--offline',
    ROOT,
  ];
  await outputOf('npm', install, prefix);
  const path = await outputOf(join(prefix, 'bin', 'wheelcellar'), ['elements'], prefix);
  expect(await realpath(path)).toBe(join(ROOT, 'elements'));
});

it('is found in a packed and globally installed package, by program and library', async () => {
  const prefix = await scratch();
  const elements = join(await installPacked(prefix), 'elements');
  expect(await outputOf(join(prefix, 'bin', 'wheelcellar'), ['elements'], prefix)).toBe(elements);

  await symlink(join(prefix, 'lib', 'node_modules'), join(prefix, 'node_modules'));
  const script = `
    import { elementsPath, paths } from 'wheelcellar';
    import * as direct from 'wheelcellar/paths';
    console.log([elementsPath(), paths.elementsPath(), direct.elementsPath()].join(' '));`;
  const found = await outputOf(process.execPath, ['--input-type=module', '-e', script], prefix);
  expect(found).toBe([elements, elements, elements].join(' '));
});
