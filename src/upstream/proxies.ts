import { BlockList, isIP } from 'node:net';
import { ConfigurationError } from '../core/errors.ts';
import { plainHost, portOf } from './hosts.ts';

/** Environment variables by name. */
export type EnvironmentRecord = Readonly<Record<string, string | undefined>>;

/** A proxy to go through. */
export interface Proxy {
  /** Without credentials and path. */
  readonly url: URL;
  /** Value of `Proxy-Authorization`, when the proxy's URL had a user. */
  readonly authorization: string | undefined;
}

/** Chooses the way to a URL. */
export interface Proxies {
  /** The proxy for `url`; `undefined` to go directly. */
  proxyFor(url: URL): Proxy | undefined;
}

/** The lower-case spelling wins, as in curl. An empty value is none. */
function setting(environment: EnvironmentRecord, name: string): string | undefined {
  const value = environment[name.toLowerCase()] ?? environment[name];
  return value === undefined || value.trim() === '' ? undefined : value.trim();
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function parseProxy(text: string | undefined, variable: string): Proxy | undefined {
  if (text === undefined) return undefined;
  const address = text.includes('://') ? text : `http://${text}`;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    throw new ConfigurationError([`${variable} does not name an http or https proxy.`], {
      hint: 'Give it as http://host:port, or set NO_PROXY for the hosts to reach directly.',
    });
  }
  const { username, password } = url;
  const pair = `${decoded(username)}:${decoded(password)}`;
  return {
    url: new URL(url.origin),
    authorization:
      username === '' ? undefined : `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`,
  };
}

type Exception = (host: string, port: number) => boolean;

function subnetException(address: string, prefix: number): Exception {
  const list = new BlockList();
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(address, prefix, family);
  return (host) => {
    const hostFamily = isIP(host);
    return hostFamily !== 0 && list.check(host, hostFamily === 4 ? 'ipv4' : 'ipv6');
  };
}

function parseException(entry: string): Exception {
  if (entry === '*') return () => true;
  const subnet = /^([\da-f.:]+)\/(\d{1,3})$/i.exec(entry);
  if (subnet !== null && isIP(subnet[1] ?? '') !== 0) {
    const prefix = Number(subnet[2]);
    const widest = isIP(subnet[1] ?? '') === 4 ? 32 : 128;
    return prefix <= widest ? subnetException(subnet[1] ?? '', prefix) : () => false;
  }
  const isAddress = isIP(entry) !== 0;
  const parts = isAddress ? null : /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(entry);
  const name = (parts?.[1] ?? entry).toLowerCase().replace(/^\*?\./, '');
  const port = parts?.[2] === undefined ? undefined : Number(parts[2]);
  return (host, actualPort) =>
    (port === undefined || port === actualPort) && (host === name || host.endsWith(`.${name}`));
}

/**
 * Reads HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in both cases. NO_PROXY takes host names
 * (with their sub-domains), addresses, `host:port`, networks (`10.0.0.0/8`) and `*`.
 *
 * @throws ConfigurationError when a variable names something that is no http or https proxy.
 */
export function parseProxies(environment: EnvironmentRecord): Proxies {
  const all = setting(environment, 'ALL_PROXY');
  const http = parseProxy(setting(environment, 'HTTP_PROXY') ?? all, 'HTTP_PROXY or ALL_PROXY');
  const https = parseProxy(setting(environment, 'HTTPS_PROXY') ?? all, 'HTTPS_PROXY or ALL_PROXY');
  const exceptions = (setting(environment, 'NO_PROXY') ?? '')
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .map(parseException);
  return {
    proxyFor: (url) => {
      const proxy = url.protocol === 'https:' ? https : http;
      if (proxy === undefined) return undefined;
      const host = plainHost(url);
      return exceptions.some((isException) => isException(host, portOf(url))) ? undefined : proxy;
    },
  };
}
