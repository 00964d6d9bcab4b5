import { hostname, networkInterfaces } from 'node:os';
import { isIP } from 'node:net';

/** Which names this server answers to. */
export interface HostGuardOptions {
  /** Addresses that are listened on, without ports. */
  readonly listenHosts: readonly string[];
  /** From the configuration. */
  readonly allowedHosts: readonly string[];
}

/** Spellings of our names that are remembered, and how long they may be. */
const MOST_KNOWN = 100;
const LONGEST_KNOWN = 100;

/**
 * Tells which `Host` headers are ours. A page in somebody's browser can make its own name resolve to this
 * machine (DNS rebinding); it cannot make the browser send another Host.
 *
 * Always: loopback names and `allowed_hosts`. With a listener beyond loopback: also this machine's name, with and
 * without domain, `.local`, and the addresses it is reached under.
 */
export function createHostGuard(options: HostGuardOptions): (hostHeader: string) => boolean {
  const allowed = new Set(options.allowedHosts.map((host) => host.toLowerCase()));
  const beyond = options.listenHosts.filter((host) => !isLoopback(bare(host)));
  const isWildcard = beyond.some((host) => ['0.0.0.0', '::'].includes(bare(host)));
  for (const host of beyond) allowed.add(bare(host));
  /** Headers whose names are always ours: the same few come with every request. */
  const known = new Set<string>();
  return (hostHeader) => {
    if (known.has(hostHeader)) return true;
    const host = hostOf(hostHeader);
    if (host === undefined) return false;
    if (isLoopback(host) || allowed.has(host)) {
      if (known.size < MOST_KNOWN && hostHeader.length <= LONGEST_KNOWN) known.add(hostHeader);
      return true;
    }
    if (beyond.length === 0) return false;
    // Looked up at each miss: addresses and names of a laptop change while it runs.
    return machineNames().has(host) || (isWildcard && machineAddresses().has(host));
  };
}

/** Whether the name or address can only mean this machine itself. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost' || host.endsWith('.localhost') || host === '::1') return true;
  return isIP(host) === 4 && host.startsWith('127.');
}

/** The host of a `Host` header, lower-case, without port and brackets; `undefined` when it has no valid form. */
function hostOf(header: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]/@\s]+))(?::\d{1,5})?$/i.exec(header.trim());
  return match === null ? undefined : (match[1] ?? match[2] ?? '').toLowerCase().replace(/\.$/, '');
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, '').toLowerCase();
}

function machineNames(): ReadonlySet<string> {
  const full = hostname().toLowerCase();
  const short = full.split('.')[0] ?? full;
  return new Set([full, short, `${short}.local`]);
}

function machineAddresses(): ReadonlySet<string> {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return new Set(addresses.map((entry) => entry.address.toLowerCase().replace(/%.*$/, '')));
}
