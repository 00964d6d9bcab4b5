/**
 * Measures Wheelcellar beside its peers and its limits, on this machine and its loopback only.
 *
 *     npm run bench [-- --peers] [--only pages,files] [--quick] [--json F] [--write] [--profile]
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { BenchRun } from './bench-run.ts';
import { Children } from './children.ts';
import { Load } from './load/load.ts';
import { thisMachine } from './machine.ts';
import { GROUPS, ONLY_WHEN_NAMED } from './plan.ts';
import { profileHotPaths } from './profile.ts';
import { Replay } from './replay/replay-process.ts';
import { betweenMarkers, outcomeMarkdown } from './report/markdown.ts';
import type { Outcome } from './report/result.ts';
import { measureCold, measureCrowd, measureMemory } from './rows/cold.ts';
import { measureGrowth, measureLoop, measureRestart } from './rows/growth.ts';
import { measureFiles, measurePages, measureWorkers } from './rows/hot.ts';
import { measureAhead } from './rows/ahead.ts';
import { measureInstalls } from './rows/installs.ts';
import { findTools } from './tools.ts';

const DOCUMENT: string = fileURLToPath(new URL('../BENCHMARKS.md', import.meta.url));
const PROGRAM: string = fileURLToPath(new URL('../bin/wheelcellar.js', import.meta.url));

const USAGE = `npm run bench -- [flags]
  --peers          fetch devpi, proxpi, nginx and wrk (into bench/.scratch/) and measure them, too
  --only a,b       only these groups: ${Object.keys(GROUPS).join(', ')}
  --match TEXT     of the group ahead only rows whose names hold this
  --quick          three rounds, one size of each curve: to try the benchmark, not the server
  --json FILE      everything that was measured, as JSON
  --write          put the table into BENCHMARKS.md
  --profile        instead: the functions that take most of the processor's time
  --program FILE   measure another build's bin/wheelcellar.js
`;

/** Group → what measures it. */
const MEASURES: Readonly<Record<string, (run: BenchRun) => Promise<void>>> = {
  pages: measurePages,
  files: measureFiles,
  cold: measureCold,
  crowd: measureCrowd,
  memory: measureMemory,
  installs: measureInstalls,
  restart: measureRestart,
  growth: measureGrowth,
  loop: measureLoop,
  workers: measureWorkers,
  ahead: measureAhead,
};

interface Flags {
  readonly peers: boolean;
  readonly quick: boolean;
  readonly write: boolean;
  readonly profile: boolean;
  readonly groups: readonly string[];
  readonly json: string | null;
  readonly match: string;
  readonly program: string;
}

function readFlags(): Flags | null {
  const { values } = parseArgs({
    options: {
      peers: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      profile: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      only: { type: 'string' },
      json: { type: 'string' },
      match: { type: 'string', default: '' },
      program: { type: 'string', default: PROGRAM },
    },
  });
  const { peers, quick, write, profile, only, json, match, program, help } = values;
  const groups =
    only === undefined
      ? Object.keys(GROUPS).filter((group) => !ONLY_WHEN_NAMED.has(group))
      : only.split(',');
  const unknown = groups.filter((group) => !(group in GROUPS));
  if (help || unknown.length > 0) {
    process.stderr.write(
      unknown.length > 0 ? `no such group: ${unknown.join(', ')}\n${USAGE}` : USAGE,
    );
    return null;
  }
  const jsonPath = json === undefined ? null : resolve(json);
  return {
    peers,
    quick,
    write,
    profile,
    groups,
    match,
    json: jsonPath,
    program: resolve(program),
  };
}

async function main(): Promise<number> {
  const flags = readFlags();
  if (flags === null) return 2;
  const startedAt = new Date();
  const machine = thisMachine();
  const children = new Children();
  const folder = await mkdtemp(join(tmpdir(), 'wheelcellar-bench-'));
  // After the children's own handler: nobody writes there any more. Ctrl-C comes by here, too.
  const removal = { recursive: true, force: true, maxRetries: 10, retryDelay: 100 };
  process.once('exit', () => rmSync(folder, removal));
  try {
    const tools = await findTools({ peers: flags.peers, program: flags.program });
    const replay = await Replay.start(children);
    const load = await Load.start(children, { wrk: tools.wrk, folder, seconds: 1 });
    const rounds = flags.quick ? 3 : 5;
    const isQuick = flags.quick;
    const say = (line: string): void => void process.stderr.write(`${line}\n`);
    const { match } = flags;
    const options = { children, replay, load, tools, folder, rounds, isQuick, match, say };
    const run = new BenchRun(options);
    if (flags.profile) {
      process.stdout.write(await profileHotPaths(run));
      return 0;
    }
    await measureGroups(run, flags.groups);
    const outcome: Outcome = {
      setting: {
        ...machine,
        startedAt: startedAt.toISOString().slice(0, 16),
        rounds,
        loadGenerator: load.name,
        versions: tools.versions,
      },
      rows: run.rows,
      absences: run.absences,
      seconds: (Date.now() - startedAt.getTime()) / 1000,
    };
    report(outcome, flags);
    return 0;
  } finally {
    await children.stopAll();
  }
}

/** One group after the other; what goes wrong in one is named and the next goes on. */
async function measureGroups(run: BenchRun, groups: readonly string[]): Promise<void> {
  for (const group of groups) {
    const startedAt = performance.now();
    run.options.say(GROUPS[group] ?? group);
    try {
      await run.options.replay.setWeather({});
      await MEASURES[group]?.(run);
    } catch (error) {
      run.note(`all of “${GROUPS[group]}”`, error);
    }
    await run.endGroup();
    run.options.say(`  (${((performance.now() - startedAt) / 1000).toFixed(0)} s)`);
  }
}

function report(outcome: Outcome, flags: Flags): void {
  const markdown = outcomeMarkdown(outcome, GROUPS);
  process.stdout.write(`\n${markdown}`);
  if (flags.json !== null) {
    mkdirSync(join(flags.json, '..'), { recursive: true });
    writeFileSync(flags.json, `${JSON.stringify(outcome, null, 2)}\n`);
  }
  if (flags.write) {
    writeFileSync(DOCUMENT, betweenMarkers(readFileSync(DOCUMENT, 'utf8'), markdown));
  }
}

process.exitCode = await main();
