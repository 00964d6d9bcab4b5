import { spawn } from 'node:child_process';
import { codeOf, messageOf } from '../core/errors.ts';

/** How a program ended. */
export interface ProgramEnd {
  /** Exit status; `null` when a signal ended it or when it is not on this machine. */
  readonly code: number | null;
  /** What it wrote on both streams, or why it could not be started. */
  readonly output: string;
}

/** Runs a program to its end; rejects never for its exit status, nor when the program does not exist. */
export type RunProgram = (command: string, args: readonly string[]) => Promise<ProgramEnd>;

/** A `RunProgram` with the given environment and at most `timeoutMs` of time. */
export function programRunner(
  env: Readonly<Record<string, string | undefined>>,
  timeoutMs = 60_000,
): RunProgram {
  return (command, args) =>
    new Promise((resolve, reject) => {
      const child = spawn(command, args, {
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: timeoutMs,
        env: { ...env },
      });
      let output = '';
      const collect = (chunk: Buffer): void => {
        output += chunk.toString();
      };
      child.stdout.on('data', collect);
      child.stderr.on('data', collect);
      child.once('error', (error) => {
        if (codeOf(error) !== 'ENOENT') return reject(error);
        resolve({ code: null, output: `${command} is not installed (${messageOf(error)})` });
      });
      child.once('close', (code) => resolve({ code, output: output.trim() }));
    });
}
