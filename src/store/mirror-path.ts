import { decodePathSegment } from '../simple/link.ts';
import { OFFICIAL_UPSTREAM } from './layout.ts';

/** The official index's own file paths: two levels and the rest of a BLAKE2b-256 digest. */
const OFFICIAL_PATH = /^\/packages\/[0-9a-f]{2}\/[0-9a-f]{2}\/[0-9a-f]{60}\/[^/]+$/;

/**
 * Where a file of an upstream lies in the mirror, `/`-separated and decoded:
 *
 * - the official index's files under the very path they have there, so that file URLs can be turned
 *   back in lock files;
 * - all others under `packages/-/<upstream>/`, with `@<host>` first when they lie on another host than
 *   their index.
 *
 * `undefined` for URLs whose path cannot be a safe path on disk.
 */
export function mirrorPathOf(
  upstream: string,
  indexUrl: string,
  fileUrl: string,
): string | undefined {
  if (!URL.canParse(fileUrl)) return undefined;
  const url = new URL(fileUrl);
  const segments: string[] = [];
  for (const raw of url.pathname.split('/')) {
    if (raw === '') continue;
    const segment = decodePathSegment(raw);
    if (segment === undefined) return undefined;
    segments.push(segment);
  }
  if (segments.length === 0) return undefined;
  if (upstream === OFFICIAL_UPSTREAM && OFFICIAL_PATH.test(url.pathname)) return segments.join('/');
  const isElsewhere = new URL(indexUrl).host !== url.host;
  return ['packages', '-', upstream, ...(isElsewhere ? [`@${url.host}`] : []), ...segments].join(
    '/',
  );
}

/** The upstream whose file a mirror path names, or `undefined` when it names none. */
export function upstreamOfPath(mirrorPath: string): string | undefined {
  const segments = mirrorPath.split('/');
  if (segments[0] !== 'packages' || segments.length < 3) return undefined;
  if (segments[1] !== '-') return OFFICIAL_UPSTREAM;
  return segments.length < 4 ? undefined : segments[2];
}
