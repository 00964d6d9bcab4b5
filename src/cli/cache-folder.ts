import { existsSync } from 'node:fs';
import type { Mirror } from '../compose.ts';
import type { Config } from '../config/config.ts';
import { systemClock } from '../core/clock.ts';
import { ConfigurationError } from '../core/errors.ts';
import { openStore } from '../open-store.ts';
import { parseSelection } from '../packaging/selection.ts';
import type { Selection } from '../packaging/selection.ts';
import { layoutOf } from '../store/layout.ts';
import type { Store } from '../store/store.ts';
import { logOf } from './log.ts';
import type { VerbContext } from './verb.ts';

/** Whether there is a cache folder, with or without a catalog: looking must not make one. */
export function isCacheThere(config: Config): boolean {
  return existsSync(layoutOf(config.cache.dir).stateDir);
}

/** Runs `work` on the opened store, for verbs that need nothing of indexes and pages; quick to load. */
export async function withStore<T>(
  { io, config }: VerbContext,
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const settings = config();
  const store = await openStore(settings, { clock: systemClock, log: logOf(settings, io) });
  try {
    return await work(store);
  } finally {
    await store.close(0);
  }
}

/** Runs `work` on a mirror without a server; pages that it left to be written are on the disk afterwards. */
export async function withMirror<T>(
  { io, config }: VerbContext,
  work: (mirror: Mirror) => Promise<T>,
): Promise<T> {
  const [{ createMirror }, { environmentOf }] = await Promise.all([
    import('../compose.ts'),
    import('./serve.ts'),
  ]);
  const settings = config();
  const mirror = await createMirror(settings, environmentOf(settings, io));
  try {
    const result = await work(mirror);
    await mirror.store.flushStaticPages();
    return result;
  } finally {
    await mirror.close(0);
  }
}

/** `NAME` or `NAME` with a specifier set. @throws ConfigurationError for anything else */
export function selectionOf(text: string): Selection {
  const selection = parseSelection(text);
  if (selection !== undefined) return selection;
  throw new ConfigurationError([`${JSON.stringify(text)} names no project.`], {
    hint: 'Give a name, or a name and versions: flask, flask==3.0.0, "flask>=2,<3".',
  });
}
