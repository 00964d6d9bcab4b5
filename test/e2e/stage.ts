import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { makeVirtualEnvironment, pipInstall, uvPipInstall } from '../support/python-clients.ts';
import type { InstallOptions } from '../support/python-clients.ts';
import type { CommandResult } from '../support/run-command.ts';
import { sampleSet } from '../support/sample-set.ts';
import type { SampleSet } from '../support/sample-set.ts';
import { startServer } from '../support/server-process.ts';
import type { ServerOptions, ServerProcess } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

/** The installers, by name. */
export const INSTALLERS: readonly {
  readonly name: string;
  readonly install: (options: InstallOptions) => Promise<CommandResult>;
}[] = [
  { name: 'pip', install: pipInstall },
  { name: 'uv', install: uvPipInstall },
];

/** An upstream with the sample set, a cache folder, and whatever a test starts on them. */
export interface Stage {
  readonly set: SampleSet;
  readonly upstream: FakeUpstream;
  /** Everything below it goes away with the test. */
  readonly folder: string;
  readonly cacheDir: string;
  /** A server on the cache folder, with the upstream as its only index. */
  readonly serve: (...flags: readonly string[]) => Promise<ServerProcess>;
  /** The Python of a new virtual environment. */
  readonly freshPython: () => Promise<string>;
}

/** Sets the stage for one test and clears it when the test is over. */
export async function setStage(options: Pick<ServerOptions, 'ahead'> = {}): Promise<Stage> {
  const set = sampleSet();
  const folder = await makeTempFolder('wheelcellar-e2e-');
  onTestFinished(() => folder.remove());
  const upstream = await startFakeUpstream({ projects: set.projects });
  onTestFinished(() => upstream.close());
  const cacheDir = join(folder.path, 'cache');
  let environments = 0;
  return {
    set,
    upstream,
    folder: folder.path,
    cacheDir,
    serve: async (...flags) => {
      const args = ['--index-url', upstream.indexUrl, ...flags];
      const server = await startServer({ cacheDir, args, ...options });
      onTestFinished(async () => void (await server.stop()));
      return server;
    },
    freshPython: async () => {
      const path = join(folder.path, `venv-${++environments}`);
      return (await makeVirtualEnvironment(path)).python;
    },
  };
}

/** A failed run's own words, to be shown by an assertion on the exit status. */
export function wordsOf(result: CommandResult): string {
  return `${result.stdout}\n${result.stderr}`;
}
