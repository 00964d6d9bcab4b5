import { systemClock } from '../core/clock.ts';
import { ConfigurationError, NotFoundError } from '../core/errors.ts';
import { markerEnvironment, parseInterpreter } from '../packaging/environment.ts';
import { platformTags } from '../packaging/platforms.ts';
import { TagRanking, supportedTags } from '../packaging/tags.ts';
import { explainProject } from '../repository/explain.ts';
import type { ExplainedFile, Explanation, NotTakenKind } from '../repository/explain.ts';
import type { IndexState } from '../repository/explain-index.ts';
import type { Statistics } from '../repository/statistics.ts';
import type { Store } from '../store/store.ts';
import { selectionOf, withMirror } from './cache-folder.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { formatBytes, formatSpan, formatTime } from './format.ts';
import { findLocalPython } from './local-python.ts';
import type { LocalPython } from './local-python.ts';
import { tableLines } from './table.ts';
import type { Column } from './table.ts';
import { printJson, printPaged } from './verb.ts';
import type { Verb, VerbContext } from './verb.ts';

/** Extras of a requirement (PEP 508): they ask for other projects, not for another file of this one. */
const EXTRAS = /\[[A-Za-z0-9._,\s-]*\]/;

/** `wheelcellar explain NAME[SPEC]`: who answers, which file is taken, and why not each other one. */
export const verb: Verb = {
  name: 'explain',
  summary: 'Tell which file pip takes, and why not each other one',
  configure: (command) => {
    command.argument('<project>', 'a requirement: flask, "flask>=2,<3", "flask[async]"');
    command
      .option('--python <version>', "3.12, 3.12.4, 3.13t or pp3.10 (default: this machine's)")
      .option(
        '--platform <tag>',
        "newest tag of the machine, such as manylinux_2_28_x86_64 (default: this machine's)",
      );
    addUpstreamFlags(command);
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options, config } = context;
    const { project, specifier } = selectionOf((args[0] ?? '').replace(EXTRAS, ''));
    const { python, platform } = await machineOf(context);
    const interpreter = parseInterpreter(python);
    if (interpreter === undefined) {
      throw new ConfigurationError([`--python: ${JSON.stringify(python)} is no Python version.`], {
        hint: 'Give one such as 3.12, 3.12.4, 3.13t or pp3.10.',
      });
    }
    const settings = config();
    const explanation = await withMirror(context, async ({ store, upstreams }) => {
      const rules = {
        offline: settings.offline,
        preferOffline: settings.preferOffline,
        ...settings.index,
        cutOff: settings.whenUnreachable === 'cached-only' ? await cutOffUpstreams(store) : [],
      };
      return await explainProject(store, upstreams, rules, {
        project,
        specifier,
        interpreter,
        ranking: new TagRanking(supportedTags(interpreter, platformTags(platform))),
        environment: markerEnvironment(interpreter, platform),
        now: systemClock.now(),
      });
    });
    if (options['json'] === true) printJson(io, { python, platform, specifier, ...explanation });
    else await printPaged(io, report(explanation, `${project}${specifier}`, python, platform), '');
    if (explanation.chosen === null && explanation.answeredBy !== null)
      throw new NotFoundError(`No file of ${project}${specifier} would be taken.`);
    return explanation.answeredBy === null ? EXIT.refused : EXIT.ok;
  },
};

async function machineOf({ io, options }: VerbContext): Promise<LocalPython> {
  const { python, platform } = options;
  if (typeof python === 'string' && typeof platform === 'string') return { python, platform };
  const local = await findLocalPython(io);
  if (local === undefined) {
    throw new ConfigurationError(['There is no python3 here to take version and platform from.'], {
      hint: 'Give both: --python 3.12 --platform manylinux_2_28_x86_64',
    });
  }
  return {
    python: typeof python === 'string' ? python : local.python,
    platform: typeof platform === 'string' ? platform : local.platform,
  };
}

/** Whom the running servers cannot reach now. */
async function cutOffUpstreams(store: Store): Promise<string[]> {
  const names = new Set<string>();
  for (const { origin, base } of store.runningServers()) {
    try {
      const signal = AbortSignal.timeout(2_000);
      const answer = await fetch(`${origin}${base}/-/stats`, { signal });
      const { upstreams } = (await answer.json()) as Pick<Statistics, 'upstreams'>;
      for (const { name, state } of upstreams) if (state === 'cut-off') names.add(name);
    } catch {
      // A server that does not answer tells nothing.
    }
  }
  return [...names];
}

const STATES: Readonly<Record<IndexState, string>> = {
  answers: 'answers',
  absent: 'said that it has no such project',
  'never-asked': 'was never asked: it decides',
  'not-asked': 'is not asked for this name (its projects)',
  'not-reached': 'is not reached',
  'nothing-held': 'may not be asked, and nothing of it is held',
};

const KINDS: Readonly<Record<NotTakenKind, string>> = {
  format: 'format',
  name: 'name',
  tags: 'tags',
  'requires-python': 'python',
  specifier: 'version',
  prerelease: 'pre-release',
  yanked: 'yanked',
  worse: 'not the best',
  refused: 'refused',
  'not-held': 'not held',
};

const COLUMNS: readonly Column<ExplainedFile>[] = [
  { title: 'FILE', align: 'left', text: ({ filename }) => filename },
  {
    title: 'SIZE',
    align: 'right',
    text: ({ sizeBytes }) => (sizeBytes === null ? '?' : formatBytes(sizeBytes)),
  },
  { title: 'HELD', align: 'left', text: ({ isHeld }) => (isHeld ? 'yes' : 'no') },
  { title: 'VERDICT', align: 'left', text: ({ kind }) => (kind === null ? 'taken' : KINDS[kind]) },
  { title: 'BECAUSE', align: 'left', text: ({ reason }) => reason ?? '' },
];

function report(found: Explanation, what: string, python: string, platform: string): string[] {
  const lines = [`${what}, for Python ${python} on ${platform}`];
  if (found.answeredBy === 'local') lines.push('  local: your own files own this name');
  for (const { name, url, state } of found.indexes)
    lines.push(`  ${name} (${url}) ${STATES[state]}`);
  const { page, status } = found;
  if (page !== null) {
    const age =
      page.checkedAt === 0 ? 'not confirmed since' : `confirmed ${formatTime(page.checkedAt)}`;
    const fresh = page.isFresh ? 'fresh' : 'stale';
    lines.push(
      `  page of ${formatTime(page.fetchedAt)}, ${age}: ${fresh} (good for ${formatSpan(page.lifetimeMs)})`,
    );
  }
  if (status !== null && status !== 'active') lines.push(`  the project is ${status}`);
  lines.push(`  the next request for the page ${found.next.page}`);
  if (found.next.file !== null) lines.push(`  ${found.next.file}`);
  const applying = (found.requirements ?? []).filter(({ applies }) => applies);
  if (applying.length > 0)
    lines.push(
      `  it needs ${applying.map(({ requirement }) => withoutMarker(requirement)).join(', ')}`,
    );
  if (found.files.length === 0) return lines;
  const taken = found.files.filter(({ kind }) => kind === null);
  const others = found.files.filter(({ kind }) => kind !== null).toReversed();
  return [...lines, '', ...tableLines(COLUMNS, [...taken, ...others])];
}

function withoutMarker(requirement: string): string {
  return requirement.replace(/\s*;.*$/, '');
}
