import { rm } from 'node:fs/promises';
import { InvalidArgumentError } from 'commander';
import type { Mirror } from '../compose.ts';
import { systemClock } from '../core/clock.ts';
import { fetchAgain } from '../repository/fetch-again.ts';
import type { FetchedAgain } from '../repository/fetch-again.ts';
import { layoutOf } from '../store/layout.ts';
import { rebuildCatalog } from '../store/verify/rebuild.ts';
import { verifyStore } from '../store/verify/verify.ts';
import { isMended } from '../store/verify/report.ts';
import type { Finding, Outcome, Problem, VerifyReport } from '../store/verify/report.ts';
import { isCacheThere, withMirror, withStore } from './cache-folder.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { formatBytes, formatCount } from './format.ts';
import { startProgress } from './progress.ts';
import { tableLines } from './table.ts';
import type { Column } from './table.ts';
import { printJson, printLine, printPaged } from './verb.ts';
import type { Verb, VerbContext } from './verb.ts';

/** `wheelcellar verify`: the cache folder held against itself, beside running servers. */
export const verb: Verb = {
  name: 'verify',
  summary: 'Look for damage in the cache folder, and mend it',
  configure: (command) => {
    command
      .option('--sample <share>', 'read the bytes of so many files only, such as 5%', readShare, 1)
      .option('--repair', 'fetch damaged files again, and mend the rest')
      .option('--rebuild', 'make the catalog again from pages and files, then as --repair');
    addUpstreamFlags(command);
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, options, config } = context;
    if (options['rebuild'] === true && isCacheThere(config())) await dropDamagedCatalog(context);
    const report = isCacheThere(config())
      ? await withMirror(context, (mirror) => verifyMirror(context, mirror))
      : { files: 0, digested: 0, bytes: 0, pages: 0, findings: [], rebuilt: 0 };
    const isWell = isMended(report.findings);
    if (options['json'] === true) printJson(io, { isWell, ...report });
    else {
      if (report.findings.length > 0)
        await printPaged(io, tableLines(COLUMNS, report.findings), '');
      printLine(io, summary(report, options['repair'] === true));
    }
    return isWell ? EXIT.ok : EXIT.integrity;
  },
};

/**
 * A catalog that SQLite finds damaged cannot be corrected in place: it is begun afresh. Running servers notice
 * and go on with the new one.
 */
async function dropDamagedCatalog(context: VerbContext): Promise<void> {
  const isWell = await withStore(context, async (store) => store.catalog.quickCheck() === 'ok');
  if (isWell) return;
  const { catalogFile } = layoutOf(context.config().cache.dir);
  for (const suffix of ['-wal', '-shm', '']) await rm(catalogFile + suffix, { force: true });
}

type MirrorReport = VerifyReport & { readonly rebuilt: number };

async function verifyMirror(
  { io, options, config }: VerbContext,
  mirror: Mirror,
): Promise<MirrorReport> {
  const { store } = mirror;
  const { signal } = new AbortController();
  const isRebuild = options['rebuild'] === true;
  const repair = isRebuild || options['repair'] === true;
  const bar = startProgress(io, isRebuild ? 'rebuilding' : 'verifying');
  const onProgress = (done: number, total: number): void => bar.update(done, total);
  const rebuilt = isRebuild ? await rebuildCatalog(store, signal, onProgress) : 0;
  const sample = isRebuild ? 1 : (options['sample'] as number);
  const report = await verifyStore(
    store,
    { sample, repair, signal, onProgress },
    { clock: systemClock, random: Math.random },
  );
  const damaged = report.findings.filter(({ outcome }) => outcome === 'left-out');
  // Wheels first: their core metadata can be taken out of them.
  const paths = damaged
    .map(({ path }) => path)
    .toSorted((a, b) => Number(a.endsWith('.metadata')) - Number(b.endsWith('.metadata')));
  let fetched = 0;
  const again =
    repair && !config().offline
      ? await fetchAgain(mirror.repository, paths, signal, () =>
          onProgress(++fetched, paths.length),
        )
      : [];
  bar.stop();
  return { ...report, rebuilt, findings: report.findings.map((each) => afterFetch(each, again)) };
}

function afterFetch(finding: Finding, again: readonly FetchedAgain[]): Finding {
  const fetched = again.find(({ path }) => path === finding.path);
  if (fetched === undefined || finding.outcome !== 'left-out') return finding;
  return fetched.reason === null
    ? { ...finding, outcome: 'mended' }
    : { ...finding, detail: `${finding.detail}; not fetched again: ${fetched.reason}` };
}

function readShare(text: string): number {
  const [, number, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const share = Number(number) / (percent === '%' ? 100 : 1);
  if (number === undefined || !(share > 0 && share <= 1))
    throw new InvalidArgumentError('Give a share such as 5% or 0.05, at most 100%.');
  return share;
}

const PROBLEMS: Readonly<Record<Problem, string>> = {
  missing: 'missing',
  'not-a-file': 'not a file',
  'wrong-size': 'wrong size',
  'wrong-digest': 'wrong bytes',
  unreadable: 'unreadable',
  'wrong-mode': 'wrong mode',
  'wrong-metadata': 'wrong metadata',
  stranger: 'stranger',
  'page-missing': 'page missing',
  'page-differs': 'page differs',
  'dead-link': 'dead link',
  'page-left': 'page left over',
  'upstream-page': 'stored page',
  'folder-mode': 'folder mode',
  database: 'database',
};

const OUTCOMES: Readonly<Record<Outcome, string>> = {
  mended: 'mended',
  'left-out': 'left out',
  found: 'not mended',
};

const COLUMNS: readonly Column<Finding>[] = [
  { title: 'PROBLEM', align: 'left', text: ({ problem }) => PROBLEMS[problem] },
  { title: 'NOW', align: 'left', text: ({ outcome }) => OUTCOMES[outcome] },
  { title: 'WHERE', align: 'left', text: ({ path }) => path },
  { title: 'DETAIL', align: 'left', text: ({ detail }) => detail },
];

function summary(report: MirrorReport, isRepair: boolean): string {
  const { files, digested, bytes, pages, findings, rebuilt } = report;
  const read = `${formatCount(files, 'file')} (${digested} read, ${formatBytes(bytes)}) and ${formatCount(pages, 'page')}`;
  const made = rebuilt === 0 ? '' : `${formatCount(rebuilt, 'row')} made again; `;
  const left = findings.filter(({ outcome }) => outcome !== 'mended').length;
  if (findings.length === 0) return `${made}${read} looked at: all is well`;
  const hint = left > 0 && !isRepair ? '; --repair mends what can be mended' : '';
  return `${made}${read} looked at: ${formatCount(findings.length, 'problem')}, ${left} not mended${hint}`;
}
