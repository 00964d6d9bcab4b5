/** A stage for `run-mirror`: git projects, an index, and the verb as people start it. */
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { startFakeUpstream } from './fake-upstream.ts';
import type { FakeUpstream } from './fake-upstream.ts';
import { makeGitRepository } from './git-repository.ts';
import type { GitRepository } from './git-repository.ts';
import { runCommand } from './run-command.ts';
import type { CommandResult } from './run-command.ts';
import { makeTempFolder } from './temp-folder.ts';
import { writeSdist, writeWheel } from './wheel-writer.ts';
import type { WrittenFile } from './wheel-writer.ts';

/** The verb under the name of the old tool, built. */
export const RUN_MIRROR: string = fileURLToPath(
  new URL('../../bin/run-mirror.js', import.meta.url),
);

const CLIENTS: string = fileURLToPath(new URL('../.clients/current/bin', import.meta.url));

/** Builds as root need another user. */
export const BUILD_FLAGS: readonly string[] =
  process.getuid?.() === 0 ? ['--build-user', 'nobody'] : [];

/** Everything that a run may need. */
export interface MirrorStage {
  /** All below it goes away with the test. */
  readonly folder: string;
  readonly cacheDir: string;
  readonly upstream: FakeUpstream;
  readonly env: Readonly<Record<string, string>>;
  /** Writes a mirror.yaml below the folder; `text` stands below `mirrors:`. @returns its path */
  readonly writeMirrors: (text: string) => Promise<string>;
  readonly repository: (name: string) => Promise<GitRepository>;
  /** Runs it with the upstream as its only index. */
  readonly run: (mirrors: string, ...flags: readonly string[]) => Promise<CommandResult>;
  /** The same with other variables. */
  readonly runWith: (
    variables: Readonly<Record<string, string>>,
    mirrors: string,
    ...flags: readonly string[]
  ) => Promise<CommandResult>;
}

/** `alpha` needs `beta`; each has wheels and sdists. `gamma` is an sdist alone, `delta` a wheel alone. */
export function smallIndex(): Record<string, WrittenFile[]> {
  const both = (name: string, version: string, requires: readonly string[] = []): WrittenFile[] => [
    writeSdist({ name, version, requires }),
    writeWheel({ name, version, requires, requiresPython: '>=3.8' }),
  ];
  return {
    alpha: [...both('alpha', '1.0', ['beta']), ...both('alpha', '2.0', ['beta>=1.5'])],
    beta: [...both('beta', '1.0'), ...both('beta', '1.5')],
    'gamma-ray': [writeSdist({ name: 'Gamma.Ray', version: '0.3', requires: ['beta<1.5'] })],
    delta: [writeWheel({ name: 'delta', version: '4.0' })],
    epsilon: both('epsilon', '1.0'),
  };
}

/** Sets the stage for one test. */
export async function mirrorStage(
  projects: Readonly<Record<string, readonly WrittenFile[]>> = smallIndex(),
): Promise<MirrorStage> {
  const temporary = await makeTempFolder('wheelcellar-run-');
  onTestFinished(() => temporary.remove());
  const folder = temporary.path;
  const upstream = await startFakeUpstream({ projects });
  onTestFinished(() => upstream.close());
  const cacheDir = join(folder, 'cache');
  const env = {
    PATH: [CLIENTS, process.env['PATH'] ?? ''].join(delimiter),
    HOME: folder,
    NO_COLOR: '1',
    WHEELCELLAR_CACHE_DIR: cacheDir,
  };
  const runWith: MirrorStage['runWith'] = (variables, mirrors, ...flags) => {
    const index = flags.includes('--offline') ? [] : ['--index-url', upstream.indexUrl];
    const args = [RUN_MIRROR, '-c', mirrors, ...index, ...flags];
    return runCommand(process.execPath, args, { env: { ...env, ...variables }, cwd: folder });
  };
  return {
    folder,
    cacheDir,
    upstream,
    env,
    writeMirrors: async (text) => {
      const path = join(folder, 'mirror.yaml');
      await writeFile(path, `cache-root: download\nmirrors:\n${text}\n`);
      return path;
    },
    repository: (name) => makeGitRepository(join(folder, 'git', name)),
    run: (mirrors, ...flags) => runWith({}, mirrors, ...flags),
    runWith,
  };
}
