import { join, resolve } from 'node:path';
import { valueAt, withValue } from './raw-document.ts';
import type { RawDocument } from './raw-document.ts';

/** The keys whose values are paths. */
const PATH_KEYS: readonly (readonly string[])[] = [['unix'], ['cache', 'dir'], ['http', 'ca_file']];

/** `path` made absolute: `~` is `homeDir`, anything relative starts from `base`. */
export function absolutePath(path: string, base: string, homeDir: string): string {
  if (path === '~' || path.startsWith('~/')) return join(homeDir, path.slice(1));
  return resolve(base, path);
}

/** The document with every path absolute, so that layers with different bases can be laid together. */
export function withAbsolutePaths(
  document: RawDocument,
  base: string,
  homeDir: string,
): RawDocument {
  return PATH_KEYS.reduce((all, path) => {
    const value = valueAt(all, path);
    if (typeof value !== 'string') return all;
    return withValue(all, path, absolutePath(value, base, homeDir));
  }, document);
}

/** Where the configuration file lies when nobody names one (XDG Base Directory Specification). */
export function defaultConfigFile(xdgConfigHome: string | undefined, homeDir: string): string {
  // A relative XDG folder is to be ignored, says the specification.
  const folder = xdgConfigHome?.startsWith('/') ? xdgConfigHome : join(homeDir, '.config');
  return join(folder, 'wheelcellar', 'config.yaml');
}
