/** Whether a set can be installed with nothing but what is held: tried, not reckoned. */
import { BusyError } from '../core/errors.ts';
import { tryInstallation } from '../resolver/installer.ts';
import type { TrialOutcome } from '../resolver/installer.ts';
import type { ResolverTool } from '../resolver/tools.ts';
import { FileChooser } from './choice.ts';
import type { Demand } from './demand.ts';
import { Prefetch } from './prefetch.ts';
import type { PrefetchPlace } from './prefetch.ts';
import type { CoverageGap, SetReport } from './report.ts';
import { nameOfTarget } from './targets.ts';
import type { Target } from './targets.ts';
import { unheldProjects } from './unheld.ts';
import { isElsewhere, wantedOfLocked } from './wanted-package.ts';

/** What was found for one target. */
export interface TargetProof {
  readonly python: string;
  readonly platform: string;
  readonly isReady: boolean;
  /**
   * `installed`: into an environment that was thrown away; `resolved`: every version and file was found,
   * for a machine or Python that is not here.
   */
  readonly how: 'installed' | 'resolved';
  readonly packages: number;
  readonly missing: readonly CoverageGap[];
  /** Projects that the requirements lead to and of which nothing is held. */
  readonly unheld: readonly string[];
  /** What resolver or installer said when it failed. */
  readonly words: string | null;
}

/** The whole proof. */
export interface Proof {
  readonly isReady: boolean;
  readonly targets: readonly TargetProof[];
  readonly report: SetReport;
}

/** What a proof works with; its mirror is offline. */
export interface ProofPlace extends PrefetchPlace {
  /** The resolver, and the index that it and installers are to ask. */
  readonly use: () => Promise<{ readonly tool: ResolverTool; readonly indexUrl: string }>;
  readonly variables: Readonly<Record<string, string | undefined>>;
}

/** How it is proved. */
export interface ProofOptions {
  readonly onlyBinary: boolean;
  /** Whether something can be installed for the target on this machine. */
  readonly isLocal: (target: Target) => boolean;
  readonly signal: AbortSignal;
}

/** Proves a demand on each target. */
export async function prove(
  place: ProofPlace,
  demand: Demand,
  targets: readonly Target[],
  options: ProofOptions,
): Promise<Proof> {
  const gathering = new Prefetch(place, {
    ...options,
    withBuildDependencies: true,
    isDryRun: true,
    networkMode: 'offline',
    atATime: 8,
  });
  const report = await gathering.gather(demand, targets);
  const proofs: TargetProof[] = [];
  for (const [at, target] of targets.entries()) {
    const coverage = report.targets[at];
    if (coverage === undefined) continue;
    const { missing, unresolved, packages, python, platform } = coverage;
    const isCovered = missing.length === 0 && unresolved === null;
    const trial =
      isCovered && options.isLocal(target) ? await install(place, demand, target, options) : null;
    const failure = trial?.kind === 'failed' ? trial.words : unresolved;
    const unheld =
      failure === null ? [] : await unheldProjects(place.store, demand.requirements, target);
    proofs.push({
      python,
      platform,
      isReady: isCovered && trial?.kind !== 'failed',
      how: trial?.kind === 'installed' ? 'installed' : 'resolved',
      packages,
      missing,
      unheld,
      words: failure,
    });
  }
  // Where it was installed, what builds need was there.
  const isReady =
    proofs.every((each) => each.isReady) &&
    (report.isWhole || proofs.every(({ how }) => how === 'installed')) &&
    report.elsewhere.every(({ source }) => source === 'path');
  return { isReady, targets: proofs, report };
}

/** Installs what locks name by digests, and the rest as it is required. */
async function install(
  place: ProofPlace,
  demand: Demand,
  target: Target,
  { onlyBinary, signal }: ProofOptions,
): Promise<TrialOutcome> {
  const { tool, indexUrl } = await place.use();
  const common = { python: target.python, indexUrl, onlyBinary, signal };
  const locked = await lockedLines(place, demand, target, { onlyBinary, signal });
  let outcome: TrialOutcome = { kind: 'installed' };
  if (locked.length > 0) {
    const trial = {
      ...common,
      requirements: locked,
      constraints: [],
      isLocked: true,
      prereleases: true,
    };
    outcome = await tryInstallation(trial, tool, place.variables);
  }
  if (outcome.kind === 'installed' && demand.requirements.length > 0) {
    const { requirements, constraints, prereleases } = demand;
    const trial = { ...common, requirements, constraints, isLocked: false, prereleases };
    outcome = await tryInstallation(trial, tool, place.variables);
  }
  return outcome;
}

async function lockedLines(
  place: ProofPlace,
  demand: Demand,
  target: Target,
  { onlyBinary, signal }: Pick<ProofOptions, 'onlyBinary' | 'signal'>,
): Promise<string[]> {
  const chooser = new FileChooser(place, { signal, networkMode: 'offline' }, onlyBinary);
  const lines = new Set<string>();
  for (const { packagesFor } of demand.locked) {
    for (const locked of packagesFor(target.environment).packages) {
      const wanted = wantedOfLocked(locked);
      if (isElsewhere(wanted)) continue;
      const { file } = await chooser.choose(wanted, target);
      const sha256 = file?.entry.hashes['sha256'];
      // It was there a moment ago; an installation without it would prove nothing.
      if (sha256 === undefined)
        throw new BusyError(`${wanted.project} ${wanted.version} went away during the proof.`);
      lines.add(`${wanted.project}==${wanted.version} --hash=sha256:${sha256}`);
    }
  }
  return [...lines];
}

/** `Python 3.11 on …: ready (installed 12 packages)`, and what is missing below. */
export function proofLines({ targets, report, isReady }: Proof): string[] {
  const lines = targets.flatMap((proof) => {
    const how =
      proof.how === 'installed'
        ? `installed without a network`
        : 'every version and file is here; not installed, since it is not this machine';
    const head = `${nameOfTarget(proof)}: ${proof.isReady ? `ready, ${proof.packages} packages (${how})` : 'NOT ready'}`;
    return [
      head,
      ...proof.missing.map(
        ({ project, version, reason }) => `  missing   ${project} ${version}: ${reason}`,
      ),
      ...proof.unheld.map((name) => `  missing   ${name}: nothing of it is held`),
      ...(proof.words ?? '').split('\n').flatMap((line) => (line === '' ? [] : [`  ${line}`])),
    ];
  });
  for (const { name, source, location } of report.elsewhere)
    lines.push(`on no index: ${name} (${source} ${location})`);
  return [...lines, ...report.problems, isReady ? 'ready' : 'NOT ready'];
}
