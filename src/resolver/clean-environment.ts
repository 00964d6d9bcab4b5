/** Names of settings that would lead a Python tool elsewhere, or change what it does. */
const SETTINGS: RegExp =
  /^(?:PIP_|UV_|POETRY_|PDM_|PIPENV_|XDG_|PYTHON|VIRTUAL_ENV|CONDA|__PYVENV|NETRC$|(?:https?|all|no|ftp)_proxy$)/i;

/** The discard port: nothing listens there. */
const NOWHERE: Readonly<Record<string, string>> = {
  http_proxy: 'http://127.0.0.1:9',
  https_proxy: 'http://127.0.0.1:9',
  HTTP_PROXY: 'http://127.0.0.1:9',
  HTTPS_PROXY: 'http://127.0.0.1:9',
  ALL_PROXY: 'http://127.0.0.1:9',
  NO_PROXY: '127.0.0.1',
  no_proxy: '127.0.0.1',
  GIT_ALLOW_PROTOCOL: 'file:http:https',
};

/**
 * The environment for a Python tool that is to ask nobody but our mirror on this machine: the caller's
 * without its settings for pip, uv and Python and without proxies; with a home of its own.
 *
 * @param homeDir an existing folder that may be written
 * @param isCutOff a proxy that refuses every connection stands before all hosts but this machine
 */
export function cleanEnvironment(
  variables: Readonly<Record<string, string | undefined>>,
  homeDir: string,
  isCutOff: boolean = false,
): Record<string, string> {
  const kept = Object.entries(variables).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !SETTINGS.test(entry[0]),
  );
  return {
    ...Object.fromEntries(kept),
    HOME: homeDir,
    USERPROFILE: homeDir,
    NETRC: '/dev/null',
    PIP_CONFIG_FILE: '/dev/null',
    PIP_NO_INPUT: '1',
    PIP_DISABLE_PIP_VERSION_CHECK: '1',
    UV_NO_CONFIG: '1',
    UV_PYTHON_DOWNLOADS: 'never',
    UV_NO_PROGRESS: '1',
    UV_CACHE_DIR: `${homeDir}/uv-cache`,
    PIP_CACHE_DIR: `${homeDir}/pip-cache`,
    NO_COLOR: '1',
    LC_ALL: 'C.UTF-8',
    ...(isCutOff ? NOWHERE : {}),
  };
}
