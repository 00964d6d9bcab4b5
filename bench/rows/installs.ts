/** Real pip and uv with their own caches off, direct and through each mirror. */
import { join } from 'node:path';
import {
  ensurePythonClients,
  installedIn,
  makeVirtualEnvironment,
  pipInstall,
  uvPipInstall,
} from '../../test/support/python-clients.ts';
import type { BenchRun, Measurements, RowPlan, SharedRunners } from '../bench-run.ts';
import { INSTALLS } from '../plan.ts';
import type { InstallScenario, MirrorState } from '../plan.ts';
import { installedBy, requirementsOf, setProjects } from '../replay/package-sets.ts';
import type { SubjectName } from '../report/result.ts';
import { startNginxStatic } from '../subjects/nginx.ts';
import { startOurs } from '../subjects/ours.ts';
import type { RunningSubject, SubjectContext } from '../subjects/subject.ts';
import { proxyStarters } from './cold.ts';

/** They take seconds to start and to install: enough rounds for a median. */
const PEER_ROUNDS = 3;
const SLOW_PEERS: ReadonlySet<SubjectName> = new Set(['devpi', 'proxpi']);

/** The usual installs. */
export async function measureInstalls(run: BenchRun): Promise<void> {
  await ensurePythonClients();
  await run.options.replay.prepare(setProjects());
  for (const scenario of INSTALLS) await measureScenario(run, scenario);
}

async function measureScenario(run: BenchRun, scenario: InstallScenario): Promise<void> {
  const { replay, tools } = run.options;
  const { latencyMs, handshakeMs } = scenario;
  const plans = plansOf(scenario);
  await replay.setWeather({ latencyMs, handshakeMs });
  const runners: SharedRunners = {
    direct: async () => ({
      [idOf(scenario, 'cold')]: await install(run, scenario, replay.indexUrl),
    }),
  };
  for (const [name, starter] of proxyStarters(run)) {
    if (SLOW_PEERS.has(name) && !scenario.peers) continue;
    runners[name] = async (round) =>
      SLOW_PEERS.has(name) && round >= PEER_ROUNDS
        ? null
        : await throughMirror(run, scenario, name, starter);
  }
  const beside: RunningSubject[] = [];
  if (tools.nginx !== null && scenario.states.warm !== undefined) {
    const [source, copy] = await startStaticCopy(run, scenario);
    beside.push(source, copy);
    runners['nginx static'] = async () => ({
      [idOf(scenario, 'warm')]: await install(run, scenario, copy.indexUrl),
    });
  }
  await run.measureTogether(plans, runners);
  await run.stop(beside);
}

/** Files that ours has fetched, served by nginx. */
async function startStaticCopy(
  run: BenchRun,
  scenario: InstallScenario,
): Promise<[RunningSubject, RunningSubject]> {
  const source = await startOurs(run.context('static source'));
  await install(run, scenario, source.indexUrl);
  const folders = { pages: run.newFolder('no pages'), mirror: source.mirrorDir };
  return [source, await startNginxStatic(run.context('nginx static'), folders)];
}

/** A mirror with an empty folder: the first install and the second. */
async function throughMirror(
  run: BenchRun,
  scenario: InstallScenario,
  name: SubjectName,
  starter: (context: SubjectContext) => Promise<RunningSubject>,
): Promise<Measurements> {
  const context = run.context(name);
  const found: Record<string, { value: number }> = {};
  const subject = await starter(context);
  try {
    for (const state of ['cold', 'warm'] as const) {
      if (scenario.states[state] === undefined) continue;
      found[idOf(scenario, state)] = await install(run, scenario, subject.indexUrl);
    }
    return found;
  } finally {
    await subject.stop();
    await run.discard(context.folder);
  }
}

/** One install into a new environment, and whether it installed what it should. Seconds. */
export async function install(
  run: BenchRun,
  scenario: Pick<InstallScenario, 'tool' | 'set' | 'versions'>,
  indexUrl: string,
): Promise<{ readonly value: number }> {
  const folder = run.newFolder('environment');
  const { python } = await makeVirtualEnvironment(join(folder, 'venv'));
  const args = requirementsOf(scenario.set, scenario.versions);
  const startedAt = performance.now();
  const options = { python, indexUrl, args };
  const result = await (scenario.tool === 'pip' ? pipInstall(options) : uvPipInstall(options));
  const value = (performance.now() - startedAt) / 1000;
  if (result.code !== 0) throw new Error(`${scenario.tool}: ${result.stderr.slice(-400)}`);
  const installed = await installedIn(python);
  const expected = installedBy(scenario.set, scenario.versions);
  await run.discard(folder);
  if (installed.join() !== expected.join()) {
    throw new Error(`installed ${installed.length} of ${expected.length}: ${installed.join(' ')}`);
  }
  return { value };
}

const idOf = (scenario: InstallScenario, state: MirrorState): string =>
  `${workOf(scenario)}, ${state}`;

function workOf({ tool, set, versions, latencyMs, handshakeMs }: InstallScenario): string {
  const way = `${latencyMs} ms${handshakeMs === 0 ? '' : ` + ${handshakeMs} ms handshake`}`;
  return `${tool}, ${set}${versions === 'pinned' ? ' pinned' : ''}, ${way}`;
}

function plansOf(scenario: InstallScenario): RowPlan[] {
  return (Object.entries(scenario.states) as [MirrorState, RowPlan['targets']][]).map(
    ([state, targets = []]) => {
      const id = idOf(scenario, state);
      return { id, group: 'installs', work: id, unit: 's', targets };
    },
  );
}
