import { addressesIn } from '../packaging/lock/lock-addresses.ts';
import type { LockAddress } from '../packaging/lock/lock-addresses.ts';
import { MirrorAddresses } from '../packaging/lock/mirror-addresses.ts';
import type { MirrorAddress, MirrorPlaces } from '../packaging/lock/mirror-addresses.ts';
import { upstreamOfPath } from '../store/mirror-path.ts';
import type { OfficialAddresses, TurnedBack } from './official-addresses.ts';

/** An address of a mirror in a lock file. */
export interface FoundAddress {
  /** Counted from 1. */
  readonly line: number;
  readonly address: string;
  /** What it stands for; `null` when it cannot be turned back. Empty: its line goes. */
  readonly official: string | null;
  /** Why it cannot be turned back. */
  readonly reason: string | null;
}

/** A lock file as it would be without the mirror. */
export interface RewrittenLock {
  /** All else is as before, to the byte. */
  readonly text: string;
  readonly found: readonly FoundAddress[];
}

interface OwnAddress {
  readonly place: LockAddress;
  readonly meant: MirrorAddress;
}

/** Turns the addresses of a mirror in the text of a lock file back into those of its upstreams. */
export async function rewriteLock(
  text: string,
  places: MirrorPlaces,
  official: OfficialAddresses,
): Promise<RewrittenLock> {
  const addresses = addressesIn(text);
  const mirror = new MirrorAddresses(
    places,
    addresses.map((each) => each.text),
  );
  const own = addresses.flatMap((place): OwnAddress[] => {
    const meant = place.kind === 'host' ? trustedHost(place, mirror) : mirror.read(place.text);
    return meant === null ? [] : [{ place, meant }];
  });
  const owners = ownersOf(own);
  const found: FoundAddress[] = [];
  let rewritten = '';
  let end = 0;
  for (const each of own) {
    const { place } = each;
    const turned = await turnBack(each, owners, official);
    const { line, text: address } = place;
    if ('reason' in turned) {
      found.push({ line, address, official: null, reason: turned.reason });
      continue;
    }
    found.push({ line, address, official: turned.url, reason: null });
    const [from, to] = replacedSpan(text, place);
    rewritten += text.slice(end, from) + keyOf(text, place, from) + turned.url;
    end = to;
  }
  return { text: rewritten + text.slice(end), found };
}

/** The part of the text that the official address takes the place of. */
function replacedSpan(text: string, place: LockAddress): readonly [from: number, to: number] {
  if (place.kind === 'host') {
    const from = text.lastIndexOf('\n', place.start - 1) + 1;
    const newline = text.indexOf('\n', place.end);
    return [from, newline === -1 ? text.length : newline + 1];
  }
  const isPathOfFile = place.kind === 'path' && place.key === 'path';
  return [isPathOfFile ? text.lastIndexOf('path', place.start) : place.start, place.end];
}

/** uv keeps files of `file://` indexes under `path`, which is `url` for all others. */
function keyOf(text: string, place: LockAddress, from: number): string {
  return place.kind === 'host' ? '' : text.slice(from, place.start).replace(/^path/, 'url');
}

/** pip's leave to speak plain http with the mirror, which no other index needs. */
function trustedHost({ text }: LockAddress, mirror: MirrorAddresses): MirrorAddress | null {
  const host = text.toLowerCase().replace(/^\[?([^\]]*?)\]?(?::\d+)?$/, '$1');
  return mirror.isMirrorHost(host) && !mirror.isUpstream(host) ? { kind: 'other' } : null;
}

/** Which upstream's files each package has, by name and by name with version. */
function ownersOf(own: readonly OwnAddress[]): ReadonlyMap<string, string> {
  const owners = new Map<string, string>();
  for (const { place, meant } of own) {
    const upstream = meant.kind === 'file' ? upstreamOfPath(meant.path) : undefined;
    if (place.owner === null || upstream === undefined) continue;
    const { name, version } = place.owner;
    owners.set(`${name} ${version ?? ''}`, upstream);
    if (!owners.has(name)) owners.set(name, upstream);
  }
  return owners;
}

async function turnBack(
  { place, meant }: OwnAddress,
  owners: ReadonlyMap<string, string>,
  official: OfficialAddresses,
): Promise<TurnedBack> {
  if (place.kind === 'host') return { url: '' };
  if (meant.kind === 'other') return { reason: 'it is neither an index nor a file of this mirror' };
  if (meant.kind === 'file') {
    const turned = await official.fileUrl(meant.path);
    return 'url' in turned ? { url: turned.url + meant.tail } : turned;
  }
  const { name = null, version = null } = place.owner ?? {};
  const owner = owners.get(`${name ?? ''} ${version ?? ''}`) ?? owners.get(name ?? '') ?? null;
  return await official.indexUrl(owner, name === '' ? null : name, meant);
}
