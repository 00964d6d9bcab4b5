import { isMutableFilename } from '../packaging/filenames.ts';
import type { FileSource } from '../repository/repository.ts';
import { encodePathSegments } from '../simple/link.ts';
import { fileCacheStatus } from './cache-status.ts';

/** What a front sends that hands files out by itself, in the words of Rack and its kin. */
const ASKS_FOR_REDIRECT = 'X-Accel-Redirect';

/** What every answer about a file says, errors apart; both doors write it. */
export function fileFields(
  source: Pick<FileSource, 'filename' | 'kind' | 'origin' | 'etag'>,
): readonly (readonly [name: string, value: string])[] {
  const { filename, kind, origin, etag } = source;
  return [
    [
      'Cache-Control',
      isMutableFilename(filename)
        ? 'max-age=0, must-revalidate'
        : 'public, max-age=31536000, immutable',
    ],
    ['Accept-Ranges', 'bytes'],
    [
      'Content-Type',
      kind === 'metadata' ? 'text/plain; charset=utf-8' : 'application/octet-stream',
    ],
    ['X-Content-Type-Options', 'nosniff'],
    ['Cache-Status', fileCacheStatus(origin)],
    ...(etag === null ? [] : [['ETag', etag] as const]),
  ];
}

/**
 * Whether the request came through a front that reads our files itself (`X-Sendfile-Type`, which it sets):
 * whoever asks here directly gets bytes, whatever is configured.
 */
export function wantsRedirect(headers: { readonly [name: string]: unknown }): boolean {
  return headers['x-sendfile-type'] === ASKS_FOR_REDIRECT;
}

/** Where the front finds a held file: its mirror path below the configured prefix, as a URI. */
export function redirectField(
  prefix: string,
  mirrorPath: string,
): readonly [name: string, value: string] {
  return ['X-Accel-Redirect', prefix + encodePathSegments(mirrorPath)];
}
