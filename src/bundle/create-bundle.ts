/** Writes what is held of a set into one folder or archive. */
import { createHash } from 'node:crypto';
import { IntegrityError, NotFoundError, NotHeldOfflineError, codeOf } from '../core/errors.ts';
import type { ProjectName } from '../packaging/names.ts';
import { offeredFiles } from '../repository/offered-files.ts';
import type { Repository } from '../repository/repository.ts';
import { upstreamOfPath } from '../store/mirror-path.ts';
import type { Store } from '../store/store.ts';
import { BOOTSTRAP_SCRIPT, BUNDLE_README } from './bundled-scripts.ts';
import { bundlePages } from './bundle-pages.ts';
import { openBundleWriter } from './bundle-writer.ts';
import type { PartSource } from './bundle-writer.ts';
import { manifestOf } from './inspect-bundle.ts';
import {
  bundleDigest,
  byPath,
  filesOfSet,
  isMetadata,
  MANIFEST_NAME,
  readManifest,
  writeManifest,
} from './manifest.ts';
import type { BundledFile, BundledPart, Manifest } from './manifest.ts';

/** Which files a bundle holds: mirror paths of distribution files, or all that is held. */
export type BundledSet = ReadonlySet<string> | 'all';

/** How a bundle is made. */
export interface CreateOptions {
  /** Where it goes; the name decides its form. */
  readonly output: string;
  /** The earlier bundle, of which nothing is written again; `null` for a whole one. */
  readonly since: string | null;
  /** The time of every file in it, seconds since the epoch. */
  readonly mtimeSeconds: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** What was made. */
export interface CreatedBundle {
  readonly digest: string;
  /** Digest of the earlier bundle. */
  readonly since: string | null;
  readonly projects: number;
  /** Wheels and sdists that are in it. */
  readonly files: number;
  /** Wheels and sdists that the earlier bundle brings. */
  readonly needs: number;
  /** Bytes of the bundle on the disk. */
  readonly sizeBytes: number;
}

/**
 * Makes a bundle of held files, with its index, manifest and scripts. The same set gives the same bytes.
 *
 * @throws NotFoundError when nothing of the set is held; IntegrityError when a held file is damaged
 */
export async function createBundle(
  { repository, store }: { readonly repository: Repository; readonly store: Store },
  set: BundledSet,
  options: CreateOptions,
): Promise<CreatedBundle> {
  const { output, since, mtimeSeconds, signal, onProgress } = options;
  const base = since === null ? null : await manifestOf(since);
  const all = await bundledFiles({ repository, store }, set, signal);
  if (all.length === 0) {
    throw new NotFoundError('Nothing of that is held: the bundle would be empty.', {
      hint: 'wheelcellar ls lists what is held; requirements and locks are fetched while online.',
    });
  }
  const paths = new Set(all.map(({ path }) => path));
  const [missing] = set === 'all' ? [] : [...set].filter((path) => !paths.has(path));
  if (missing !== undefined) {
    throw new NotFoundError(`${missing} is not offered by this mirror now, and would be missing.`, {
      hint: 'Its index lists it no more, or a file of yours has its name: wheelcellar explain NAME',
    });
  }
  const before = new Map((base === null ? [] : filesOfSet(base.manifest)).map((f) => [f.path, f]));
  const isNew = (file: BundledFile): boolean => before.get(file.path)?.sha256 !== file.sha256;
  const files = all.filter(isNew);
  const needs = all.filter((file) => !isNew(file));
  const parts = partsOf({ files, needs });
  const manifest: Manifest = {
    format: 1,
    since: base?.digest ?? null,
    parts: [...parts.keys()],
    files,
    needs,
  };
  const bytes = writeManifest(manifest);
  // What an import would refuse is not written.
  readManifest(bytes);
  const writer = await openBundleWriter(output, mtimeSeconds);
  const totalBytes = files.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  let doneBytes = 0;
  try {
    const add = async (part: BundledPart, source: PartSource): Promise<void> => {
      signal.throwIfAborted();
      await writer.add(part, source);
    };
    await add(partOf(MANIFEST_NAME, bytes), bytes);
    for (const [part, content] of parts) await add(part, content);
    for (const file of files) {
      await addHeld(file, () => add(file, { file: store.layout.fileAt(file.path) }));
      doneBytes += file.sizeBytes;
      onProgress?.(doneBytes, totalBytes);
    }
    const sizeBytes = await writer.finish();
    const wheels = (list: readonly BundledFile[]): number =>
      list.filter((file) => !isMetadata(file)).length;
    return {
      digest: bundleDigest(bytes),
      since: manifest.since,
      projects: new Set(all.map(({ project }) => project)).size,
      files: wheels(files),
      needs: wheels(needs),
      sizeBytes,
    };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

async function addHeld(file: BundledFile, add: () => Promise<void>): Promise<void> {
  try {
    await add();
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    throw new IntegrityError(`${file.path} left the cache while the bundle was written.`, {
      cause: error,
      hint: 'It was evicted or deleted. Try again, or keep the set: prefetch --keep, keep NAME.',
    });
  }
}

/** Everything of the set that an offline index of this mirror offers, with core metadata, sorted. */
async function bundledFiles(
  place: { readonly repository: Repository; readonly store: Store },
  set: BundledSet,
  signal: AbortSignal,
): Promise<BundledFile[]> {
  const { catalog } = place.store;
  const files: BundledFile[] = [];
  for (const project of catalog.heldProjects()) {
    signal.throwIfAborted();
    const rows = new Map(catalog.filesOf(project).map((row) => [row.path, row]));
    if (set !== 'all' && ![...rows.keys()].some((path) => set.has(path))) continue;
    for (const { entry, path } of await offeredOffline(place, project, signal)) {
      if (set !== 'all' && !set.has(path)) continue;
      const row = rows.get(path);
      if (row?.entry === undefined || row.entry === null) continue;
      const { sizeBytes, sha256 } = row;
      const facts = { url: withoutCredentials(row.entry.url), provenance: null, extra: {} };
      files.push({ path, sizeBytes, sha256, project, entry: { ...entry, ...facts } });
      const metadata = rows.get(`${path}.metadata`);
      if (metadata !== undefined && upstreamOfPath(path) === metadata.upstream) {
        const { path: beside, sizeBytes: length, sha256: digest } = metadata;
        files.push({ path: beside, sizeBytes: length, sha256: digest, project, entry: null });
      }
    }
  }
  return files.toSorted(byPath);
}

async function offeredOffline(
  place: { readonly repository: Repository; readonly store: Store },
  project: ProjectName,
  signal: AbortSignal,
): Promise<Awaited<ReturnType<typeof offeredFiles>>> {
  try {
    return await offeredFiles(place, project, { networkMode: 'offline', signal });
  } catch (error) {
    signal.throwIfAborted();
    // Held, but nobody may be served it now: an index that is not configured any more.
    if (error instanceof NotFoundError || error instanceof NotHeldOfflineError) return [];
    throw error;
  }
}

/** Files of ours have no address but their place. */
function withoutCredentials(text: string): string {
  if (!/^https?:/.test(text) || !URL.canParse(text)) return text;
  const url = new URL(text);
  url.username = '';
  url.password = '';
  return url.href;
}

/** Pages and scripts with their bytes, sorted by path. */
function partsOf(set: Pick<Manifest, 'files' | 'needs'>): Map<BundledPart, Buffer> {
  const texts = new Map([
    ['README.txt', BUNDLE_README],
    ['bootstrap.py', BOOTSTRAP_SCRIPT],
    ...bundlePages(set),
  ]);
  const parts = [...texts].map(([path, text]): [BundledPart, Buffer] => {
    const bytes = Buffer.from(text);
    return [partOf(path, bytes), bytes];
  });
  return new Map(parts.toSorted(([one], [other]) => byPath(one, other)));
}

function partOf(path: string, bytes: Buffer): BundledPart {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { path, sizeBytes: bytes.length, sha256 };
}
