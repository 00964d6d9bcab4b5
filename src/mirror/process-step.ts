import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { MirrorSettings } from '../config/mirror-file.ts';
import { parseFilename } from '../packaging/filenames.ts';
import type { Store } from '../store/store.ts';
import { readDownloadFolders } from './download-folders.ts';
import type { DownloadedFile } from './download-folders.ts';
import { writeIndexes } from './index-tree.ts';
import type { TreeIndex, TreeWriting, WrittenIndex } from './index-tree.ts';
import type { Ledger } from './ledger.ts';
import { outputKind, writeOutput } from './output.ts';

/** What the second step needs. */
export interface ProcessSurroundings {
  readonly store: Store;
  readonly cacheRoot: string;
  /** `Debian-12`: the folder of the wheels that only hold there. */
  readonly distribution: string;
  readonly writing: TreeWriting;
}

/** What the second step did. */
export interface Processed {
  readonly isLive: boolean;
  readonly indexes: readonly WrittenIndex[];
  readonly problems: readonly string[];
}

/** Makes an index of a mirror's download folders; see {@link writeOutput} and {@link publishLive}. */
export async function processMirror(
  mirror: MirrorSettings,
  ledger: Ledger,
  env: ProcessSurroundings,
): Promise<Processed> {
  const kind = await outputKind(mirror.output, env.store.layout);
  const { files: present, problems } = await readDownloadFolders(
    env.cacheRoot,
    mirror.name,
    ledger,
  );
  remember(ledger, present);
  const wanted = mirror.keep === 'listed' ? asked(present, ledger) : present;
  if (kind === 'live') {
    const indexes = await publishLive(mirror, ledger, wanted, env);
    return { isLive: true, indexes, problems };
  }
  const common = { isPruned: mirror.keep === 'listed', legacyNames: mirror.legacyNames };
  const indexesIn = (root: string): TreeIndex[] => [
    {
      folder: join(root, env.distribution),
      title: `${mirror.name} for ${env.distribution}`,
      files: wanted.filter(isWheel),
      ...common,
    },
    { folder: root, title: mirror.name, files: wanted.filter(isPortable), ...common },
  ];
  const indexes = await writeOutput(mirror.output, kind, indexesIn, env.writing);
  if (mirror.keep === 'listed') await prune(present, wanted, ledger);
  return { isLive: false, indexes, problems };
}

/**
 * Into the cache folder's own mirror: fetched files are there already and are kept from now on, others
 * are taken in beside them. Nothing is replaced or deleted. Only the index of the distribution is written
 * by us; the pages of the mirror are the store's.
 */
async function publishLive(
  mirror: MirrorSettings,
  ledger: Ledger,
  files: readonly DownloadedFile[],
  { store, distribution, writing }: ProcessSurroundings,
): Promise<WrittenIndex[]> {
  const wishes = new Map(
    files
      .filter(({ origin }) => origin === 'fetched')
      .map((file) => [`${file.project}==${file.version}`, file]),
  );
  const present = new Set(
    store.records.pins.all().map(({ project, specifier }) => `${project}${specifier}`),
  );
  for (const [wish, { project, version }] of wishes) {
    if (present.has(wish)) continue;
    await store.records.pins.add(project, `==${version}`);
    ledger.pinned.add(wish);
  }
  await store.kept.mirror();
  for (const file of files) {
    // What was fetched into another cache folder, or was let go of meanwhile, comes in again.
    const isHeld = store.catalog.filesOf(file.project).some(({ sha256 }) => sha256 === file.sha256);
    if (!isHeld && isPortable(file))
      await store.local.adoptFile(file.path, `run-mirror/${mirror.name}`);
  }
  await store.flushStaticPages();
  const index = {
    folder: join(store.layout.mirrorDir, distribution),
    title: distribution,
    files: files.filter(isWheel),
    isPruned: false,
    legacyNames: mirror.legacyNames,
  };
  return await writeIndexes([index], writing);
}

/** Only so that files are digested once. */
function remember(ledger: Ledger, present: readonly DownloadedFile[]): void {
  ledger.files.clear();
  for (const { path: _path, ...file } of present) ledger.files.set(file.filename, file);
}

/** What people have dropped, and what some branch asked for when it was resolved last. */
function asked(present: readonly DownloadedFile[], ledger: Ledger): DownloadedFile[] {
  const names = new Set([...ledger.sets.values()].flatMap(({ files }) => files));
  return present.filter(({ filename, origin }) => origin === 'dropped' || names.has(filename));
}

/** What no branch asks for any more leaves the download folders, too. */
async function prune(
  present: readonly DownloadedFile[],
  wanted: readonly DownloadedFile[],
  ledger: Ledger,
): Promise<void> {
  const kept = new Set(wanted.map(({ filename }) => filename));
  for (const { filename, path } of present) {
    if (kept.has(filename)) continue;
    await rm(path, { force: true });
    ledger.files.delete(filename);
  }
}

function isWheel({ kind }: DownloadedFile): boolean {
  return kind === 'wheel';
}

/** Whether a file holds on any machine that its name admits: `linux_x86_64` does only where it was built. */
function isPortable({ filename }: DownloadedFile): boolean {
  const platforms = parseFilename(filename)?.tags?.platform ?? [];
  return !platforms.some((platform) => platform.startsWith('linux_'));
}
