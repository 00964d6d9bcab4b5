/**
 * The built program as a process of its own: started with a cache folder and a home folder of its own,
 * ready when it prints the URL of its index, killed with the test process at the latest.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { makeTempFolder } from './temp-folder.ts';

/** The program as people start it. */
const WHEELCELLAR: string = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));

export interface ServerOptions {
  /** Flags beside `--listen` and `--cache-dir`. */
  readonly args?: readonly string[];
  /** On top of PATH and a home folder of its own; nothing else of this process's environment is given. */
  readonly env?: Readonly<Record<string, string>>;
  /** An existing cache folder; by default a new one, deleted on `stop`. */
  readonly cacheDir?: string;
  /** How long to wait for the index URL; 20 seconds by default. */
  readonly startTimeoutMs?: number;
  /**
   * Whether upstreams are asked ahead of installers, as they are unless somebody turns it off. Not by default
   * here: what is asked depends on how far an upstream seems to be, and a busy machine makes it seem far.
   */
  readonly ahead?: boolean;
  /** The program to start, for a copy of the package. */
  readonly program?: string;
}

/** How a server ended. */
export interface ServerEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running server. */
export interface ServerProcess {
  readonly pid: number;
  /** `http://127.0.0.1:<port>` without a slash at the end. */
  readonly baseUrl: string;
  /** What to give to `--index-url`: `<baseUrl>/simple/`. */
  readonly indexUrl: string;
  readonly cacheDir: string;
  /** All it wrote so far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  /** Resolves when it has ended, whatever the reason. */
  readonly ended: Promise<ServerEnd>;
  /** Sends a signal and does not wait. */
  kill(signal: NodeJS.Signals): void;
  /** Ends it with SIGTERM, after ten seconds with SIGKILL; removes the folders made for it. */
  stop(): Promise<ServerEnd>;
}

/**
 * Starts `wheelcellar serve` on a free port of 127.0.0.1.
 *
 * @throws Error with the program's output when it ends or stays silent instead of getting ready
 */
export async function startServer(options: ServerOptions = {}): Promise<ServerProcess> {
  const folder = await makeTempFolder('wheelcellar-server-');
  const cacheDir = options.cacheDir ?? join(folder.path, 'cache');
  const child = spawnProgram(options, cacheDir, folder.path);
  const output = collectOutput(child);
  const ended = endOf(child);
  // One that is killed and never stopped leaves nothing behind but the cache folder it was given.
  if (options.cacheDir !== undefined) void ended.then(() => folder.remove());
  const stop = async (): Promise<ServerEnd> => {
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    child.kill('SIGTERM');
    const end = await ended;
    clearTimeout(timer);
    await folder.remove();
    return end;
  };
  try {
    const indexUrl = await withTimeout(firstIndexUrl(child), options.startTimeoutMs ?? 20_000);
    const baseUrl = new URL(indexUrl).origin;
    const kill = (signal: NodeJS.Signals): void => void child.kill(signal);
    return { pid: child.pid ?? 0, baseUrl, indexUrl, cacheDir, output, ended, kill, stop };
  } catch (error) {
    const { code, signal } = await stop();
    const words = `${output.stdout}${output.stderr}`;
    const message = `the server did not get ready (exit ${code ?? signal}):\n${words}`;
    throw new Error(message, { cause: error });
  }
}

function spawnProgram(options: ServerOptions, cacheDir: string, homeDir: string): ChildProcess {
  const program = options.program ?? WHEELCELLAR;
  const args = ['serve', '--listen', '127.0.0.1:0', '--cache-dir', cacheDir];
  const child = spawn(process.execPath, [program, ...args, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: homeDir,
    env: {
      PATH: process.env['PATH'],
      HOME: homeDir,
      NO_COLOR: '1',
      WHEELCELLAR_AHEAD_ENABLED: String(options.ahead ?? false),
      ...options.env,
    },
  });
  const killWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithUs);
  child.once('close', () => process.off('exit', killWithUs));
  return child;
}

function collectOutput(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
  return output;
}

async function endOf(child: ChildProcess): Promise<ServerEnd> {
  await once(child, 'close');
  return { code: child.exitCode, signal: child.signalCode };
}

/** The first URL on standard output that ends in `/simple/`; rejects when standard output ends before. */
function firstIndexUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    if (child.stdout === null) return reject(new Error('no standard output'));
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => {
      const url = /https?:\/\/\S+\/simple\/(?=\s|$)/.exec(line)?.[0];
      if (url !== undefined) resolve(url);
    });
    lines.once('close', () => reject(new Error('standard output ended')));
  });
}

async function withTimeout<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing for ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
