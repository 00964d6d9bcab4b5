/** Blows that fall while a program works, however fast the machine is. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Where one blow is to fall. */
export interface Blow {
  /** Share of the time that the program takes from its start, or from `sign`, to its end: 0 to 1. */
  readonly share: number;
  /** Counting begins when this no longer answers what it did before the program started. */
  readonly sign?: () => string;
}

/** Starts programs that do the same work, and kills them; learns from each that was faster how long they take. */
export interface Executioner {
  /** Starts one and ends it by SIGKILL. @returns false when it had ended by itself before */
  readonly strike: (start: () => ChildProcess, blow: Blow) => Promise<boolean>;
}

/** @param wholeMs how long the work takes, from start or sign to end: a first guess is enough */
export function executioner(wholeMs: number): Executioner {
  let expectedMs = wholeMs;
  return {
    strike: async (start, { share, sign }) => {
      const before = sign?.();
      const child = start();
      const ended = once(child, 'close');
      if (sign !== undefined) {
        while (!hasEnded(child) && sign() === before)
          await new Promise((resolve) => setTimeout(resolve, 1));
      }
      const countedFrom = performance.now();
      const timer = setTimeout(() => child.kill('SIGKILL'), expectedMs * share);
      await ended;
      clearTimeout(timer);
      if (child.signalCode === 'SIGKILL') return true;
      expectedMs = performance.now() - countedFrom;
      return false;
    },
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
