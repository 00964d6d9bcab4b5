import { BlockList, isIP } from 'node:net';

/**
 * The official index and its file host, under their present and their old names. With
 * `officialIndex: 'forbidden'` none of them, nor any sub-domain, is ever contacted.
 */
const OFFICIAL_INDEXES: readonly string[] = ['pypi.org', 'pypi.python.org'];
const OFFICIAL_FILE_HOST = 'files.pythonhosted.org';

/** Well-known indexes that keep their files on another host of the same owner. */
const KNOWN_FILE_HOSTS: ReadonlyMap<string, readonly string[]> = new Map([
  ['pypi.org', [OFFICIAL_FILE_HOST]],
  ['pypi.python.org', [OFFICIAL_FILE_HOST]],
  ['test.pypi.org', ['test-files.pythonhosted.org']],
  ['download.pytorch.org', ['download-r2.pytorch.org']],
]);

function notPublic(): BlockList {
  const list = new BlockList();
  const ipv4: readonly (readonly [string, number])[] = [
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.168.0.0', 16],
    ['198.18.0.0', 15],
    ['224.0.0.0', 3],
  ];
  for (const [net, prefix] of ipv4) list.addSubnet(net, prefix, 'ipv4');
  // ::/96 holds ::1 and the old IPv4-compatible forms; 64:ff9b::/96 and 2002::/16 embed IPv4.
  const ipv6: readonly (readonly [string, number])[] = [
    ['::', 96],
    ['64:ff9b::', 96],
    ['2002::', 16],
    ['fc00::', 7],
    ['fe80::', 10],
    ['ff00::', 8],
  ];
  for (const [net, prefix] of ipv6) list.addSubnet(net, prefix, 'ipv6');
  return list;
}

/** A URL's host name in one spelling: no brackets, no trailing dot. `URL` has lower-cased it. */
export function plainHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
}

/** The port a URL leads to. */
export function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}

const isSameOrBelow = (host: string, domain: string): boolean =>
  host === domain || host.endsWith(`.${domain}`);

/** Whether the host is the official index or its file host, sub-domains included. */
export function isOfficialHost(host: string): boolean {
  return [...OFFICIAL_INDEXES, OFFICIAL_FILE_HOST].some((domain) => isSameOrBelow(host, domain));
}

/** Whether the host is the official index itself. */
export function isOfficialIndex(host: string): boolean {
  return OFFICIAL_INDEXES.includes(host);
}

/**
 * Decides which URLs an upstream's pages and redirects may lead to. The only wall between a hostile
 * page and this machine's network, so everything that is not allowed is refused.
 */
export interface FileHosts {
  /** Whether the URL's scheme, host and port are allowed. */
  allows(url: URL): boolean;
}

/** What decides which hosts may be asked for the files of an upstream. */
export interface FileHostsOptions {
  /** The index URL. Its host is always allowed. */
  readonly indexUrl: URL;
  /**
   * Further hosts: `host` (any port), `host:port`, `*.domain`, or `*` for every public host. The file
   * host of the official index, and those of a few other well-known ones, need not be listed.
   */
  readonly fileHosts?: readonly string[];
}

interface AllowedHost {
  readonly host: string;
  readonly port: number | null;
  readonly isPattern: boolean;
}

function parseAllowed(entry: string): AllowedHost {
  if (entry === '*') return { host: '', port: null, isPattern: true };
  const isPattern = entry.startsWith('*.');
  const bare = isPattern ? entry.slice(2) : entry;
  const isBareIpv6 = isIP(bare) === 6;
  // URL normalizes upper case, IDN and odd spellings of addresses, as it does for what is compared.
  const url = new URL(`http://${isBareIpv6 ? `[${bare}]` : bare}`);
  const hasPort = !isBareIpv6 && /:\d+$/.test(bare);
  return { host: plainHost(url), port: hasPort ? portOf(url) : null, isPattern };
}

/**
 * The allow-list of one upstream.
 *
 * @throws TypeError when an entry of `fileHosts` is no host.
 */
export function createFileHosts(options: FileHostsOptions): FileHosts {
  const { indexUrl } = options;
  const block = notPublic();
  const isPrivate = (host: string): boolean => {
    const family = isIP(host);
    if (family !== 0) return block.check(host, family === 4 ? 'ipv4' : 'ipv6');
    return isSameOrBelow(host, 'localhost');
  };
  const indexHost = plainHost(indexUrl);
  const indexPort = isPrivate(indexHost) ? portOf(indexUrl) : null;
  const allowed: AllowedHost[] = [{ host: indexHost, port: indexPort, isPattern: false }];
  const known = KNOWN_FILE_HOSTS.get(indexHost) ?? [];
  for (const entry of [...known, ...(options.fileHosts ?? [])]) allowed.push(parseAllowed(entry));

  const fits = (entry: AllowedHost, host: string, port: number): boolean => {
    if (entry.port !== null && entry.port !== port) return false;
    if (!entry.isPattern) return entry.host === host;
    return !isPrivate(host) && (entry.host === '' || isSameOrBelow(host, entry.host));
  };
  return {
    allows: (url) => {
      const schemeIsGoodEnough =
        url.protocol === 'https:' || (url.protocol === 'http:' && indexUrl.protocol === 'http:');
      if (!schemeIsGoodEnough) return false;
      const host = plainHost(url);
      const port = portOf(url);
      return allowed.some((entry) => fits(entry, host, port));
    },
  };
}
