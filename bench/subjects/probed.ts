import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startOurs } from './ours.ts';
import type { OurServer } from './ours.ts';
import type { SubjectContext } from './subject.ts';

/** How late the event loop was, milliseconds; 1 to 2 is the histogram's own resolution. */
export interface LoopDelays {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Our server with a probe in it. */
export interface ProbedServer extends OurServer {
  /** Since the start or the last question. */
  delays(): Promise<LoopDelays>;
}

/** Starts our server with `bench/probe.mjs`. */
export async function startProbed(context: SubjectContext): Promise<ProbedServer> {
  const path = join(context.folder, 'delays.json');
  const probe = new URL('../probe.mjs', import.meta.url).href;
  const ours = await startOurs(context, {
    nodeArgs: ['--import', probe],
    env: { BENCH_PROBE: path },
  });
  const delays = async (): Promise<LoopDelays> => {
    process.kill(ours.pid, 'SIGUSR2');
    for (let tries = 0; tries < 500; tries++) {
      await pause(10);
      if (!existsSync(path)) continue;
      const found = JSON.parse(await readFile(path, 'utf8')) as LoopDelays;
      await rm(path);
      return found;
    }
    throw new Error('the probe does not answer');
  };
  return { ...ours, delays };
}
