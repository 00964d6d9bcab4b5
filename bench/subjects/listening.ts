import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { ask } from '../../test/support/http-client.ts';

/** A port of 127.0.0.1 that was free a moment ago, for programs that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

/** An empty file for what a program writes: nobody has to read it while it is measured. */
export function logFile(path: string): { readonly fd: number; close(): void } {
  const fd = openSync(path, 'w');
  return { fd, close: () => closeSync(fd) };
}

/**
 * Waits until something answers at the URL, with whatever status below 500.
 *
 * @throws Error with the end of its log when it ends or stays silent for `withinMs`
 */
export async function untilItAnswers(
  child: ChildProcess,
  origin: string,
  log: string,
  withinMs: number = 60_000,
): Promise<void> {
  const endAt = performance.now() + withinMs;
  let failure: Error | null = null;
  child.once('error', (error) => (failure = error));
  while (performance.now() < endAt) {
    if (failure !== null || child.exitCode !== null || child.signalCode !== null) break;
    const answer = await ask(origin, '/').catch(() => null);
    if (answer !== null && answer.status < 500) return;
    await pause(30);
  }
  throw new Error(`did not get ready: ${failure ?? ''} ${endOfFile(log)}`);
}

function endOfFile(path: string): string {
  try {
    return readFileSync(path, 'utf8').slice(-600);
  } catch {
    return '';
  }
}
