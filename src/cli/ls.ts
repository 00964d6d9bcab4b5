import { Option } from 'commander';
import { listProjects } from '../repository/inventory.ts';
import type { ProjectOrder } from '../repository/inventory.ts';
import type { ProjectHoldings } from '../store/holdings-table.ts';
import { isCacheThere, withStore } from './cache-folder.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { formatBytes, formatCount, formatTime } from './format.ts';
import { tableLines } from './table.ts';
import type { Column } from './table.ts';
import { printJson, printPaged } from './verb.ts';
import type { Verb } from './verb.ts';

const ORDERS: readonly ProjectOrder[] = ['name', 'size', 'files', 'used', 'hits'];

/** `wheelcellar ls [GLOB]`: the projects of which something is held. */
export const verb: Verb = {
  name: 'ls',
  summary: 'List what is held',
  configure: (command) => {
    command.argument('[glob]', 'projects, such as "zope-*"');
    command.addOption(
      new Option('--sort <order>', 'what to sort by').choices(ORDERS).default('name'),
    );
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options, config } = context;
    const [glob] = args;
    const projects = isCacheThere(config())
      ? await withStore(context, async (store) =>
          listProjects(store, glob ?? null, options['sort'] as ProjectOrder),
        )
      : [];
    if (options['json'] === true) {
      printJson(io, { cacheDir: config().cache.dir, totals: totalsOf(projects), projects });
      return EXIT.ok;
    }
    const lines = projects.length === 0 ? [] : tableLines(COLUMNS, projects);
    await printPaged(io, lines, footer(projects));
    return EXIT.ok;
  },
};

const COLUMNS: readonly Column<ProjectHoldings>[] = [
  { title: 'PROJECT', align: 'left', text: ({ project }) => project },
  { title: 'FILES', align: 'right', text: ({ files }) => String(files) },
  { title: 'SIZE', align: 'right', text: ({ bytes }) => formatBytes(bytes) },
  { title: 'FROM', align: 'left', text: ({ upstreams }) => upstreams.toSorted().join(',') },
  { title: 'FIRST STORED', align: 'left', text: ({ storedAt }) => formatTime(storedAt) },
  { title: 'LAST USED', align: 'left', text: ({ usedAt }) => formatTime(usedAt) },
  { title: 'HITS', align: 'right', text: ({ hits }) => String(hits) },
  { title: 'METADATA', align: 'right', text: ({ metadata }) => String(metadata) },
  { title: 'YANKED', align: 'right', text: ({ yanked }) => numberOrNothing(yanked) },
  { title: 'DELISTED', align: 'right', text: ({ delisted }) => numberOrNothing(delisted) },
  { title: 'KEPT', align: 'right', text: ({ kept }) => numberOrNothing(kept) },
];

function numberOrNothing(count: number): string {
  return count === 0 ? '-' : String(count);
}

function totalsOf(projects: readonly ProjectHoldings[]): {
  projects: number;
  files: number;
  bytes: number;
} {
  const sum = (of: (project: ProjectHoldings) => number): number =>
    projects.reduce((total, project) => total + of(project), 0);
  return {
    projects: projects.length,
    files: sum(({ files }) => files),
    bytes: sum(({ bytes }) => bytes),
  };
}

function footer(projects: readonly ProjectHoldings[]): string {
  const { files, bytes } = totalsOf(projects);
  if (projects.length === 0) return 'Nothing is held.';
  return `${formatCount(files, 'file')} of ${formatCount(projects.length, 'project')}, ${formatBytes(bytes)}`;
}
