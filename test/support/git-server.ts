import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { runCommand } from './run-command.ts';

/** Serves repositories below a folder over HTTP as plain files, which git can clone. @returns `http://127.0.0.1:<port>` */
export async function serveRepositories(folder: string): Promise<string> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '/').replace(/\?.*$/, ''));
    const file = createReadStream(join(folder, path));
    file.once('error', () => response.writeHead(404).end());
    file.once('open', () => file.pipe(response));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Writes what a repository needs to be cloned as plain files; to be done after each change. @returns its newest commit */
export async function publishRepository(folder: string): Promise<string> {
  await runCommand('git', ['update-server-info'], { cwd: folder });
  return (await runCommand('git', ['rev-parse', 'HEAD'], { cwd: folder })).stdout.trim();
}
