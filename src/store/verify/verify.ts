/**
 * The whole cache folder held against itself, beside running servers:
 *
 *     databases → every row: kind, size, mode, (a sample of) digests, core metadata against its wheel
 *               → everything below mirror/packages: has a row → stored pages of the indexes
 *               → every page of the mirror: what would be written now
 *
 * Damaged files leave the index at once, whether repair was asked for or not: what is known to be wrong is
 * not served. Their bytes are kept in `withheld/`. Fetching them again is the layer above's.
 */
import type { Clock } from '../../core/clock.ts';
import type { Store } from '../store.ts';
import { verifyFiles } from './files.ts';
import { verifyStaticPages, verifyUpstreamPages } from './pages.ts';
import { verifyStrangers } from './strangers.ts';
import type { Finding, VerifyOptions, VerifyReport } from './report.ts';

/** What differs between a run and a test. */
export interface VerifyEnvironment {
  readonly clock: Clock;
  /** 0 to 1; draws the sample. */
  readonly random: () => number;
}

/** Looks at everything, and mends what can be mended without an upstream if `options.repair` says so. */
export async function verifyStore(
  store: Store,
  options: VerifyOptions,
  env: VerifyEnvironment,
): Promise<VerifyReport> {
  const { catalog } = store;
  const findings: Finding[] = databaseFindings(store);
  const rows = catalog.holdings.fileCount();
  const total = rows * 2 + catalog.holdings.pageKeys().length + catalog.heldProjects().length;
  let done = 0;
  const step = (): void => options.onProgress?.(Math.min(++done, total), total);
  const files = await verifyFiles(store, options, step, env.random);
  findings.push(...files.findings);
  findings.push(...(await verifyStrangers(store, options, env.clock, step)));
  findings.push(...(await verifyUpstreamPages(store, options, step, env.random)));
  findings.push(...(await verifyStaticPages(store, options, step)));
  options.onProgress?.(total, total);
  return {
    files: files.files,
    digested: files.digested,
    bytes: files.bytes,
    pages: catalog.heldProjects().length,
    findings,
  };
}

function databaseFindings({ catalog, records }: Store): Finding[] {
  const checked = {
    'catalog.sqlite': catalog.quickCheck(),
    'records.sqlite': records.quickCheck(),
  };
  return Object.entries(checked)
    .filter(([, result]) => result !== 'ok')
    .map(([name, detail]) => ({
      problem: 'database',
      path: `state-v1/${name}`,
      project: null,
      upstream: null,
      detail,
      outcome: 'found',
    }));
}
