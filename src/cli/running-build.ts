import { startBuild } from '../build/run-build.ts';
import type { VerbContext } from './verb.ts';

/**
 * Runs the program of the command line. Signals are passed on, and the program ends before we do: a build of
 * an image ends its mounts first.
 *
 * @returns its exit status, `128 + n` when signal n ended it
 * @throws ConfigurationError when there is no such program
 */
export async function runBuild(
  { io, options }: Pick<VerbContext, 'io' | 'options'>,
  words: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const running = startBuild({
    words,
    cwd: io.cwd,
    env,
    isQuietOnStdout: options['json'] === true,
  });
  // A terminal sends Ctrl-C to the program by itself.
  const forget = io.onSignal((signal) => {
    if (signal !== 'SIGINT' || !io.isTty) running.signal(signal);
  });
  try {
    return await running.ended;
  } finally {
    forget();
  }
}
