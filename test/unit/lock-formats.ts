import { readFileSync } from 'node:fs';
import { markerEnvironment, parseInterpreter } from '../../src/packaging/environment.ts';
import type { MarkerEnvironment } from '../../src/packaging/environment.ts';
import { readLockFile } from '../../src/packaging/lock/lock-file.ts';
import type { LockFile, LockSelection } from '../../src/packaging/lock/lock-file.ts';

/** The text of a sample below `test/fixtures/locks`. */
export function sample(path: string): string {
  return readFileSync(new URL(`../fixtures/locks/${path}`, import.meta.url), 'utf8');
}

/** A sample, read; with the project file beside it where a test names one. */
export function readSample(path: string, project: string | null = null): LockFile {
  return readLockFile(path, sample(path), project === null ? null : sample(project));
}

/** Linux on x86-64 with Python 3.11, unless said otherwise. */
export function environmentOf(
  python: string = '3.11',
  platform: string = 'manylinux_2_28_x86_64',
): MarkerEnvironment {
  const interpreter = parseInterpreter(python);
  if (interpreter === undefined) throw new Error(`${python} is no Python`);
  return markerEnvironment(interpreter, platform);
}

/** `name==version` of all that is chosen, with extras; what is on no index with its kind; sorted. */
export function pinsOf(
  lock: LockFile,
  selection: LockSelection = {},
  environment: MarkerEnvironment = environmentOf(),
): string[] {
  const { packages } = lock.packagesFor(environment, selection);
  const pins = packages.map(({ name, version, extras, source }) => {
    const asked = extras.length === 0 ? '' : `[${extras.join(',')}]`;
    const kind = source === 'index' ? '' : ` (${source})`;
    return `${name}${asked}==${version ?? '?'}${kind}`;
  });
  return pins.toSorted();
}
