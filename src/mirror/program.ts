import { spawn } from 'node:child_process';
import type { SpawnOptions } from 'node:child_process';
import { codeOf, messageOf } from '../core/errors.ts';

/** A program to run. */
export interface ProgramCall {
  /** Program and arguments; never read by a shell. */
  readonly words: readonly string[];
  readonly cwd: string;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** After so many milliseconds it is killed, with all that it has started. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Hears what it writes, on both streams, as it comes. */
  readonly onOutput?: (text: string) => void;
}

/** How a program ended. */
export interface ProgramResult {
  /** Exit status; `null` when it was killed or could not be started. */
  readonly code: number | null;
  readonly stdout: string;
  /** With the reason when it was killed or could not be started. */
  readonly stderr: string;
}

/** Of each stream so many characters are kept, the last ones. */
const MOST_OUTPUT = 4_000_000;

/**
 * Runs a program to its end in a process group of its own, without standard input. Rejects never: what
 * went wrong is in the result.
 */
export function runProgram(call: ProgramCall): Promise<ProgramResult> {
  const [program = '', ...args] = call.words;
  const options: SpawnOptions = {
    cwd: call.cwd,
    env: { ...call.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  };
  return new Promise((resolve) => {
    const child = spawn(program, args, options);
    const output = { stdout: '', stderr: '' };
    let reason = '';
    const kill = (why: string): void => {
      reason ||= why;
      killGroup(child.pid);
    };
    const timer = setTimeout(
      () => kill(`${program} was stopped after ${Math.round(call.timeoutMs / 1000)} s`),
      call.timeoutMs,
    );
    const onAbort = (): void => kill(`${program} was stopped`);
    call.signal.addEventListener('abort', onAbort, { once: true });
    if (call.signal.aborted) onAbort();
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (text: string) => {
        output[name] = (output[name] + text).slice(-MOST_OUTPUT);
        call.onOutput?.(text);
      });
    }
    const end = (code: number | null): void => {
      clearTimeout(timer);
      call.signal.removeEventListener('abort', onAbort);
      const stderr = reason === '' ? output.stderr : `${output.stderr}${reason}\n`;
      resolve({ code: reason === '' ? code : null, stdout: output.stdout, stderr });
    };
    child.once('error', (error) => {
      reason = codeOf(error) === 'ENOENT' ? `${program} is not installed` : messageOf(error);
      end(null);
    });
    child.once('exit', () => killGroup(child.pid));
    child.once('close', end);
  });
}

/** What a program leaves running when it ends is ended, too. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nobody is left.
  }
}
