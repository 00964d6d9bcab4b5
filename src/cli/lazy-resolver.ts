import type { Environment, Mirror } from '../compose.ts';
import type { Config } from '../config/config.ts';
import type { AskResolver } from '../prefetch/prefetch.ts';
import { resolve } from '../resolver/resolver.ts';
import type { ResolverTool } from '../resolver/tools.ts';
import { serveOurselves } from './mirror-at-work.ts';
import { resolverAtHand } from './resolver-at-hand.ts';
import type { Io } from './verb.ts';

/** A resolver that is looked for, and given its index, when it is asked first. */
export function lazyResolver(
  mirror: Mirror,
  settings: Config,
  env: Environment,
  io: Io,
  signal: AbortSignal,
  rules: { readonly onlyBinary: boolean },
): LazyResolver {
  let ready: Promise<ReadyResolver> | undefined;
  const use = (): Promise<ReadyResolver> =>
    (ready ??= makeReady(mirror, settings, env, io, signal));
  return {
    use,
    ask: async ({ requirements, constraints, prereleases, target }) => {
      const { tool, indexUrl } = await use();
      const { python, platform } = target;
      return await resolve(
        {
          requirements,
          constraints,
          prereleases,
          python,
          platform,
          indexUrls: [indexUrl],
          onlyBinary: rules.onlyBinary,
          isCutOff: settings.offline,
          signal,
          log: env.log,
        },
        tool,
        io.env,
      );
    },
    close: async () => {
      const made = await ready?.catch(() => undefined);
      await made?.close();
    },
  };
}

/** A resolver that may never be needed. */
export interface LazyResolver {
  readonly ask: AskResolver;
  readonly use: () => Promise<ReadyResolver>;
  readonly close: () => Promise<void>;
}

/** A resolver and the index that it is to ask. */
export interface ReadyResolver {
  readonly tool: ResolverTool;
  readonly indexUrl: string;
  readonly close: () => Promise<void>;
}

async function makeReady(
  mirror: Mirror,
  settings: Config,
  env: Environment,
  io: Io,
  signal: AbortSignal,
): Promise<ReadyResolver> {
  const tool = await resolverAtHand(mirror, { variables: io.env, signal, log: env.log });
  const { indexUrl, close } = await serveOurselves(mirror, settings, env);
  return { tool, indexUrl, close };
}

/** Ctrl-C ends the work in order: what was fetched stays, and the rest goes on from there next time. */
export function stopOnSignal(io: Io): {
  readonly signal: AbortSignal;
  readonly forget: () => void;
} {
  const stop = new AbortController();
  const forget = io.onSignal((name) => {
    if (name !== 'SIGHUP') stop.abort(new Error(`Stopped by ${name}; run it again to go on.`));
  });
  return { signal: stop.signal, forget };
}
