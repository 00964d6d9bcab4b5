import type { Io } from '../../../src/cli/verb.ts';

/** An `Io` that keeps what is written. */
export interface CapturedIo {
  readonly io: Io;
  readonly stdout: () => string;
  readonly stderr: () => string;
}

/** No terminal, no signals, and a home folder that does not exist. */
export function captureIo(env: Readonly<Record<string, string>> = {}): CapturedIo {
  const out: string[] = [];
  const err: string[] = [];
  return {
    io: {
      env,
      stdout: { write: (text) => out.push(text) },
      stderr: { write: (text) => err.push(text) },
      isTty: false,
      homeDir: '/nonexistent/home',
      cwd: '/nonexistent/work',
      onSignal: () => () => {},
    },
    stdout: () => out.join(''),
    stderr: () => err.join(''),
  };
}
