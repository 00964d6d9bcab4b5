/** The real nginx, with configurations that the program prints; one process in the foreground for each. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/**
 * Why tests with nginx cannot run here; `null` when they can.
 *
 * @throws Error instead, where `NGINX_EXPECTED` says that they must
 */
export function missingNginx(): string | null {
  if (spawnSync('nginx', ['-v']).status === 0) return null;
  const missing = 'nginx is not installed (Debian: apt install nginx-light)';
  if ((process.env['NGINX_EXPECTED'] ?? '') !== '') throw new Error(missing);
  return missing;
}

/** A port of 127.0.0.1 that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Puts a whole configuration into a folder, lets nginx check it, and runs it until the test is over. */
export async function startNginx(text: string, folder: string, port: number): Promise<string> {
  mkdirSync(folder);
  const file = join(folder, 'nginx.conf');
  // Folders of its own: those that are compiled in belong to root.
  const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${join(folder, name)};`)
    .join('\n');
  writeFileSync(file, text.replace('http {\n', `http {\n${own}\n`));
  // As root it would give up its rights, and a test's folder is open to its owner alone.
  const user = process.getuid?.() === 0 ? 'user root; ' : '';
  const flags = ['-p', folder, '-c', file, '-e', join(folder, 'error.log')];
  const settings = `${user}pid ${join(folder, 'nginx.pid')};`;
  const check = spawnSync('nginx', ['-t', ...flags, '-g', settings], { encoding: 'utf8' });
  if (check.status !== 0) throw new Error(`nginx does not take it:\n${check.stderr}`);
  const child = spawn('nginx', [...flags, '-g', `${settings} daemon off; master_process off;`], {
    stdio: 'inherit',
  });
  const killWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithUs);
  onTestFinished(async () => {
    process.off('exit', killWithUs);
    if (child.exitCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  await untilListening(port);
  return `http://127.0.0.1:${port}`;
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const isUp = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isUp) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`nginx does not listen on ${port}.`);
}
