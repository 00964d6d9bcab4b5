/** What a build has used, made into a set that can be had again. */
import { NotHeldOfflineError, StorageError } from '../core/errors.ts';
import { parseFilename } from '../packaging/filenames.ts';
import type { ProjectName } from '../packaging/names.ts';
import { fetchSet } from '../repository/fetch-set.ts';
import { etagOf } from '../repository/held-source.ts';
import type { NotedPage, NotedRepository } from '../repository/noted-repository.ts';
import type { Repository, RequestContext } from '../repository/repository.ts';
import type { DistributionFile } from '../simple/model.ts';
import { upstreamOfPath } from '../store/mirror-path.ts';
import type { RecordedFile, RecordedPage, RecordedSet } from '../store/set-table.ts';
import type { Store } from '../store/store.ts';

/** A cache that is far too small for the set may lose files while others come. */
const ATTEMPTS = 3;

/** What a set is made from. */
export interface Recording {
  readonly name: string;
  readonly command: readonly string[];
  readonly recordedAt: number;
  readonly noted: NotedRepository;
}

interface Place {
  readonly repository: Repository;
  readonly store: Store;
}

interface UsedFile {
  readonly project: ProjectName;
  readonly entry: DistributionFile;
  readonly path: string;
  readonly lastUsed: number;
}

/**
 * Keeps what a build has used as a set: its pages as they were, every file whose bytes it took, and, of
 * projects from which it took none (a build that only locks), those whose core metadata it read. All of it is held
 * afterwards, core metadata of wheels included, and kept from eviction.
 *
 * @throws whatever a file that is not held yet fails with; StorageError when the cache is too small
 */
export async function keepRecording(
  place: Place,
  recording: Recording,
  context: RequestContext,
): Promise<RecordedSet> {
  const { store } = place;
  const { name, command, recordedAt, noted } = recording;
  const used = usedFiles(noted, store);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const wanted = used.map(({ path, entry: { filename, sizeBytes } }) => ({
      path,
      filename,
      sizeBytes,
    }));
    const fetched = await fetchSet(place.repository, wanted, context);
    const failed = fetched.find(({ error }) => error instanceof Error);
    if (failed?.error instanceof Error) throw failed.error;
    const files = used.flatMap((file) => recordedFile(store, file) ?? []);
    if (files.length < used.length) continue;
    const pages = noted.pages.map(recordedPage);
    await store.records.sets.put({ name, command, recordedAt, pages, files });
    await store.kept.mirror();
    if (used.every((file) => recordedFile(store, file) !== undefined))
      return { name, command, recordedAt, pages, files };
    await store.records.sets.remove(name);
  }
  throw new StorageError(`The files of ${name} do not stay: the cache is smaller than they are.`, {
    hint: 'Raise cache.max_size.',
  });
}

/**
 * The files of a set that cannot be had as they were, with the reason; core metadata included.
 */
export async function missingFiles(
  repository: Repository,
  set: RecordedSet,
  context: RequestContext,
): Promise<{ readonly filename: string; readonly error: unknown }[]> {
  const missing: { filename: string; error: unknown }[] = [];
  for (const { path, sha256, metadataSha256, entry } of set.files) {
    const wanted = [
      { path, sha256, filename: entry.filename },
      ...(metadataSha256 === null
        ? []
        : [
            {
              path: `${path}.metadata`,
              sha256: metadataSha256,
              filename: `${entry.filename}.metadata`,
            },
          ]),
    ];
    for (const each of wanted) {
      try {
        const source = await repository.file(each.path, context);
        await source.close();
        if (source.etag !== etagOf(each.sha256))
          throw new NotHeldOfflineError(`${each.filename} has other bytes now.`);
      } catch (error) {
        missing.push({ filename: each.filename, error });
      }
    }
  }
  return missing;
}

function usedFiles(noted: NotedRepository, store: Store): UsedFile[] {
  const entries = new Map<string, { project: ProjectName; entry: DistributionFile }>();
  for (const { project, files } of noted.pages)
    for (const [path, entry] of files) entries.set(path, { project, entry });
  const found = (path: string, lastUsed: number): UsedFile[] => {
    const onPage = entries.get(path);
    if (onPage !== undefined) return [{ ...onPage, path, lastUsed }];
    // Asked for by its address alone, out of a lock file.
    const held = store.catalog.findFile(upstreamOfPath(path) ?? '', path);
    if (held === undefined || held.entry === null) return [];
    return [{ project: held.project, entry: held.entry, path, lastUsed }];
  };
  const taken = [...noted.files].flatMap(([path, lastUsed]) => found(path, lastUsed));
  const projects = new Set(taken.map(({ project }) => project));
  const described = [...noted.described]
    .flatMap(([path, lastUsed]) => found(path, lastUsed))
    .filter(({ project }) => !projects.has(project));
  return [...taken, ...described].toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
}

function orderOf({ project, path }: UsedFile): string {
  return `${project} ${path}`;
}

/** `undefined` when it is not held. */
function recordedFile(store: Store, used: UsedFile): RecordedFile | undefined {
  const { project, entry, path, lastUsed } = used;
  const upstream = upstreamOfPath(path) ?? '';
  const held = store.catalog.findFile(upstream, path);
  if (held === undefined) return undefined;
  const metadata = store.catalog.findFile(upstream, `${path}.metadata`);
  return {
    upstream,
    path,
    project,
    version: parseFilename(entry.filename, project)?.version ?? null,
    sha256: held.sha256,
    sizeBytes: held.sizeBytes,
    metadataSha256: metadata?.sha256 ?? null,
    lastUsed,
    entry,
  };
}

function recordedPage({ project, files }: NotedPage): RecordedPage {
  const [path] = files.keys();
  return {
    project,
    upstream: path === undefined ? null : (upstreamOfPath(path) ?? null),
    filenames: [...files.values()].map(({ filename }) => filename),
  };
}
