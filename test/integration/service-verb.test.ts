import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { main } from '../../src/cli/main.ts';
import type { Io } from '../../src/cli/verb.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import type { TempFolder } from '../support/temp-folder.ts';

const isLinux = process.platform === 'linux';
const verbs = { service: () => import('../../src/cli/service.ts') };

let folder: TempFolder;
let stdout: string;
let stderr: string;

beforeEach(async () => {
  folder = await makeTempFolder();
  [stdout, stderr] = ['', ''];
  const systemctl = join(folder.path, 'bin', 'systemctl');
  await mkdir(join(folder.path, 'bin'));
  await writeFile(systemctl, '#!/bin/sh\nexit 0\n');
  await chmod(systemctl, 0o755);
});

afterEach(() => folder.remove());

function io(env: Readonly<Record<string, string>> = {}): Io {
  return {
    env: { PATH: `${join(folder.path, 'bin')}:/bin`, ...env },
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    isTty: false,
    homeDir: folder.path,
    cwd: folder.path,
    onSignal: () => () => {},
  };
}

async function execStart(): Promise<string> {
  const path = join(folder.path, '.config/systemd/user/wheelcellar.service');
  return /^ExecStart=(.*)$/m.exec(await readFile(path, 'utf8'))?.[1] ?? '';
}

it.skipIf(!isLinux)('leaves the cache folder to the configuration unless it is named', async () => {
  expect(await main(['service', 'install'], io(), verbs)).toBe(0);
  expect(await execStart()).toMatch(/bin\/wheelcellar\.js" "serve"$/);
  expect(stdout).toContain('The service is running.');
});

it.skipIf(!isLinux)('fixes the folder that this environment names', async () => {
  await main(['service', 'install'], io({ DIB_IMAGE_CACHE: '/srv/dib' }), verbs);
  expect(await execStart()).toMatch(/"serve" "--cache-dir" "\/srv\/dib\/pypi"$/);
});

it.skipIf(!isLinux)('makes relative paths absolute', async () => {
  await writeFile(join(folder.path, 'my.yaml'), 'offline: true\n');
  const argv = ['service', 'install', '--user', '-c', 'my.yaml', '--cache-dir', 'kept'];
  expect(await main(argv, io(), verbs)).toBe(0);
  const { path } = folder;
  expect(await execStart()).toMatch(`"serve" "-c" "${path}/my.yaml" "--cache-dir" "${path}/kept"`);
});

it.skipIf(!isLinux)(
  'names variables that the service will not see, without their values',
  async () => {
    await main(['service', 'install'], io({ HTTPS_PROXY: 'http://ana:s3cret@proxy' }), verbs);
    expect(stdout).toContain('HTTPS_PROXY');
    expect(stdout + stderr).not.toContain('s3cret');
  },
);

it('installs nothing when the configuration is wrong', async () => {
  await writeFile(join(folder.path, 'my.yaml'), 'offlin: true\n');
  expect(await main(['service', 'install', '-c', 'my.yaml'], io(), verbs)).toBe(2);
  await expect(execStart()).rejects.toThrow('ENOENT');
});

it('refuses an action that it does not know, with exit status 2', async () => {
  expect(await main(['service', 'start'], io(), verbs)).toBe(2);
  expect(stderr).toContain('install');
});

it('ends with exit status 3 when there is no service to remove', async () => {
  expect(await main(['service', 'uninstall'], io(), verbs)).toBe(
    process.platform === 'win32' ? 2 : 3,
  );
});
