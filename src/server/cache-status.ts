import type { Freshness } from '../repository/repository.ts';

/** The `Cache-Status` member of a page (RFC 9211). */
export function pageCacheStatus({ status, detail }: Freshness): string {
  switch (status) {
    case 'hit':
      return 'wheelcellar; hit';
    case 'fetched':
      return 'wheelcellar; fwd=uri-miss; stored';
    case 'stale':
      return 'wheelcellar; hit; detail=stale';
    case 'held':
      return `wheelcellar; hit; detail=${detail ?? 'held'}`;
  }
}

/** The `Cache-Status` member of a file (RFC 9211). */
export function fileCacheStatus(origin: 'hit' | 'miss'): string {
  return origin === 'hit' ? 'wheelcellar; hit' : 'wheelcellar; fwd=uri-miss; stored';
}
