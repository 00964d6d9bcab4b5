import { existsSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import type { Logger } from '../core/logger.ts';
import { sleep } from '../core/sleep.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { Catalog } from './catalog.ts';
import { sha256Of } from './digest.ts';
import type { Layout } from './layout.ts';
import { mirrorPathOf } from './mirror-path.ts';
import type { PageFiles, StoredPage } from './page-files.ts';

/**
 * Makes the rows of a lost catalog again: for every stored page, the files it names that lie in the
 * mirror with the listed sha256. Pages come back as long unconfirmed, so that they are asked for again
 * when there is an upstream and serve meanwhile.
 *
 * @returns how many files were found
 */
export async function rebuildFromPages(
  layout: Layout,
  catalog: Catalog,
  pageFiles: PageFiles,
  log: Logger,
  signal: AbortSignal,
): Promise<number> {
  let found = 0;
  for (const upstream of await readdir(layout.pagesDir).catch(() => [])) {
    for (const project of await pageFiles.list(upstream)) {
      if (signal.aborted) return found;
      const page = await pageFiles.read(upstream, project);
      if (page === undefined) continue;
      await restorePage(catalog, upstream, page);
      for (const entry of page.detail.files) {
        if (await restoreFile(layout, catalog, upstream, page, entry)) found++;
      }
      // Requests come first.
      await sleep(1, signal);
    }
  }
  if (found > 0) log.info('the catalog was made again from pages and files', { files: found });
  return found;
}

async function restorePage(catalog: Catalog, upstream: string, page: StoredPage): Promise<void> {
  const { name } = page.detail;
  if (catalog.findPage(upstream, name, page.indexUrl) !== undefined) return;
  await catalog.putPage(
    {
      upstream,
      project: name,
      indexUrl: page.indexUrl,
      absent: false,
      etag: null,
      lastModified: null,
      bodyDigest: page.bodyDigest,
      lastSerial: page.detail.lastSerial,
      sizeBytes: 0,
      fetchedAt: page.fetchedAt,
      checkedAt: 0,
      maxAgeMs: null,
      missingSince: null,
    },
    null,
  );
}

async function restoreFile(
  layout: Layout,
  catalog: Catalog,
  upstream: string,
  page: StoredPage,
  entry: DistributionFile,
): Promise<boolean> {
  const path = mirrorPathOf(upstream, page.indexUrl, entry.url);
  const listed = entry.hashes['sha256'];
  if (path === undefined || listed === undefined || catalog.findFile(upstream, path) !== undefined)
    return false;
  const common = { upstream, project: page.detail.name, listed: true, origin: 'fetched' } as const;
  const isThere = await record(
    layout,
    catalog,
    { ...common, path, filename: entry.filename, kind: 'distribution', entry },
    listed,
  );
  const metadataDigest =
    typeof entry.coreMetadata === 'object' ? entry.coreMetadata['sha256'] : undefined;
  if (metadataDigest !== undefined) {
    const sidecar = {
      ...common,
      path: `${path}.metadata`,
      filename: `${entry.filename}.metadata`,
      kind: 'metadata',
      entry: null,
    } as const;
    await record(layout, catalog, sidecar, metadataDigest);
  }
  return isThere;
}

async function record(
  layout: Layout,
  catalog: Catalog,
  file: Omit<Parameters<Catalog['addFile']>[0], 'sha256' | 'sizeBytes' | 'mtimeMs'>,
  listedSha256: string,
): Promise<boolean> {
  const target = layout.fileAt(file.path);
  if (!existsSync(target) || (await sha256Of(target)) !== listedSha256) return false;
  const { size, mtimeMs } = statSync(target);
  const row = { ...file, sha256: listedSha256, sizeBytes: size, mtimeMs: Math.floor(mtimeMs) };
  await catalog.addFile(row, () => void statSync(target));
  return true;
}
