/** Paths in which no character needs encoding; nearly all of them. */
const PLAIN_PATH = /^[A-Za-z0-9._~!/-]*$/;

/**
 * A path with every segment percent-encoded, slashes kept (RFC 3986 §3.3). `+` becomes `%2B`, as pip
 * sends it: some servers read a bare one as a space.
 *
 * @throws URIError when the path holds a lone surrogate
 */
export function encodePathSegments(path: string): string {
  if (PLAIN_PATH.test(path)) return path;
  return path.split('/').map(encodeSegment).join('/');
}

/**
 * The relative reference from a page that lies `depth` folders deep to `path` below the root.
 *
 * @example relativeLink(2, 'packages/aa/x-1+cpu.whl') // '../../packages/aa/x-1%2Bcpu.whl'
 */
export function relativeLink(depth: number, path: string): string {
  return '../'.repeat(depth) + encodePathSegments(path);
}

/**
 * One path segment, decoded exactly once; `undefined` when it could be no name on a disk: bad encoding,
 * empty, dots only, slashes, control characters, more than 255 bytes.
 */
export function decodePathSegment(raw: string): string | undefined {
  let segment: string;
  try {
    segment = raw.includes('%') ? decodeURIComponent(raw) : raw;
  } catch {
    return undefined;
  }
  if (segment === '' || segment === '.' || segment === '..') return undefined;
  if (Buffer.byteLength(segment) > 255) return undefined;
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return /[\u0000-\u001f\u007f/\\]/.test(segment) ? undefined : segment;
}

/** The apostrophe is legal in a path, but tools that search pages by pattern take it for a quote. */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replaceAll("'", '%27');
}
