import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../test/support/run-command.ts';
import type { Hammered, Target } from './client.ts';

/** Prints what wrk counted, exactly. No hook runs during the measurement. */
const SUMMARY = `done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\nSUMMARY %d %d %d %d %.3f %.3f\\n", summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout, e.status,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
`;

/** wrk as installed somewhere. */
export interface Wrk {
  readonly path: string;
  /** For libraries that lie beside it. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * One thread of wrk on one URL.
 *
 * @param seconds whole ones; wrk knows no others
 * @throws Error when any answer was not a 2xx or 3xx, or none came
 */
export async function runWrk(
  wrk: Wrk,
  folder: string,
  options: { readonly target: Target; readonly connections: number; readonly seconds: number },
): Promise<Hammered> {
  const script = join(folder, 'summary.lua');
  writeFileSync(script, SUMMARY);
  const { target, connections, seconds } = options;
  const headers = Object.entries(target.headers).flatMap(([name, value]) => [
    '-H',
    `${name}: ${value}`,
  ]);
  const result = await runCommand(
    wrk.path,
    ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '20s', '-s', script]
      .concat(headers)
      .concat(target.url),
    { env: wrk.env, timeoutMs: (seconds + 30) * 1000 },
  );
  const found = /SUMMARY (\d+) (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+)/.exec(result.stdout);
  if (found === null) throw new Error(`wrk: ${result.stderr}${result.stdout}`);
  const [requests = 0, micros = 0, broken = 0, refused = 0, p50Ms = 0, p99Ms = 0] = found
    .slice(1)
    .map(Number);
  if (requests === 0) throw new Error(`wrk: no answer from ${target.url} within ${seconds} s`);
  if (broken > 0 || refused > 0) {
    throw new Error(`wrk: ${broken} broken and ${refused} refused of ${requests}: ${target.url}`);
  }
  return { requests, elapsedMs: micros / 1000, p50Ms, p99Ms };
}
