import { spawn } from 'node:child_process';
import { messageOf, WheelcellarError } from '../core/errors.ts';

/** How a program ended and what it wrote. */
export interface ChildEnd {
  /** Exit status; `null` when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a program is run. */
export interface ChildOptions {
  readonly cwd: string;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** It is killed, with all that it started, after this long. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** More than a resolver ever says; what is beyond is dropped. */
const MOST_OUTPUT = 16 * 1024 * 1024;

/**
 * Runs a program to its end, in a process group of its own so that nothing it started outlives it.
 *
 * @throws WheelcellarError when it cannot be started or takes too long; the signal's reason on abort
 */
export async function runChild(
  command: string,
  args: readonly string[],
  options: ChildOptions,
): Promise<ChildEnd> {
  options.signal?.throwIfAborted();
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
  });
  let isLate = false;
  const end = (): void => killGroup(child.pid);
  const timer = setTimeout(() => {
    isLate = true;
    end();
  }, options.timeoutMs);
  options.signal?.addEventListener('abort', end, { once: true });
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    options.signal?.throwIfAborted();
    if (isLate) {
      throw new WheelcellarError(
        `${command} was stopped after ${Math.round(options.timeoutMs / 1000)} seconds.`,
      );
    }
    return { code, stdout: stdout(), stderr: stderr() };
  } catch (error) {
    if (error instanceof WheelcellarError || options.signal?.aborted === true) throw error;
    throw new WheelcellarError(`Cannot run ${command}: ${messageOf(error)}.`, { cause: error });
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', end);
  }
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    if (bytes < MOST_OUTPUT) chunks.push(chunk);
    bytes += chunk.length;
  });
  return () => Buffer.concat(chunks).toString();
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
}
