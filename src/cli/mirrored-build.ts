import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mirroredEnvironment } from '../build/mirrored-environment.ts';
import type { Environment, Mirror } from '../compose.ts';
import type { Config } from '../config/config.ts';
import { elementsPath } from '../paths.ts';
import { serveOurselves } from './mirror-at-work.ts';
import { runBuild } from './running-build.ts';
import type { VerbContext } from './verb.ts';

/**
 * Runs the program of the command line with an index of its own: `mirror`, on a free port of 127.0.0.1 that
 * nobody else is told of. Signals are passed on; the program ends before we do.
 *
 * @returns its exit status, `128 + n` when signal n ended it
 * @throws ConfigurationError when there is no such program
 */
export async function runMirrored(
  { io, options }: Pick<VerbContext, 'io' | 'options'>,
  words: readonly string[],
  mirror: Mirror,
  settings: Config,
  env: Environment,
): Promise<number> {
  const cachePath = await mkdtemp(join(tmpdir(), 'wheelcellar-build-'));
  const index = await serveOurselves(mirror, settings, env);
  try {
    const { variables, replaced } = mirroredEnvironment({
      variables: io.env,
      elementsPath: elementsPath(),
      indexUrl: index.indexUrl,
      isOffline: false,
      cachePath,
    });
    if (replaced.length > 0)
      io.stderr.write(
        `wheelcellar: of the caller's settings the build does not see: ${replaced.join(', ')}\n`,
      );
    return await runBuild({ io, options }, words, variables);
  } finally {
    await index.close();
    await rm(cachePath, { recursive: true, force: true });
  }
}
