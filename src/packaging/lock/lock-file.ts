import { ConfigurationError } from '../../core/errors.ts';
import type { LockFile, LockFormat } from './lock-model.ts';
import { readPdmLock } from './read-pdm-lock.ts';
import { readPipfileLock } from './read-pipfile-lock.ts';
import { readPoetryLock } from './read-poetry-lock.ts';
import { readPylock } from './read-pylock.ts';
import { readUvLock } from './read-uv-lock.ts';

export type { LockedPackage, LockFile, LockSelection } from './lock-model.ts';

/** How each format is read; `project` is the text of the pyproject.toml beside the lock, or `null`. */
type LockReader = (filename: string, text: string, project: string | null) => LockFile;

const READERS: Readonly<Record<LockFormat, LockReader>> = {
  pylock: readPylock,
  uv: readUvLock,
  poetry: readPoetryLock,
  pdm: readPdmLock,
  pipfile: readPipfileLock,
};

/** Names of lock files (PEP 751 for the first); `uv.lock` of a script is named after it (`x.py.lock`). */
const NAMES: readonly (readonly [name: RegExp, format: LockFormat])[] = [
  [/^pylock(?:\.[^.]+)?\.toml$/, 'pylock'],
  [/^(?:uv\.lock|.+\.py\.lock)$/, 'uv'],
  [/^poetry\.lock$/, 'poetry'],
  [/^pdm(?:\.[^.]+)*\.lock$/, 'pdm'],
  [/^Pipfile\.lock$/, 'pipfile'],
];

/** The format that a file has by its name (folders before it do not matter), or `undefined`. */
export function lockFormatOf(filename: string): LockFormat | undefined {
  const name = filename.slice(Math.max(filename.lastIndexOf('/'), filename.lastIndexOf('\\')) + 1);
  return NAMES.find(([pattern]) => pattern.test(name))?.[1];
}

/**
 * Reads a lock file; its name tells the format.
 *
 * @param project text of the `pyproject.toml` beside it: some locks leave to it which groups are
 *   installed unasked, and which packages are asked for
 * @throws ConfigurationError for unknown names, text that cannot be read and unknown format versions
 */
export function readLockFile(
  filename: string,
  text: string,
  project: string | null = null,
): LockFile {
  const format = lockFormatOf(filename);
  if (format === undefined) {
    throw new ConfigurationError([`${filename} is no lock file by its name.`], {
      hint: 'Known are pylock.toml, pylock.<name>.toml, uv.lock, poetry.lock, pdm.lock and Pipfile.lock.',
    });
  }
  return READERS[format](filename, text, project);
}
