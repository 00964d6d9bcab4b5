/** What an address that leads through a mirror names. */
export type MirrorAddress =
  /** A file: its path below the mirror's root (`packages/…`), encoded as in the address; and a fragment. */
  | { readonly kind: 'file'; readonly path: string; readonly tail: string }
  /** An index, or what lies below it (`flask/`); whether its own URL should end in a slash. */
  | { readonly kind: 'index'; readonly rest: string; readonly endsInSlash: boolean }
  /** Something else of the mirror. */
  | { readonly kind: 'other' };

/** What is known of the mirror, and of what is none. */
export interface MirrorPlaces {
  /** URLs of the mirror's root, without a slash at the end; `file:` ones for its folder. */
  readonly roots: readonly string[];
  /** Host names that are the mirror's on any port; lower-case, IPv6 without brackets. */
  readonly hosts: readonly string[];
  /** Path prefix of the mirror's routes, `/` for none. */
  readonly basePath: string;
  /** `host:port` (or `host` for the scheme's own port) of indexes and file hosts that are no mirror of ours. */
  readonly upstreamHosts: readonly string[];
}

/** Where indexes are mounted below the root; `server/route.ts` serves them. */
const MOUNTS: readonly string[] = ['root/pypi/+simple', 'root/pypi/simple', 'simple', 'index'];
const OFFICIAL_FILE = /^packages\/[0-9a-f]{2}\/[0-9a-f]{2}\/[0-9a-f]{60}\/[^/]+$/;
const OTHER_FILE = /^packages\/-\/[^/]+\/.*[^/]$/;
/** What may lie below an index: nothing, or a project's page. */
const PAGE = /^(?:[A-Za-z0-9._-]+\/?)?$/;
/** Routes that are no projects on the bare host. */
const NO_PROJECT = /^(?:packages|pypi|root|legacy|-)(?:\/|$)/;
const LOOPBACK = /^(?:localhost|.*\.localhost|127(?:\.\d+){3}|::1)$/;

interface Parts {
  readonly scheme: string;
  readonly host: string;
  /** As `URL.host` has it. */
  readonly hostAndPort: string;
  /** Decoded nowhere, without doubled slashes. */
  readonly path: string;
  readonly tail: string;
}

/**
 * Tells addresses of the mirror from all others. A mirror's are: those below a known root; those on a
 * known host; any on a loopback name that is no upstream; and on every host that is no upstream files in
 * the shape of this mirror's paths (`packages/aa/bb/<hash>/…`, `packages/-/…`).
 */
export class MirrorAddresses {
  readonly #places: MirrorPlaces;
  readonly #roots: readonly Parts[];

  /** @param texts addresses of the same file: roots above its files are roots of its indexes, too */
  constructor(places: MirrorPlaces, texts: readonly string[] = []) {
    this.#places = places;
    const known = places.roots.map(partsOf).filter((root) => root !== undefined);
    this.#roots = known;
    const learned = texts.map((text) => this.#rootOf(text)).filter((root) => root !== undefined);
    this.#roots = [...known, ...learned];
  }

  /** What a URL or (for uv's `file://` indexes) an absolute path names, or `null` for no mirror's. */
  read(text: string): MirrorAddress | null {
    const parts = partsOf(text.startsWith('/') ? `file://${text}` : text);
    if (parts === undefined || this.isUpstream(parts.hostAndPort)) return null;
    const root = this.#roots.find((each) => isBelow(parts, each));
    if (root !== undefined) return this.#below(parts, root.path, true) ?? { kind: 'other' };
    const base = this.#places.basePath === '/' ? '' : this.#places.basePath;
    const bases = parts.path.startsWith(`${base}/`) ? [base, ''] : [''];
    if (parts.scheme !== 'file' && this.isMirrorHost(parts.host))
      return firstOf(bases, (each) => this.#below(parts, each, false));
    return firstOf(bases, (each) => fileBelow(parts, each)) ?? fileOfUnknownFolder(parts);
  }

  /** Whether a host name is the mirror's on whatever port. */
  isMirrorHost(host: string): boolean {
    return LOOPBACK.test(host) || this.#places.hosts.includes(host);
  }

  /** Whether `host` or `host:port` is an upstream's. */
  isUpstream(hostAndPort: string): boolean {
    return this.#places.upstreamHosts.includes(hostAndPort);
  }

  #below(parts: Parts, rootPath: string, isKnown: boolean): MirrorAddress | null {
    const file = fileBelow(parts, rootPath);
    if (file !== null) return file;
    const rest = parts.path.slice(rootPath.length).replace(/^\//, '');
    const mount = MOUNTS.find((each) => rest === each || rest.startsWith(`${each}/`));
    // The bare host serves an index, too; so does the folder of a static mirror.
    if (mount === undefined && !isKnown) return null;
    const below = rest.slice(mount?.length ?? 0).replace(/^\//, '');
    if (!PAGE.test(below) || (mount === undefined && NO_PROJECT.test(below))) return null;
    // Folders are named without one.
    const endsInSlash = parts.path.endsWith('/') || parts.scheme === 'file';
    return { kind: 'index', rest: below, endsInSlash };
  }

  /** The root above a file in the mirror's shape. */
  #rootOf(text: string): Parts | undefined {
    if (this.read(text)?.kind !== 'file') return undefined;
    const parts = partsOf(text.startsWith('/') ? `file://${text}` : text);
    return (
      parts && { ...parts, path: parts.path.replace(/\/packages\/(?:-|[0-9a-f]{2})\/.*$/, '') }
    );
  }
}

function fileBelow(parts: Parts, rootPath: string): MirrorAddress | null {
  const path = parts.path.slice(rootPath.length).replace(/^\//, '');
  if (!OFFICIAL_FILE.test(path) && !OTHER_FILE.test(path)) return null;
  return { kind: 'file', path, tail: parts.tail };
}

/** A folder may be mounted anywhere: in image builds at /tmp/pypi. */
function fileOfUnknownFolder(parts: Parts): MirrorAddress | null {
  if (parts.scheme !== 'file') return null;
  const at = parts.path.search(/\/packages\/[0-9a-f]{2}\/[0-9a-f]{2}\/[0-9a-f]{60}\//);
  return at === -1 ? null : fileBelow(parts, parts.path.slice(0, at));
}

function firstOf<T>(values: readonly string[], read: (value: string) => T | null): T | null {
  for (const value of values) {
    const found = read(value);
    if (found !== null) return found;
  }
  return null;
}

/** Whatever the scheme: a mirror behind TLS is the same one. */
function isBelow(parts: Parts, root: Parts): boolean {
  if ((parts.scheme === 'file') !== (root.scheme === 'file')) return false;
  if (parts.hostAndPort !== root.hostAndPort) return false;
  return parts.path === root.path || parts.path.startsWith(`${root.path.replace(/\/$/, '')}/`);
}

/** `undefined` for what is no URL with a host, or a `file:` one. */
function partsOf(text: string): Parts | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const raw = /^[a-z+]+:\/\/[^/?#]*([^?#]*)(.*)$/is.exec(text);
  if (raw === null) return undefined;
  return {
    scheme: url.protocol.slice(0, -1),
    host: url.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, ''),
    hostAndPort: url.host,
    path: (raw[1] ?? '').replace(/\/{2,}/g, '/'),
    tail: raw[2] ?? '',
  };
}
