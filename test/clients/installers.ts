import { join } from 'node:path';
import { installedAt, runClient } from './stage.ts';
import type { Installer } from './suite.ts';

/** `pip install --target`, which every pip has; the host is trusted, else newer ones cache nothing. */
export function pipInstall(...flags: readonly string[]): Installer {
  return async ({ client, indexUrl, requirements, folder, cachePath }) => {
    const target = join(folder, 'target');
    const settings = ['--index-url', indexUrl, '--trusted-host', '127.0.0.1'];
    const args = [
      '-m',
      'pip',
      '--cache-dir',
      cachePath,
      'install',
      '--no-compile',
      '--target',
      target,
    ];
    const run = await runClient(
      client,
      'python',
      [...args, ...settings, ...flags, ...requirements],
      folder,
    );
    return { ...run, installed: await installedAt(target) };
  };
}

/** `uv pip install --target`. */
export function uvPipInstall(...flags: readonly string[]): Installer {
  return async ({ client, indexUrl, requirements, folder, cachePath }) => {
    const target = join(folder, 'target');
    const settings = ['--no-config', '--default-index', indexUrl, '--cache-dir', cachePath];
    const args = ['pip', 'install', '--python', join(client.binPath, 'python'), '--target', target];
    const run = await runClient(
      client,
      'uv',
      [...args, ...settings, ...flags, ...requirements],
      folder,
    );
    return { ...run, installed: await installedAt(target) };
  };
}
