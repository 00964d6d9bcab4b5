import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { runCommand } from '../support/run-command.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));

/** How one verb fared. */
export interface VerbCounts {
  runs: number;
  /** Exit statuses other than 0. */
  readonly statuses: Record<string, number>;
  /** Ends without a status of ours, and their last words. */
  readonly crashes: string[];
}

/** What is run beside the servers, one after the other. */
export interface VerbSettings {
  readonly cacheDir: string;
  readonly indexUrl: string;
  readonly projects: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const anyOf = <T>(values: readonly T[]): T => values[Math.floor(Math.random() * values.length)]!;

/**
 * Runs gc, verify, delete and refresh beside the servers until it is over. Each may fail, since the index
 * does; none may end in any other way than by one of the program's own exit statuses.
 */
export async function runVerbs(
  settings: VerbSettings,
  isOver: () => boolean,
): Promise<Record<string, VerbCounts>> {
  const counts: Record<string, VerbCounts> = {};
  while (!isOver()) {
    const project = anyOf(settings.projects);
    const [verb, ...args] = anyOf([
      ['gc', '--max-size', '15MB'],
      ['verify', '--sample', '20%', '--repair', '--index-url', settings.indexUrl],
      ['delete', project],
      ['refresh', '--index-url', settings.indexUrl, project],
    ]) as [string, ...string[]];
    const count = (counts[verb] ??= { runs: 0, statuses: {}, crashes: [] });
    const { code, stderr } = await runCommand(
      process.execPath,
      [PROGRAM, verb, '--cache-dir', settings.cacheDir, ...args],
      {
        env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...settings.env },
        timeoutMs: 60_000,
      },
    );
    count.runs++;
    if (code !== 0) count.statuses[String(code)] = (count.statuses[String(code)] ?? 0) + 1;
    if (code === null || code === 1 || code > 7) count.crashes.push(stderr.slice(-1_000));
    await pause(300);
  }
  return counts;
}
