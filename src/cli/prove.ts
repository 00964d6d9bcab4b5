import { createMirror } from '../compose.ts';
import { loadConfig } from '../config/load-config.ts';
import { parseInterpreter } from '../packaging/environment.ts';
import { proofLines, prove } from '../prefetch/proof.ts';
import type { Target } from '../prefetch/targets.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { lazyResolver, stopOnSignal } from './lazy-resolver.ts';
import type { LocalPython } from './local-python.ts';
import { environmentOf } from './serve.ts';
import { addSetFlags, demandOf, quietly, targetsFor } from './set-flags.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb } from './verb.ts';

/** `wheelcellar prove`: can this be installed with nothing but what is held? */
export const verb: Verb = {
  name: 'prove',
  summary: 'Install requirements or lock files from what is held alone, for trial',
  configure: (command) => {
    addSetFlags(command);
    addUpstreamFlags(command);
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, options, configInput } = context;
    const demand = demandOf(context);
    const { targets, local } = await targetsFor(context);
    const offline = loadConfig({ ...configInput, flags: { ...configInput.flags, offline: true } });
    const settings = quietly(offline, context);
    const env = environmentOf(settings, io);
    const stop = stopOnSignal(io);
    const mirror = await createMirror(settings, env);
    const onlyBinary = options['onlyBinary'] === true;
    const { signal } = stop;
    const resolver = lazyResolver(mirror, settings, env, io, signal, { onlyBinary });
    try {
      const { repository, store } = mirror;
      const place = { repository, store, ask: resolver.ask, use: resolver.use, variables: io.env };
      const isLocal = (target: Target): boolean => runsHere(target, local);
      const proof = await prove(place, demand, targets, { onlyBinary, isLocal, signal });
      if (options['json'] === true) printJson(io, proof);
      else for (const line of proofLines(proof)) printLine(io, line);
      return proof.isReady ? EXIT.ok : EXIT.unavailable;
    } finally {
      stop.forget();
      await resolver.close();
      await mirror.close(0);
    }
  },
};

/** The same kind of machine; which Pythons are on it is for the installer to find out. */
function runsHere({ platform, interpreter }: Target, local: LocalPython | undefined): boolean {
  if (local?.platform !== platform) return false;
  return interpreter.implementation === (parseInterpreter(local.python)?.implementation ?? '');
}
