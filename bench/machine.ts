import { arch, availableParallelism, cpus, loadavg, release, totalmem, type } from 'node:os';
import type { Setting } from './report/result.ts';

/** What this machine is, now. */
export function thisMachine(): Pick<
  Setting,
  'cpu' | 'cores' | 'memoryGigabytes' | 'kernel' | 'node' | 'loadBefore'
> {
  return {
    cpu: `${cpus()[0]?.model.trim() ?? 'unknown'} (${arch()})`,
    cores: availableParallelism(),
    memoryGigabytes: Math.round(totalmem() / 1e9),
    kernel: `${type()} ${release()}`,
    node: process.versions.node,
    loadBefore: loadavg()[0] ?? 0,
  };
}
