/**
 * Preloaded into a server (`node --import`): measures how much CPU time its main thread takes between two
 * looks of a timer, which is at least one turn of the event loop. CPU time, since on a busy machine the clock
 * on the wall measures others; where the system does not tell it, that clock all the same. A SIGUSR2 writes
 * the longest turn so far, in milliseconds, to the file `TURN_CLOCK_FILE` and begins again.
 */
import { openSync, readSync, renameSync, writeFileSync } from 'node:fs';
import process from 'node:process';

const file = process.env.TURN_CLOCK_FILE;
const cpuMs = cpuClock();
let lastMs = cpuMs();
let longestMs = 0;

setInterval(() => {
  const nowMs = cpuMs();
  longestMs = Math.max(longestMs, nowMs - lastMs);
  lastMs = nowMs;
}, 1).unref();

process.on('SIGUSR2', () => {
  // Whole at once: the reader waits for the name.
  writeFileSync(`${file}.new`, String(longestMs));
  renameSync(`${file}.new`, file);
  longestMs = 0;
  lastMs = cpuMs();
});

/** The time that this thread has been on a processor; Linux keeps it in nanoseconds. */
function cpuClock() {
  let descriptor;
  try {
    descriptor = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r');
  } catch {
    return () => performance.now();
  }
  const buffer = Buffer.alloc(64);
  return () => {
    const length = readSync(descriptor, buffer, 0, buffer.length, 0);
    return Number.parseInt(buffer.latin1Slice(0, length), 10) / 1e6;
  };
}
