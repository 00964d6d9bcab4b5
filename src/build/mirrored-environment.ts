/** The environment in which whatever installs Python packages asks one index and no other. */
import { dibEnvironment } from './dib-environment.ts';
import type { DibSurroundings } from './dib-environment.ts';

/** Names of variables that say which index is asked, or that stand between a tool and its index. */
const INDEX_SETTINGS: RegExp = new RegExp(
  [
    '^PIP_(?:INDEX_URL|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|CONFIG_FILE|PROXY|CACHE_DIR|NO_CACHE_DIR)$',
    '^UV_(?:DEFAULT_INDEX|INDEX|INDEX_.*|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|OFFLINE|TORCH_BACKEND|CACHE_DIR|NO_CACHE)$',
    '^POETRY_(?:REPOSITORIES_.*|HTTP_BASIC_.*|PYPI_MIRROR_URL|PYPI_TOKEN_.*)$',
    '^PDM_(?:PYPI_.*|IGNORE_STORED_INDEX|CACHE_DIR)$',
    '^PIPENV_(?:PYPI_MIRROR|TEST_INDEX|CACHE_DIR)$',
    '^DIB_PYPI_MIRROR_URL(?:_.*)?$',
  ].join('|'),
);

/** `UV_INDEX_STRATEGY` decides between indexes, and there is one. */
const HARMLESS: ReadonlySet<string> = new Set(['UV_INDEX_STRATEGY']);

/** What a build is to use, and for how long. */
export interface MirroredSurroundings extends DibSurroundings {
  /** A folder for what tools cache: what they have from before would be used without being asked for. */
  readonly cachePath: string;
}

/** An environment, and what of the caller's is not in it any more. */
export interface MirroredEnvironment {
  readonly variables: Record<string, string | undefined>;
  /** Names of the caller's variables that were left out or replaced, sorted. */
  readonly replaced: readonly string[];
}

/**
 * The caller's variables with every index of pip, uv, PDM, pipenv, poetry's mirror plugin and
 * diskimage-builder replaced by one, pip's configuration files left unread, and caches of their own for pip, uv
 * and PDM. poetry keeps its cache: its environments lie there, and its files go by their URL.
 */
export function mirroredEnvironment(surroundings: MirroredSurroundings): MirroredEnvironment {
  const { indexUrl, cachePath } = surroundings;
  const given = Object.entries(surroundings.variables);
  const isReplaced = (name: string): boolean => INDEX_SETTINGS.test(name) && !HARMLESS.has(name);
  const kept = Object.fromEntries(given.filter(([name]) => !isReplaced(name)));
  const replaced = given
    .filter(([name, value]) => isReplaced(name) && (value ?? '') !== '')
    .map(([name]) => name);
  return {
    replaced: replaced.toSorted(),
    variables: {
      // The folder of caches may be on another file system, which uv would remark on each time.
      UV_LINK_MODE: 'copy',
      ...dibEnvironment({ ...surroundings, variables: kept }),
      PIP_INDEX_URL: indexUrl,
      PIP_CONFIG_FILE: '/dev/null',
      PIP_CACHE_DIR: `${cachePath}/pip`,
      // It would ask for pip's own page, which is no part of the build.
      PIP_DISABLE_PIP_VERSION_CHECK: '1',
      UV_DEFAULT_INDEX: indexUrl,
      UV_CACHE_DIR: `${cachePath}/uv`,
      PDM_PYPI_URL: indexUrl,
      PDM_CACHE_DIR: `${cachePath}/pdm`,
      PDM_CHECK_UPDATE: 'false',
      PIPENV_PYPI_MIRROR: indexUrl,
      PIPENV_CACHE_DIR: `${cachePath}/pipenv`,
      POETRY_PYPI_MIRROR_URL: indexUrl,
    },
  };
}
