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

/** The apostrophe is legal in a path, but tools that search pages by pattern take it for a quote. */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replaceAll("'", '%27');
}
