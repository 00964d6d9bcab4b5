import { createHash } from 'node:crypto';
import { mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { StorageError, codeOf } from '../core/errors.ts';
import { makePublicFolderNow } from './atomic-file.ts';

/**
 * Where everything lies in the cache folder.
 *
 *     mirror/                 a static mirror, readable without a server: folders 0755, files 0444
 *       index.html            the held projects           <project>/index.html   their held files
 *       packages/…            the files, under the upstream's own path
 *     state-v1/               0700: what only Wheelcellar reads
 *       catalog.sqlite        what is held (derived)      records.sqlite   what was decided (kept)
 *       pages/<upstream>/     upstream pages              partial/ locks/  fills under way
 *       withheld/             files taken out of the mirror without being deleted
 */
export interface Layout {
  readonly cacheDir: string;
  readonly mirrorDir: string;
  readonly stateDir: string;
  readonly pagesDir: string;
  readonly partialDir: string;
  readonly locksDir: string;
  readonly withheldDir: string;
  readonly catalogFile: string;
  readonly recordsFile: string;
  /** Where the file with this mirror path lies: `mirrorPath` is relative to `mirror/`, decoded, `/`-separated. */
  fileAt(mirrorPath: string): string;
}

/** The name of the upstream whose file paths stand directly below `packages/`. */
export const OFFICIAL_UPSTREAM = 'pypi';

/** The pseudo-upstream of files that people put in themselves. */
export const LOCAL_UPSTREAM = 'local';

/**
 * A file that marks an index which a program of ours writes by itself (`Debian-12/` of run-mirror): what lies
 * beside and below it is left as it is, and not adopted.
 */
export const OWN_TREE_MARK = '.run-mirror.json';

/** The paths of a cache folder. Nothing is created. */
export function layoutOf(cacheDir: string): Layout {
  const mirrorDir = join(cacheDir, 'mirror');
  const stateDir = join(cacheDir, 'state-v1');
  return {
    cacheDir,
    mirrorDir,
    stateDir,
    pagesDir: join(stateDir, 'pages'),
    partialDir: join(stateDir, 'partial'),
    locksDir: join(stateDir, 'locks'),
    withheldDir: join(stateDir, 'withheld'),
    catalogFile: join(stateDir, 'catalog.sqlite'),
    recordsFile: join(stateDir, 'records.sqlite'),
    fileAt: (mirrorPath) => join(mirrorDir, ...safeSegments(mirrorPath)),
  };
}

/**
 * Creates the folders that are missing.
 *
 * @throws StorageError when the folder cannot be written, or `mirror/` and `state-v1/` lie on two
 *   file systems (a stored file is published by a link, which cannot cross them).
 */
export function prepareLayout(layout: Layout): void {
  try {
    makeFolders(layout.cacheDir);
    makePublicFolderNow(join(layout.mirrorDir, 'packages'));
    mkdirSync(layout.stateDir, { recursive: true, mode: 0o700 });
    for (const dir of [layout.pagesDir, layout.partialDir, layout.locksDir, layout.withheldDir]) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
    }
  } catch (error) {
    throw new StorageError(
      `The cache folder ${layout.cacheDir} cannot be used: ${codeOf(error)}.`,
      {
        cause: error,
        hint:
          codeOf(error) === 'EEXIST' || codeOf(error) === 'ENOTDIR'
            ? 'There is a file of that name. Choose another folder with --cache-dir.'
            : 'Choose another folder with --cache-dir, or make this one writable for this user.',
      },
    );
  }
  if (statSync(layout.mirrorDir).dev !== statSync(layout.partialDir).dev) {
    throw new StorageError(
      `${layout.mirrorDir} and ${layout.stateDir} lie on different file systems, but files are published by a link from one to the other.`,
      { hint: 'Put the whole cache folder on one file system (--cache-dir).' },
    );
  }
}

/** Like `mkdir -p`. Node's own way never ends where a parent exists but takes no folders (/proc). */
function makeFolders(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return;
  if (dirname(path) !== path) makeFolders(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    const isThere = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
    if (!isThere) throw error;
  }
}

// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const UNSAFE = /[\u0000-\u001f\\\u007f]/;

/**
 * The segments of a mirror path.
 *
 * @throws StorageError for anything that could leave the mirror: a second wall, since callers parse paths
 *   before they get here.
 */
function safeSegments(mirrorPath: string): readonly string[] {
  const segments = mirrorPath.split('/');
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..' || UNSAFE.test(segment)) {
      throw new StorageError(`Not a path inside the mirror: ${JSON.stringify(mirrorPath)}.`);
    }
  }
  return segments;
}

/** A file-name-safe key for one (upstream, path): 40 hexadecimal digits. */
export function fillKey(upstream: string, mirrorPath: string): string {
  return createHash('sha256').update(`${upstream}\n${mirrorPath}`).digest('hex').slice(0, 40);
}
