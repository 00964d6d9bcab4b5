/** The environment that makes an image build of diskimage-builder install through this mirror. */

type Variables = Readonly<Record<string, string | undefined>>;

/** What the build is to use. */
export interface DibSurroundings {
  /** The caller's environment. */
  readonly variables: Variables;
  /** Folder of the elements `pypi` and `pip-cache`. */
  readonly elementsPath: string;
  /** The index as this machine reaches it; an image under construction shares its network. */
  readonly indexUrl: string;
  readonly isOffline: boolean;
}

/**
 * The caller's variables with those of the elements put right:
 *
 * - `ELEMENTS_PATH` begins with ours, unless it names ours already;
 * - `DIB_PYPI_MIRROR_URL` is this mirror. Further ones (`_1`, …) stay: they are asked after it;
 * - `DIB_NO_PYPI_PIP`: the mirror alone decides what is asked upstream, so that all of it is kept;
 * - `DIB_OFFLINE` says `--offline` to disk-image-create;
 * - `no_proxy`, in both cases: pip sends even loopback requests through a proxy unless told otherwise.
 */
export function dibEnvironment(surroundings: DibSurroundings): Record<string, string | undefined> {
  const { variables, elementsPath, indexUrl, isOffline } = surroundings;
  return {
    ...variables,
    ELEMENTS_PATH: withElements(elementsPath, variables['ELEMENTS_PATH'] ?? ''),
    DIB_PYPI_MIRROR_URL: indexUrl,
    DIB_NO_PYPI_PIP: '1',
    ...(isOffline ? { DIB_OFFLINE: '1' } : {}),
    ...proxyExceptions(variables, new URL(indexUrl).hostname),
  };
}

/**
 * Whether the build is asked to be an offline one: by the caller's `DIB_OFFLINE` (any value, `0` too) or
 * by disk-image-create's own flag, which getopt also takes abbreviated.
 */
export function asksForOffline(words: readonly string[], variables: Variables): boolean {
  if ((variables['DIB_OFFLINE'] ?? '') !== '') return true;
  const end = words.indexOf('--');
  return words
    .slice(1, end === -1 ? undefined : end)
    .some((word) => /^--of(?:f(?:l(?:i(?:n(?:e)?)?)?)?)?$/.test(word));
}

/** diskimage-builder stops at an empty entry, so none is made. */
function withElements(own: string, present: string): string {
  const folders = present.split(':').filter((folder) => folder !== '');
  return (folders.includes(own) ? folders : [own, ...folders]).join(':');
}

function proxyExceptions(variables: Variables, host: string): Record<string, string> {
  const hasProxy = Object.entries(variables).some(
    ([name, value]) => /^(?:https?|all)_proxy$/i.test(name) && (value ?? '') !== '',
  );
  if (!hasProxy) return {};
  const present = variables['no_proxy'] ?? variables['NO_PROXY'] ?? '';
  const hosts = present.split(',').map((entry) => entry.trim());
  const exceptions = [...hosts.filter((entry) => entry !== '' && entry !== host), host].join(',');
  return { no_proxy: exceptions, NO_PROXY: exceptions };
}
