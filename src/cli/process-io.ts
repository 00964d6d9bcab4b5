import { homedir } from 'node:os';
import process from 'node:process';
import type { Io, Signal } from './verb.ts';

const SIGNALS: readonly Signal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** The surroundings of the running process. */
export function processIo(): Io {
  return {
    env: process.env,
    stdout: process.stdout,
    stderr: process.stderr,
    isTty: process.stderr.isTTY === true,
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
