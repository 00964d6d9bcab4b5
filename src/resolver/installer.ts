import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cleanEnvironment } from './clean-environment.ts';
import { runChild } from './child.ts';
import type { ChildEnd } from './child.ts';
import type { ResolverTool } from './tools.ts';

/** What is to be installed for a trial. */
export interface TrialInstallation {
  /** Lines of a requirements file. */
  readonly requirements: readonly string[];
  readonly constraints: readonly string[];
  /** Version or path of an interpreter on this machine. */
  readonly python: string;
  readonly indexUrl: string;
  /** Every requirement has digests, and nothing but the requirements is installed. */
  readonly isLocked: boolean;
  readonly onlyBinary: boolean;
  readonly prereleases: boolean;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** How a trial went: `no-python` when this machine has no such interpreter. */
export type TrialOutcome =
  | { readonly kind: 'installed' }
  | { readonly kind: 'no-python'; readonly words: string }
  | { readonly kind: 'failed'; readonly words: string };

const TWENTY_MINUTES_MS = 1_200_000;

/**
 * Installs into a new environment that is thrown away, with a clean home and caches, and with no way to
 * any host but this machine. Builds of sdists get what they need from the same index.
 *
 * @throws WheelcellarError when a program cannot be started or takes too long
 */
export async function tryInstallation(
  trial: TrialInstallation,
  tool: ResolverTool,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<TrialOutcome> {
  const folder = await mkdtemp(join(tmpdir(), 'wheelcellar-trial-'));
  try {
    await mkdir(join(folder, 'home'));
    await writeFile(join(folder, 'requirements.txt'), `${trial.requirements.join('\n')}\n`);
    await writeFile(join(folder, 'constraints.txt'), `${trial.constraints.join('\n')}\n`);
    const env = cleanEnvironment(variables, join(folder, 'home'), true);
    const run = (command: string, args: readonly string[]): Promise<ChildEnd> =>
      runChild(command, args, {
        cwd: folder,
        env,
        timeoutMs: trial.timeoutMs ?? TWENTY_MINUTES_MS,
        signal: trial.signal,
      });
    const environment = join(folder, 'environment');
    const made = await run(tool.command, makingArgs(tool, trial, environment));
    if (made.code !== 0) return { kind: 'no-python', words: made.stderr || made.stdout };
    const python =
      process.platform === 'win32'
        ? join(environment, 'Scripts', 'python.exe')
        : join(environment, 'bin', 'python');
    const end =
      tool.kind === 'uv'
        ? await run(tool.command, ['pip', 'install', '--python', python, ...uvArgs(trial)])
        : await run(python, ['-m', 'pip', 'install', '--quiet', ...pipArgs(trial)]);
    return end.code === 0
      ? { kind: 'installed' }
      : { kind: 'failed', words: (end.stderr || end.stdout).trim() };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function makingArgs(tool: ResolverTool, trial: TrialInstallation, environment: string): string[] {
  if (tool.kind === 'uv')
    return ['venv', '--quiet', '--no-python-downloads', '--python', trial.python, environment];
  return ['-m', 'venv', environment];
}

function uvArgs(trial: TrialInstallation): string[] {
  return [
    '--default-index',
    trial.indexUrl,
    ...(trial.prereleases ? ['--prerelease', 'allow'] : []),
    ...commonArgs(trial),
  ];
}

function pipArgs(trial: TrialInstallation): string[] {
  return [
    '--index-url',
    trial.indexUrl,
    ...(trial.prereleases ? ['--pre'] : []),
    ...commonArgs(trial),
  ];
}

function commonArgs({ isLocked, onlyBinary, constraints }: TrialInstallation): string[] {
  return [
    ...(isLocked ? ['--no-deps', '--require-hashes'] : []),
    ...(onlyBinary ? ['--only-binary', ':all:'] : []),
    ...(constraints.length === 0 ? [] : ['--constraint', 'constraints.txt']),
    '--requirement',
    'requirements.txt',
  ];
}
