/**
 * Measures the event loop of the server that it is imported into, and writes what it found to the file in
 * BENCH_PROBE whenever SIGUSR2 comes; then it starts anew.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';

const path = process.env.BENCH_PROBE;
const delays = monitorEventLoopDelay({ resolution: 1 });
delays.enable();
process.on('SIGUSR2', () => {
  const milliseconds = (nanoseconds) => nanoseconds / 1e6;
  const found = {
    p50Ms: milliseconds(delays.percentile(50)),
    p99Ms: milliseconds(delays.percentile(99)),
    maxMs: milliseconds(delays.max),
  };
  writeFileSync(`${path}.new`, JSON.stringify(found));
  renameSync(`${path}.new`, path);
  delays.reset();
});
