/** Installs over long ways, of which asking ahead of the installer makes short ones. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { ensurePythonClients } from '../../test/support/python-clients.ts';
import type { BenchRun, Measurements, SharedRunners } from '../bench-run.ts';
import { AHEAD_INSTALLS, aheadByteTargets } from '../plan.ts';
import type { AheadScenario } from '../plan.ts';
import { setProjects } from '../replay/package-sets.ts';
import { startOurs } from '../subjects/ours.ts';
import { install } from './installs.ts';

/** Each takes five installs: enough for a median. */
const ROUNDS = 3;

/** How long installs take, and how much comes from upstream for them. */
export async function measureAhead(run: BenchRun): Promise<void> {
  await ensurePythonClients();
  await run.options.replay.prepare(setProjects());
  for (const scenario of AHEAD_INSTALLS)
    if (workOf(scenario).includes(run.options.match)) await measureScenario(run, scenario);
  await run.options.replay.setWeather({});
}

async function measureScenario(run: BenchRun, scenario: AheadScenario): Promise<void> {
  const { latencyMs, handshakeMs, linkBytesPerSecond, versions, targets } = scenario;
  await run.options.replay.setWeather({ latencyMs, handshakeMs, linkBytesPerSecond });
  const work = workOf(scenario);
  const row = { group: 'ahead', rounds: ROUNDS };
  const runners: SharedRunners = {
    direct: () => measured(run, scenario, run.options.replay.indexUrl),
    'not ahead': async () => {
      const context = run.context('not ahead');
      const env = { WHEELCELLAR_AHEAD_ENABLED: 'false' };
      const ours = await startOurs(context, { env });
      try {
        return await measured(run, scenario, ours.indexUrl);
      } finally {
        await ours.stop();
        await run.discard(context.folder);
      }
    },
    ...oursInThreeStates(run, scenario),
  };
  await run.measureTogether(
    [
      { ...row, id: `${work}, time`, work, unit: 's', targets },
      {
        ...row,
        id: `${work}, bytes`,
        work: `${work}: from upstream`,
        unit: 'MB',
        targets: aheadByteTargets(versions),
      },
    ],
    Object.fromEntries(
      Object.entries(runners).map(([name, runner]) => [
        name,
        async (round: number) => named(work, await runner(round)),
      ]),
    ),
  );
}

const named = (work: string, found: Measurements | null): Measurements | null =>
  found &&
  Object.fromEntries(Object.entries(found).map(([what, each]) => [`${work}, ${what}`, each]));

/** One folder for all three: the first install, the second, and one when only what was learned is left. */
function oursInThreeStates(run: BenchRun, scenario: AheadScenario): SharedRunners {
  let context = run.context('ours');
  return {
    ours: async () => {
      context = run.context('ours');
      return await throughOurs(run, scenario, context);
    },
    warm: () => throughOurs(run, scenario, context),
    learned: async () => {
      await forget(join(context.folder, 'cache'));
      const found = await throughOurs(run, scenario, context);
      await run.discard(context.folder);
      return found;
    },
  };
}

async function throughOurs(
  run: BenchRun,
  scenario: AheadScenario,
  context: ReturnType<BenchRun['context']>,
): Promise<Measurements> {
  const ours = await startOurs(context);
  try {
    return await measured(run, scenario, ours.indexUrl);
  } finally {
    await ours.stop();
  }
}

/** Takes files and pages out of the folder of a stopped server, as eviction does in time, and leaves what was learned. */
async function forget(cacheDir: string): Promise<void> {
  const catalog = new Database(join(cacheDir, 'state-v1/catalog.sqlite'));
  catalog.exec('DELETE FROM files; DELETE FROM departed; DELETE FROM pages;');
  catalog.close();
  for (const part of ['mirror', 'state-v1/pages'])
    await rm(join(cacheDir, part), { recursive: true, force: true });
}

async function measured(
  run: BenchRun,
  scenario: AheadScenario,
  indexUrl: string,
): Promise<Measurements> {
  const { replay } = run.options;
  await replay.forget();
  const time = await install(run, scenario, indexUrl);
  const { bytesSent } = await replay.counts();
  return { time, bytes: { value: bytesSent / 1e6 } };
}

function workOf(scenario: AheadScenario): string {
  const { tool, set, versions, latencyMs, handshakeMs, linkBytesPerSecond } = scenario;
  const handshake = handshakeMs === 0 ? '' : ` + ${handshakeMs} ms handshake`;
  const link = linkBytesPerSecond === null ? '' : `, ${(linkBytesPerSecond * 8) / 1e6} Mbit/s`;
  return `${tool}, ${set}${versions === 'pinned' ? ' pinned' : ''}, ${latencyMs} ms${handshake}${link}`;
}
