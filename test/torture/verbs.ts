import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import { runCommand } from '../support/run-command.ts';
import { writeWheel } from '../support/wheel-writer.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));

/** How one verb fared. */
export interface VerbCounts {
  runs: number;
  /** Killed in the middle by us. */
  killed: number;
  /** Exit statuses other than 0. */
  readonly statuses: Record<string, number>;
  /** What was said with the last ones of them. */
  readonly words: string[];
  /** Ends without a status of ours, and their last words. */
  readonly crashes: string[];
}

/** What is run beside the servers, one after the other. */
export interface VerbSettings {
  readonly cacheDir: string;
  /** Where files to add are made. */
  readonly workDir: string;
  readonly indexUrl: string;
  readonly projects: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Pause between two verbs. */
  readonly everyMs: number;
  /** This share of the verbs is killed in the middle. */
  readonly killed: number;
}

/** What came of the verbs. */
export interface VerbReport {
  readonly verbs: Record<string, VerbCounts>;
  /** Files whose `add` ended with 0: none of them may be missing at the end. Filename to sha256. */
  readonly added: Map<string, string>;
  /** All files that were given to `add`, also when it was killed: each may be there. */
  readonly offered: Map<string, string>;
}

const KEPT_WORDS = 5;

const anyOf = <T>(values: readonly T[]): T => values[Math.floor(Math.random() * values.length)]!;

/**
 * Runs gc, verify, delete, refresh and add beside the servers until it is over. Each may fail, since the
 * index does; none may end in any other way than by one of the program's own exit statuses or our kill.
 */
export async function runVerbs(settings: VerbSettings, isOver: () => boolean): Promise<VerbReport> {
  const verbs: Record<string, VerbCounts> = {};
  const added = new Map<string, string>();
  const offered = new Map<string, string>();
  for (let round = 0; !isOver(); round++) {
    const project = anyOf(settings.projects);
    const wheel = writeWheel({ name: 'private', version: `1.${round}`, paddingBytes: 20_000 });
    const [verb, ...args] = anyOf([
      ['gc', '--max-size', '15MB'],
      ['verify', '--sample', '20%', '--repair', '--index-url', settings.indexUrl],
      ['delete', project],
      ['refresh', '--index-url', settings.indexUrl, project],
      ['add', join(settings.workDir, wheel.filename)],
    ]) as [string, ...string[]];
    if (verb === 'add') {
      writeFileSync(args[0]!, wheel.content);
      offered.set(wheel.filename, wheel.sha256);
    }
    const count = (verbs[verb] ??= { runs: 0, killed: 0, statuses: {}, words: [], crashes: [] });
    const isKilled = Math.random() < settings.killed;
    const { code, stdout, stderr } = await runCommand(
      process.execPath,
      [PROGRAM, verb, '--cache-dir', settings.cacheDir, ...args],
      {
        env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...settings.env },
        timeoutMs: isKilled ? Math.round(200 + Math.random() * 800) : 60_000,
      },
    );
    count.runs++;
    if (code === 0 && verb === 'add') added.set(wheel.filename, wheel.sha256);
    if (code === null && isKilled) count.killed++;
    else {
      if (code !== 0) count.statuses[String(code)] = (count.statuses[String(code)] ?? 0) + 1;
      if (code !== 0) count.words.push(`${code}: ${(stdout + stderr).slice(-1_000)}`);
      if (count.words.length > KEPT_WORDS) count.words.shift();
      if (code === null || code === 1 || code > 7) count.crashes.push(stderr.slice(-1_000));
    }
    await pause(settings.everyMs);
  }
  return { verbs, added, offered };
}
