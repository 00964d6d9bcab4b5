import { homedir } from 'node:os';
import process from 'node:process';
import { pageText } from './pager.ts';
import type { Io, Signal } from './verb.ts';

const SIGNALS: readonly Signal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** The surroundings of the running process. */
export function processIo(): Io {
  // `wheelcellar ls | head`: who reads no further has seen enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    env: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    isTty: process.stderr.isTTY === true,
    ...(process.stdout.isTTY ? { page: pageText } : {}),
    homeDir: homedir(),
    cwd: process.cwd(),
    onSignal(listener) {
      const onSignal = (signal: NodeJS.Signals): void => listener(signal as Signal);
      for (const signal of SIGNALS) process.on(signal, onSignal);
      return () => {
        for (const signal of SIGNALS) process.off(signal, onSignal);
      };
    },
  };
}
