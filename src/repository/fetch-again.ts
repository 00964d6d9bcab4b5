import { messageOf } from '../core/errors.ts';
import type { Repository } from './repository.ts';

/** Files that are fetched at a time. */
const AT_A_TIME = 4;

/** How fetching one file again went; `null` as reason when it is held now. */
export interface FetchedAgain {
  readonly path: string;
  readonly reason: string | null;
}

/**
 * Fetches files that were damaged, by their mirror paths, as a client's request would. Never throws for
 * a single file.
 */
export async function fetchAgain(
  repository: Repository,
  paths: readonly string[],
  signal: AbortSignal,
  onFile: () => void = () => {},
): Promise<FetchedAgain[]> {
  const results: FetchedAgain[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < paths.length) {
      const path = paths[next++];
      if (path === undefined) return;
      results.push({ path, reason: await fetchOne(repository, path, signal) });
      onFile();
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_A_TIME, paths.length) }, worker));
  return results;
}

async function fetchOne(
  repository: Repository,
  path: string,
  signal: AbortSignal,
): Promise<string | null> {
  try {
    const source = await repository.file(path, { signal, networkMode: 'normal' });
    await source.keep({ signal });
    return null;
  } catch (error) {
    return messageOf(error);
  }
}
