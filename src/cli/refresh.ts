import {
  ConfigurationError,
  NotFoundError,
  NotHeldOfflineError,
  UpstreamUnavailableError,
} from '../core/errors.ts';
import type { Mirror } from '../compose.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { RefreshOutcome, RefreshedProject } from '../repository/refresh-project.ts';
import { selectionOf, withMirror } from './cache-folder.ts';
import { exitStatusOf, EXIT } from './exit-status.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { formatCount } from './format.ts';
import { startProgress } from './progress.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb } from './verb.ts';

/** So many pages are asked for at a time. */
const AT_A_TIME = 8;

/** `wheelcellar refresh NAME… | --all`: asks the indexes again, fresh or not. */
export const verb: Verb = {
  name: 'refresh',
  summary: 'Ask the indexes for pages again, fresh or not',
  configure: (command) => {
    command.argument('[projects...]', 'names');
    command
      .option('--all', 'every project with a stored page or a held file')
      .option('--force', 'take the answer even if it looks older than what is stored');
    addUpstreamFlags(command);
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options, config } = context;
    const isAll = options['all'] === true;
    if (isAll === args.length > 0)
      throw new ConfigurationError(['Give names, or --all.'], {
        hint: 'wheelcellar refresh flask werkzeug',
      });
    if (config().offline) throw new NotHeldOfflineError('No index is asked (offline).');
    const names = args.map((text) => selectionOf(text).project);
    const refreshed = await withMirror(context, async (mirror) => {
      const bar = startProgress(io, 'refreshing');
      const projects = isAll ? everyProject(mirror) : names;
      const results = await refreshAll(mirror, projects, options['force'] === true, (done) =>
        bar.update(done, projects.length),
      );
      bar.stop();
      return results;
    });
    if (options['json'] === true)
      printJson(io, { projects: refreshed.map(({ error: _error, ...result }) => result) });
    else {
      const shown = isAll ? refreshed.filter(({ outcome }) => outcome !== 'unchanged') : refreshed;
      for (const result of shown) printLine(io, lineOf(result));
      if (isAll) printLine(io, `${formatCount(refreshed.length, 'page')} asked for`);
    }
    return statusOf(refreshed, isAll);
  },
};

function everyProject({ store }: Mirror): ProjectName[] {
  const pages = store.catalog.holdings.pageKeys().map(({ project }) => project);
  return [...new Set([...pages, ...store.catalog.heldProjects()])].sort();
}

async function refreshAll(
  mirror: Mirror,
  projects: readonly ProjectName[],
  force: boolean,
  onDone: (done: number) => void,
): Promise<RefreshedProject[]> {
  const results: RefreshedProject[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < projects.length) {
      const project = projects[next++];
      if (project === undefined) return;
      results.push(await mirror.refresh(project, force));
      onDone(results.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_A_TIME, projects.length) }, worker));
  return results.toSorted((a, b) => (a.project < b.project ? -1 : 1));
}

const WORDS: Readonly<Record<RefreshOutcome, string>> = {
  fetched: 'fetched for the first time',
  changed: 'changed',
  unchanged: 'unchanged',
  absent: 'no index has it',
  local: 'yours: no index is asked',
  failed: 'failed',
};

function lineOf({ project, outcome, upstream, reason }: RefreshedProject): string {
  const from = upstream === null || outcome === 'local' ? '' : ` (${upstream})`;
  return `${project}: ${WORDS[outcome]}${from}${reason === null ? '' : `: ${reason}`}`;
}

/** Of several failures the worst decides; a name that nobody knows only counts when it was asked for. */
function statusOf(results: readonly RefreshedProject[], isAll: boolean): number {
  const failed = results.filter(({ outcome }) => outcome === 'failed');
  const statuses = failed.map(({ error }) =>
    exitStatusOf(error instanceof Error ? error : new UpstreamUnavailableError('')),
  );
  if (!isAll && results.some(({ outcome }) => outcome === 'absent'))
    statuses.push(exitStatusOf(new NotFoundError('')));
  return Math.max(EXIT.ok, ...statuses);
}
