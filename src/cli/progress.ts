import { Presets, SingleBar } from 'cli-progress';
import type { Io } from './verb.ts';

/** A bar on standard error. */
export interface Progress {
  /** So many steps of so many are done. */
  update(done: number, total: number): void;
  stop(): void;
}

const NO_PROGRESS: Progress = { update: () => {}, stop: () => {} };

/** A bar for long work, on a terminal; nothing anywhere else. */
export function startProgress(io: Io, what: string): Progress {
  if (!io.isTty) return NO_PROGRESS;
  const bar = new SingleBar(
    {
      format: `${what} {bar} {percentage}% {value}/{total}`,
      clearOnComplete: true,
      hideCursor: true,
      fps: 5,
    },
    Presets.rect,
  );
  let isStarted = false;
  return {
    update: (done, total) => {
      if (!isStarted) bar.start(total, done);
      else {
        bar.setTotal(total);
        bar.update(done);
      }
      isStarted = true;
    },
    stop: () => {
      if (isStarted) bar.stop();
    },
  };
}
