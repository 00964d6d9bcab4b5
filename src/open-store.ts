import type { Config } from './config/config.ts';
import type { Clock } from './core/clock.ts';
import type { Logger } from './core/logger.ts';
import { Store } from './store/store.ts';

/**
 * Opens the cache folder that the settings name: all of the program that verbs need which only look at
 * what is held. It loads in a third of the time of the whole.
 *
 * @throws StorageError
 */
export async function openStore(
  config: Config,
  env: { readonly clock: Clock; readonly log: Logger },
): Promise<Store> {
  return await Store.open(
    {
      cacheDir: config.cache.dir,
      maxSizeBytes: config.cache.maxSizeBytes,
      maxAgeMs: config.cache.maxAgeMs,
      graceMs: config.cache.graceMs,
      reserveBytes: config.cache.reserveBytes,
      retries: config.http.retries,
      maxUnknownNames: config.limits.unknownNames,
    },
    env,
  );
}
