import { NotFoundError } from '../core/errors.ts';
import { describeProject } from '../repository/inventory.ts';
import type { ProjectInventory } from '../repository/inventory.ts';
import type { FileHolding } from '../store/holdings-table.ts';
import { isCacheThere, selectionOf, withStore } from './cache-folder.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { formatBytes, formatCount, formatTime } from './format.ts';
import { tableLines } from './table.ts';
import type { Column } from './table.ts';
import { printJson, printPaged } from './verb.ts';
import type { Verb } from './verb.ts';

/** `wheelcellar info NAME[==V]`: what is known of one project, and its held files. */
export const verb: Verb = {
  name: 'info',
  summary: 'Show what is held and known of one project',
  configure: (command) => {
    command.argument('<project>', 'a name, or a name and versions: flask, flask==3.0.0');
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options, config } = context;
    const { project, specifier } = selectionOf(args[0] ?? '');
    const found = isCacheThere(config())
      ? await withStore(context, async (store) => describeProject(store, project, specifier))
      : null;
    if (found === null || (found.files.length === 0 && (specifier !== '' || isUnknown(found)))) {
      throw new NotFoundError(`Nothing is held or known of ${project}${specifier}.`, {
        hint: `"wheelcellar ls" lists what is held.`,
      });
    }
    if (options['json'] === true) printJson(io, documentOf(found));
    else await printPaged(io, report(found), '');
    return EXIT.ok;
  },
};

function isUnknown({ pages, pins }: ProjectInventory): boolean {
  return pages.length === 0 && pins.length === 0;
}

/** The document of `--json`; see docs/json.md. */
function documentOf({ project, files, pages, pins, alarms, sets }: ProjectInventory): unknown {
  return {
    project,
    files: files.map(({ entry, ...file }) => ({
      ...file,
      yanked: entry?.yanked ?? false,
      requiresPython: entry?.requiresPython ?? null,
      uploadTime: entry?.uploadTime ?? null,
      sets: sets.get(file.path) ?? [],
    })),
    pages,
    pins,
    alarms,
  };
}

function report(found: ProjectInventory): string[] {
  const { project, files, pages, pins, alarms, sets } = found;
  const distributions = files.filter(({ kind }) => kind === 'distribution');
  const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
  const lines = [
    `${project}: ${formatCount(distributions.length, 'file')} held, ${formatBytes(bytes)}`,
  ];
  for (const page of pages) {
    const what = page.absent ? 'has no such project' : `page of ${formatTime(page.fetchedAt)}`;
    const confirmed =
      page.checkedAt === 0 ? 'not confirmed since' : `confirmed ${formatTime(page.checkedAt)}`;
    lines.push(`  ${page.upstream} (${page.indexUrl}): ${what}, ${confirmed}`);
  }
  for (const { specifier, pinnedAt } of pins) {
    const which = specifier === '' ? 'every version' : specifier;
    lines.push(`  kept: ${which}, since ${formatTime(pinnedAt)}`);
  }
  for (const { message, lastAt } of alarms) lines.push(`  alarm ${formatTime(lastAt)}: ${message}`);
  if (distributions.length === 0) return lines;
  const metadata = new Set(
    files.filter(({ kind }) => kind === 'metadata').map(({ upstream, path }) => upstream + path),
  );
  const columns = columnsOf((file) => [
    ...(metadata.has(`${file.upstream}${file.path}.metadata`) ? ['metadata'] : []),
    ...(sets.get(file.path) ?? []).map((set) => `in ${set}`),
  ]);
  return [...lines, '', ...tableLines(columns, distributions)];
}

function columnsOf(
  noted: (file: FileHolding) => readonly string[],
): readonly Column<FileHolding>[] {
  return [
    { title: 'FILE', align: 'left', text: ({ filename }) => filename },
    { title: 'SIZE', align: 'right', text: ({ sizeBytes }) => formatBytes(sizeBytes) },
    { title: 'FROM', align: 'left', text: ({ upstream }) => upstream },
    { title: 'STORED', align: 'left', text: ({ storedAt }) => formatTime(storedAt) },
    { title: 'LAST USED', align: 'left', text: ({ usedAt }) => formatTime(usedAt) },
    { title: 'HITS', align: 'right', text: ({ hits }) => String(hits) },
    { title: 'NOTES', align: 'left', text: (file) => notesOf(file, noted(file)) },
  ];
}

function notesOf(file: FileHolding, noted: readonly string[]): string {
  const yanked = file.entry?.yanked ?? false;
  return [
    ...noted,
    ...(file.pinned ? ['kept'] : []),
    ...(file.origin === 'fetched' ? [] : [file.origin]),
    ...(file.listed ? [] : ['delisted']),
    ...(yanked === false ? [] : [yanked === '' ? 'yanked' : `yanked: ${yanked}`]),
  ].join(', ');
}
