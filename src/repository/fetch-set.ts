import { NotFoundError } from '../core/errors.ts';
import type { Repository, RequestContext } from './repository.ts';

/** Files that are fetched at a time unless the caller says otherwise. */
const FETCHES_AT_A_TIME = 8;

/** One file of a set. */
export interface WantedFile {
  /** Its mirror path, as a page gives it (`ServedProject.pathOf`). */
  readonly path: string;
  readonly filename: string;
  /** In bytes; `null` when its index does not say. Only the order of the fetches depends on it. */
  readonly sizeBytes: number | null;
}

/** What became of one file. */
export interface SetFile {
  readonly path: string;
  readonly filename: string;
  /** `held`: it was here before; `fetched`: it is here now. */
  readonly outcome: 'held' | 'fetched' | 'failed';
  /** Length of the file when it was fetched, 0 otherwise. */
  readonly bytes: number;
  /** Why it failed, `null` otherwise. */
  readonly error: unknown;
}

/** How a set is fetched. */
export interface FetchSetOptions {
  readonly atATime?: number;
  /** As of `RequestContext`; by default files are fetched. */
  readonly networkMode?: RequestContext['networkMode'];
  readonly signal: AbortSignal;
  /** Called for every piece that arrives, with its length in bytes. */
  readonly onBytes?: (bytes: number) => void;
  /** Called when a file's fate is known. */
  readonly onFile?: (file: SetFile) => void;
}

/**
 * Fetches files into the store as a client's requests would: each at most once, whoever else asks for it;
 * what a killed run has left is resumed; every digest is checked. Core metadata of every wheel is kept as
 * well, so that resolvers work without a network. Never throws for a single file; after the signal no
 * new fetch begins, and what was not begun fails with the signal's reason.
 */
export async function fetchSet(
  repository: Repository,
  files: readonly WantedFile[],
  options: FetchSetOptions,
): Promise<SetFile[]> {
  const results = new Map<string, SetFile>();
  const byPath = new Map(files.map((file) => [file.path, file]));
  // The largest first: a huge file that begins last would be waited for alone.
  const queue = [...byPath.values()].toSorted((a, b) => (b.sizeBytes ?? 0) - (a.sizeBytes ?? 0));
  const worker = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await fetchWithMetadata(repository, file, options);
      results.set(file.path, result);
      options.onFile?.(result);
    }
  };
  const workers = Math.max(1, Math.min(options.atATime ?? FETCHES_AT_A_TIME, byPath.size));
  await Promise.all(Array.from({ length: workers }, worker));
  return [...byPath.keys()].flatMap((path) => results.get(path) ?? []);
}

async function fetchWithMetadata(
  repository: Repository,
  { path, filename }: WantedFile,
  options: FetchSetOptions,
): Promise<SetFile> {
  const failed = (error: unknown): SetFile => ({
    path,
    filename,
    outcome: 'failed',
    bytes: 0,
    error,
  });
  if (options.signal.aborted) return failed(options.signal.reason);
  try {
    const bytes = await fetchOne(repository, path, options);
    if (filename.endsWith('.whl')) await keepMetadata(repository, path, options);
    const outcome = bytes === null ? 'held' : 'fetched';
    return { path, filename, outcome, bytes: bytes ?? 0, error: null };
  } catch (error) {
    return failed(error);
  }
}

/** The bytes that came, or `null` when the file was held. */
async function fetchOne(
  repository: Repository,
  path: string,
  { signal, networkMode = 'normal', onBytes }: FetchSetOptions,
): Promise<number | null> {
  // One of its own, so that listeners do not gather on the caller's.
  const own = AbortSignal.any([signal]);
  const source = await repository.file(path, { signal: own, networkMode });
  let bytes = 0;
  const count = (more: number): void => {
    bytes += more;
    onBytes?.(more);
  };
  await source.keep({ signal: own, onBytes: count });
  return source.origin === 'hit' ? null : bytes;
}

/** Wheels without readable core metadata are installed all the same. */
async function keepMetadata(
  repository: Repository,
  path: string,
  { signal, networkMode = 'normal' }: FetchSetOptions,
): Promise<void> {
  try {
    await fetchOne(repository, `${path}.metadata`, { signal, networkMode });
  } catch (error) {
    if (error instanceof NotFoundError || networkMode === 'offline') return;
    throw error;
  }
}
