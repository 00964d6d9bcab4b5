import { chmod, lstat, readdir } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import type { Clock } from '../../core/clock.ts';
import { sleep } from '../../core/sleep.ts';
import { candidateProjects } from '../../packaging/filenames.ts';
import { mirrorPathOf, upstreamOfPath } from '../mirror-path.ts';
import { restoreFile } from './rebuild.ts';
import { setAside } from './set-aside.ts';
import type { Store } from '../store.ts';
import type { Finding, VerifyOptions } from './report.ts';

type StrangersStore = Pick<Store, 'layout' | 'catalog' | 'records' | 'pages'>;

/** A file gets its name a moment before its row. */
const PUBLISHED_WITHIN_MS = 2_000;
const METADATA_SUFFIX = '.metadata';
/** Folders of the mirror are entered by everybody. */
const FOLDER_MODE = 0o755;

/**
 * Looks at everything below `mirror/packages`: what no row names is a stranger. Repaired, it gets a row
 * if a stored page vouches for its bytes, and is set aside otherwise.
 */
export async function verifyStrangers(
  store: StrangersStore,
  options: VerifyOptions,
  clock: Clock,
  onFile: () => void,
): Promise<Finding[]> {
  const departed = new Set(store.catalog.holdings.departedPaths());
  const findings: Finding[] = [];
  const strangers: string[] = [];
  const root = join(store.layout.mirrorDir, 'packages');
  for await (const { path, isFolder } of everythingBelow(root, true)) {
    if (options.signal.aborted) return findings;
    const mirrorPath = relative(store.layout.mirrorDir, path).split(sep).join('/');
    if (isFolder) {
      const finding = options.sample === 1 ? await folderFinding(path, mirrorPath, options) : null;
      if (finding !== null) findings.push(finding);
      continue;
    }
    onFile();
    if (departed.has(mirrorPath) || isHeld(store, mirrorPath)) continue;
    strangers.push(mirrorPath);
  }
  if (strangers.length > 0)
    await sleep(await untilSettled(store, strangers, clock), options.signal);
  for (const path of strangers) {
    const finding = await strangerFinding(store, path, options);
    if (finding !== null) findings.push(finding);
  }
  return findings;
}

async function strangerFinding(
  store: StrangersStore,
  path: string,
  options: VerifyOptions,
): Promise<Finding | null> {
  const present = await lstat(store.layout.fileAt(path)).catch(() => undefined);
  if (present === undefined || isHeld(store, path)) return null;
  if (store.catalog.holdings.departedPaths().includes(path)) return null;
  const upstream = upstreamOfPath(path) ?? null;
  const common = { problem: 'stranger', path, project: null, upstream } as const;
  const what = present.isSymbolicLink() ? 'a symbolic link' : 'a file';
  if (!options.repair) return { ...common, detail: `${what} that no row names`, outcome: 'found' };
  if (present.isFile() && (await isVouchedFor(store, path)))
    return { ...common, detail: `${what} without a row: recorded`, outcome: 'mended' };
  await setAside(store.layout, path);
  return { ...common, detail: `${what} that no page vouches for: set aside`, outcome: 'mended' };
}

/** Whether a stored page names the file with the digest it has; then it has a row again. */
async function isVouchedFor(store: StrangersStore, path: string): Promise<boolean> {
  const upstream = upstreamOfPath(path);
  if (upstream === undefined) return false;
  const filePath = path.endsWith(METADATA_SUFFIX) ? path.slice(0, -METADATA_SUFFIX.length) : path;
  for (const project of candidateProjects(basename(filePath))) {
    const page = await store.pages.read(upstream, project);
    const entry = page?.detail.files.find(
      (file) => mirrorPathOf(upstream, page.indexUrl, file.url) === filePath,
    );
    if (page === undefined || entry === undefined) continue;
    await restoreFile(store, upstream, page, entry);
    return isHeld(store, path);
  }
  return false;
}

async function folderFinding(
  path: string,
  mirrorPath: string,
  options: VerifyOptions,
): Promise<Finding | null> {
  const mode = (await lstat(path).catch(() => undefined))?.mode;
  if (mode === undefined || (mode & 0o777) === FOLDER_MODE) return null;
  if (options.repair) await chmod(path, FOLDER_MODE);
  return {
    problem: 'folder-mode',
    path: mirrorPath,
    project: null,
    upstream: null,
    detail: `mode ${(mode & 0o777).toString(8)} in place of 755`,
    outcome: options.repair ? 'mended' : 'found',
  };
}

function isHeld(store: StrangersStore, path: string): boolean {
  const upstream = upstreamOfPath(path);
  return upstream !== undefined && store.catalog.findFile(upstream, path) !== undefined;
}

/** How long until the newest of them can be no file that is just being published; milliseconds. */
async function untilSettled(
  store: StrangersStore,
  paths: readonly string[],
  clock: Clock,
): Promise<number> {
  let newest = 0;
  for (const path of paths) {
    const present = await lstat(store.layout.fileAt(path)).catch(() => undefined);
    newest = Math.max(newest, present?.ctimeMs ?? 0);
  }
  const ageMs = clock.now() - newest;
  return Math.min(PUBLISHED_WITHIN_MS, Math.max(0, PUBLISHED_WITHIN_MS - ageMs));
}

/** Folders and files below a folder; of the top one, not the pages of the project `packages`. */
async function* everythingBelow(
  folder: string,
  isTop: boolean,
): AsyncGenerator<{ path: string; isFolder: boolean }, void, void> {
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (isTop && /^index\.(?:html|json)$/.test(entry.name)) continue;
    yield { path, isFolder: entry.isDirectory() };
    if (entry.isDirectory()) yield* everythingBelow(path, false);
  }
}
