import type { EvictionReason, PlannedEviction } from '../store/eviction-plan.ts';
import { isCacheThere, withMirror } from './cache-folder.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { formatBytes, formatCount, formatSpan, formatTime } from './format.ts';
import { startProgress } from './progress.ts';
import { tableLines } from './table.ts';
import type { Column } from './table.ts';
import { printJson, printLine, printPaged } from './verb.ts';
import type { Io, Verb } from './verb.ts';

/** `wheelcellar gc`: what servers do by themselves, now and with other limits if wished. */
export const verb: Verb = {
  name: 'gc',
  summary: 'Evict what is over the limits, or show what would go',
  configure: (command) => {
    command
      .option('--max-size <size>', 'size to get the cache down to, such as 10GB')
      .option('--max-age <duration>', 'evict what was not used for longer, such as 90d')
      .option('--unused', 'evict what nobody asked for again since it was fetched')
      .option('--dry-run', 'only show what would go');
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, options, config } = context;
    const { graceMs } = config().cache;
    const isDryRun = options['dryRun'] === true;
    if (!isCacheThere(config())) {
      report(io, options['json'] === true, isDryRun, [], graceMs);
      return EXIT.ok;
    }
    const plan = await withMirror(context, async ({ store }) => {
      const planned = await store.eviction.plan({ unused: options['unused'] === true });
      if (isDryRun) return planned;
      const bar = startProgress(io, 'evicting');
      await store.eviction.apply(planned, (done) => bar.update(done, planned.length));
      bar.stop();
      await store.finishStaticPages();
      await store.catalog.deleteDeparted();
      await store.sweep();
      await store.catalog.trim();
      return planned;
    });
    if (options['json'] !== true && isDryRun && plan.length > 0)
      await printPaged(io, tableLines(COLUMNS, plan), summary(plan, true, graceMs));
    else report(io, options['json'] === true, isDryRun, plan, graceMs);
    return EXIT.ok;
  },
};

const REASONS: Readonly<Record<EvictionReason, string>> = {
  age: 'unused for too long',
  size: 'cache too large',
  reserve: 'disk too full',
  unused: 'never asked for again',
};

const COLUMNS: readonly Column<PlannedEviction>[] = [
  { title: 'FILE', align: 'left', text: ({ file }) => nameOf(file.path) },
  { title: 'SIZE', align: 'right', text: ({ file }) => formatBytes(file.sizeBytes) },
  { title: 'LAST USED', align: 'left', text: ({ file }) => formatTime(file.usedAt) },
  { title: 'HITS', align: 'right', text: ({ file }) => String(file.hits) },
  { title: 'WHY', align: 'left', text: ({ reason }) => REASONS[reason] },
];

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function bytesOf(plan: readonly PlannedEviction[]): number {
  return plan.reduce((sum, { file }) => sum + file.sizeBytes, 0);
}

function report(
  io: Io,
  isJson: boolean,
  isDryRun: boolean,
  plan: readonly PlannedEviction[],
  graceMs: number,
): void {
  if (!isJson) return printLine(io, summary(plan, isDryRun, graceMs));
  const files = plan.map(({ file, reason }) => ({ ...file, reason }));
  printJson(io, { dryRun: isDryRun, bytes: bytesOf(plan), graceMs, files });
}

function summary(plan: readonly PlannedEviction[], isDryRun: boolean, graceMs: number): string {
  if (plan.length === 0) return 'Nothing is over the limits.';
  const what = `${formatCount(plan.length, 'file')}, ${formatBytes(bytesOf(plan))}`;
  return isDryRun
    ? `${what} would go`
    : `${what} evicted; the bytes leave the disk ${formatSpan(graceMs)} from now`;
}
