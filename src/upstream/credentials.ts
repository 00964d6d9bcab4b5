import { readFile } from 'node:fs/promises';

/** A user name and its password. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

/**
 * The machines of a netrc file. `default` entries and macros are left out: a `default` would send a
 * password to hosts nobody thought of.
 */
export function parseNetrc(text: string): ReadonlyMap<string, Login> {
  const words = text
    .replace(/^\s*macdef\b[^]*?(?:\n\s*\n|$(?![^]))/gm, '\n')
    .split('\n')
    .flatMap((line) => line.replace(/(^|\s)#.*$/, '').split(/\s+/))
    .filter((word) => word !== '');
  const machines = new Map<string, Login>();
  let machine: string | undefined;
  let login: { username: string; password: string } = { username: '', password: '' };
  const finish = (): void => {
    if (machine !== undefined && !machines.has(machine)) machines.set(machine, login);
    machine = undefined;
    login = { username: '', password: '' };
  };
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    if (word === 'default') finish();
    if (word === 'machine') {
      finish();
      machine = words[++at]?.toLowerCase();
    } else if (word === 'login') login.username = words[++at] ?? '';
    else if (word === 'password') login.password = words[++at] ?? '';
    else if (word === 'account') at++;
  }
  finish();
  return machines;
}

/** Where the credentials of an upstream may come from. */
export interface CredentialsOptions {
  /** The only origin that `login` is ever sent to. */
  readonly indexUrl: URL;
  readonly login: Login | null;
  /** Read once, at the first request. A file that is not there is an empty one. */
  readonly netrcPath: string | null;
}

/** What to say in `Authorization`, bound to scheme, host and port. */
export interface Credentials {
  /** The header's value for a request to `url`; `undefined` to send none. */
  headerFor(url: URL): Promise<string | undefined>;
}

const basic = (login: Login): string =>
  `Basic ${Buffer.from(`${login.username}:${login.password}`, 'utf8').toString('base64')}`;

async function readNetrc(path: string | null): Promise<ReadonlyMap<string, Login>> {
  if (path === null) return new Map();
  try {
    return parseNetrc(await readFile(path, 'utf8'));
  } catch {
    // Not there or not readable: the index is asked without credentials and says so itself.
    return new Map();
  }
}

/** Credentials for one upstream. */
export function createCredentials(options: CredentialsOptions): Credentials {
  const { indexUrl, login, netrcPath } = options;
  let netrc: Promise<ReadonlyMap<string, Login>> | undefined;
  return {
    headerFor: async (url) => {
      const isIndex = url.origin === indexUrl.origin;
      if (isIndex && login !== null) return basic(login);
      // A password out of netrc goes to another origin only under encryption.
      if (!isIndex && url.protocol !== 'https:') return undefined;
      netrc ??= readNetrc(netrcPath);
      const entry = (await netrc).get(url.hostname);
      return entry === undefined ? undefined : basic(entry);
    },
  };
}
