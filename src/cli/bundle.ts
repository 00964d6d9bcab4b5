import { resolve } from 'node:path';
import { Argument } from 'commander';
import { fetchToolWheels } from '../bundle/tool-wheels.ts';
import { createBundle } from '../bundle/create-bundle.ts';
import type { BundledSet, CreatedBundle } from '../bundle/create-bundle.ts';
import { importBundle } from '../bundle/import-bundle.ts';
import { inspectBundle } from '../bundle/inspect-bundle.ts';
import { isMetadata } from '../bundle/manifest.ts';
import { createMirror } from '../compose.ts';
import type { Environment, Mirror } from '../compose.ts';
import type { Config } from '../config/config.ts';
import { ConfigurationError, NotFoundError } from '../core/errors.ts';
import { Prefetch } from '../prefetch/prefetch.ts';
import type { SetReport } from '../prefetch/report.ts';
import { fetchSet } from '../repository/fetch-set.ts';
import type { RequestContext } from '../repository/repository.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { formatBytes, formatCount } from './format.ts';
import { lazyResolver, stopOnSignal } from './lazy-resolver.ts';
import { startProgress } from './progress.ts';
import { environmentOf } from './serve.ts';
import { addSetFlags, demandOf, listAt, quietly, targetsFor } from './set-flags.ts';
import { coverageLines, EXIT_OF } from './set-report.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb, VerbContext } from './verb.ts';

/** 1980-01-01: the first second that every archive format can name. */
const DEFAULT_MTIME_SECONDS = 315_532_800;

/** `wheelcellar bundle create|verify|import`: a set of packages on its way to where there is no network. */
export const verb: Verb = {
  name: 'bundle',
  summary: 'Carry packages in one folder or archive that is itself a mirror',
  configure: (command) => {
    command
      .usage('create -o F [what] | verify F | import F')
      .addArgument(new Argument('<action>', 'what to do').choices(['create', 'verify', 'import']));
    addSetFlags(command);
    command
      .option('-o, --output <file>', 'create: a folder, or an archive ….tar.gz, ….tgz, ….tar')
      .option('--set <name>', 'create: a recorded set (repeatable)', gatherName)
      .option('--all', 'create: everything that is held')
      .option('--since <bundle>', 'create: only what this earlier bundle lacks')
      .option('--no-tools', 'create: bring no wheels of pip and uv along')
      .option('--with-build-deps', 'create: what the builds of sdists need as well');
    addUpstreamFlags(command);
    addJsonFlag(command);
  },
  run: async (context) => {
    const [action, ...args] = context.args;
    const rest = { ...context, args };
    if (action === 'create') return await create(rest);
    const [path, ...others] = args;
    if (path === undefined || others.length > 0)
      throw new ConfigurationError([`bundle ${action ?? ''} takes one bundle.`]);
    const place = resolve(context.io.cwd, path);
    return action === 'verify' ? await verify(rest, place) : await importFrom(rest, place);
  },
};

/** What `create` does with a mirror at hand. */
interface Work {
  readonly context: VerbContext;
  readonly settings: Config;
  readonly env: Environment;
  readonly mirror: Mirror;
  readonly signal: AbortSignal;
}

async function create(context: VerbContext): Promise<number> {
  const { io, options, config } = context;
  const output = outputOf(context);
  const mtimeSeconds = mtimeOf(io.env['SOURCE_DATE_EPOCH']);
  checkChoice(context);
  const settings = quietly(config(), context);
  const env = environmentOf(settings, io);
  const stop = stopOnSignal(io);
  const mirror = await createMirror(settings, env);
  const work = { context, settings, env, mirror, signal: stop.signal };
  const bar = startProgress(io, 'writing');
  try {
    const gathered = await gatherSet(work);
    if ('code' in gathered) return gathered.code;
    const { set, problems } = gathered;
    for (const problem of problems) io.stderr.write(`wheelcellar: ${problem}\n`);
    const since = options['since'];
    const created = await createBundle(mirror, set, {
      output,
      since: typeof since === 'string' ? resolve(io.cwd, since) : null,
      mtimeSeconds,
      signal: stop.signal,
      onProgress: (done, total) => bar.update(done, total),
    });
    bar.stop();
    if (options['json'] === true) printJson(io, { bundle: output, ...created, problems });
    else printCreated(context, output, created);
    return EXIT.ok;
  } finally {
    bar.stop();
    stop.forget();
    await mirror.store.flushStaticPages();
    await mirror.close(0);
  }
}

function printCreated({ io }: VerbContext, output: string, created: CreatedBundle): void {
  const { digest, since, projects, files, needs, sizeBytes } = created;
  printLine(
    io,
    `${output}: ${formatCount(files, 'file')} of ${formatCount(projects, 'project')}, ${formatBytes(sizeBytes)}`,
  );
  if (since !== null)
    printLine(io, `adds to the bundle ${since}, which brings ${formatCount(needs, 'file')}`);
  printLine(io, `sha256 of its manifest: ${digest}`);
}

function outputOf({ io, options }: VerbContext): string {
  const { output } = options;
  if (typeof output === 'string' && output !== '') return resolve(io.cwd, output);
  throw new ConfigurationError(['bundle create needs a place for the bundle.'], {
    hint: 'A folder or an archive: -o packages.tar.gz',
  });
}

/** @throws ConfigurationError for anything but whole seconds since the epoch */
function mtimeOf(text: string | undefined): number {
  if (text === undefined || text === '') return DEFAULT_MTIME_SECONDS;
  if (/^\d{1,11}$/.test(text)) return Number(text);
  throw new ConfigurationError([
    `SOURCE_DATE_EPOCH: ${JSON.stringify(text)} is no number of seconds.`,
  ]);
}

function gatherName(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Whether requirements or locks are named. */
function asksForPackages({ args, options }: VerbContext): boolean {
  const flags = ['requirement', 'lock', 'environment'];
  return args.length > 0 || flags.some((flag) => listAt(options, flag).length > 0);
}

function checkChoice(context: VerbContext): void {
  const { options } = context;
  const named = asksForPackages(context) || listAt(options, 'set').length > 0;
  if (options['all'] === true && named)
    throw new ConfigurationError(['--all stands for everything: name nothing beside it.']);
}

/** Has everything fetched that is asked for; the exit status instead when that is not to be had whole. */
async function gatherSet(
  work: Work,
): Promise<
  { readonly set: BundledSet; readonly problems: readonly string[] } | { readonly code: number }
> {
  const { context, settings, signal } = work;
  const { options } = context;
  const networkMode = settings.offline ? 'offline' : 'normal';
  const tools = options['tools'] !== false;
  if (options['all'] === true) {
    const problems = tools ? (await gatherTools(work, { networkMode, signal })).problems : [];
    return { set: 'all', problems };
  }
  const recorded = await gatherRecorded(work, { networkMode, signal });
  if (listAt(context.options, 'set').length > 0 && !asksForPackages(context)) {
    const found = tools ? await gatherTools(work, { networkMode, signal }) : NO_TOOLS;
    return { set: new Set([...recorded, ...found.paths]), problems: found.problems };
  }
  const demand = demandOf(context);
  const { paths, report } = await prefetch(work, demand, networkMode);
  if (!report.isWhole) {
    if (options['json'] === true) printJson(context.io, report);
    else for (const line of coverageLines(report)) context.io.stderr.write(`${line}\n`);
    context.io.stderr.write('wheelcellar: the set is not whole: no bundle was written.\n');
    return { code: EXIT_OF[report.shortfall] };
  }
  if (!tools) return { set: new Set([...recorded, ...paths]), problems: report.problems };
  const found = await gatherTools(work, { networkMode, signal });
  return {
    set: new Set([...recorded, ...paths, ...found.paths]),
    problems: [...report.problems, ...found.problems],
  };
}

const NO_TOOLS = { paths: [], problems: [] } as const;

/** Paths of what recorded sets hold; what was evicted is fetched again. */
async function gatherRecorded(
  { context, mirror, signal }: Work,
  { networkMode }: RequestContext,
): Promise<ReadonlySet<string>> {
  const paths = new Set<string>();
  for (const name of listAt(context.options, 'set')) {
    const set = mirror.store.records.sets.find(name);
    if (set === undefined) {
      throw new NotFoundError(`There is no recorded set ${JSON.stringify(name)}.`, {
        hint: 'wheelcellar record --list lists them.',
      });
    }
    const wanted = set.files.map(({ path, entry, sizeBytes }) => ({
      path,
      filename: entry.filename,
      sizeBytes,
    }));
    for (const { path, outcome, error } of await fetchSet(mirror.repository, wanted, {
      networkMode,
      signal,
    })) {
      if (outcome === 'failed') throw error;
      paths.add(path);
    }
  }
  return paths;
}

async function gatherTools(
  { context, mirror }: Work,
  request: RequestContext,
): ReturnType<typeof fetchToolWheels> {
  const { targets } = await targetsFor(context);
  return await fetchToolWheels(mirror, targets, request);
}

async function prefetch(
  { context, settings, env, mirror, signal }: Work,
  demand: ReturnType<typeof demandOf>,
  networkMode: RequestContext['networkMode'],
): Promise<{ readonly paths: ReadonlySet<string>; readonly report: SetReport }> {
  const { io, options } = context;
  const { targets } = await targetsFor(context);
  const onlyBinary = options['onlyBinary'] === true;
  const resolver = lazyResolver(mirror, settings, env, io, signal, { onlyBinary });
  const bar = startProgress(io, 'fetching');
  const paths = new Set<string>();
  try {
    const gathering = new Prefetch(
      { repository: mirror.repository, store: mirror.store, ask: resolver.ask },
      {
        onlyBinary,
        withBuildDependencies: options['withBuildDeps'] === true,
        isDryRun: false,
        networkMode,
        atATime: 8,
        signal,
        onProgress: (done, total) => bar.update(done, total),
        onFile: ({ path, outcome }) => {
          if (outcome !== 'failed') paths.add(path);
        },
      },
    );
    return { report: await gathering.gather(demand, targets), paths };
  } finally {
    bar.stop();
    await resolver.close();
  }
}

async function verify({ io, options }: VerbContext, path: string): Promise<number> {
  const stop = stopOnSignal(io);
  const bar = startProgress(io, 'reading');
  try {
    const { manifest, digest, sizeBytes } = await inspectBundle(path, {
      signal: stop.signal,
      onProgress: (done, total) => bar.update(done, total),
    });
    bar.stop();
    const files = manifest.files.filter((file) => !isMetadata(file)).length;
    const needs = manifest.needs.filter((file) => !isMetadata(file)).length;
    const { since } = manifest;
    if (options['json'] === true)
      printJson(io, { bundle: path, isGood: true, digest, since, files, needs, sizeBytes });
    else {
      printLine(io, `${path} is whole: ${formatCount(files, 'file')}, ${formatBytes(sizeBytes)}`);
      if (since !== null)
        printLine(io, `adds to the bundle ${since}, which brings ${formatCount(needs, 'file')}`);
      printLine(io, `sha256 of its manifest: ${digest}`);
    }
    return EXIT.ok;
  } finally {
    bar.stop();
    stop.forget();
  }
}

async function importFrom(context: VerbContext, path: string): Promise<number> {
  const { io, options, config } = context;
  const settings = quietly(config(), context);
  const env = environmentOf(settings, io);
  const stop = stopOnSignal(io);
  const mirror = await createMirror(settings, env);
  const bar = startProgress(io, 'reading');
  try {
    const imported = await importBundle(mirror.store, env.log, path, {
      indexes: settings.upstreams.map(({ name, url }) => ({ name, url })),
      signal: stop.signal,
      onProgress: (done, total) => bar.update(done, total),
    });
    bar.stop();
    await mirror.store.finishStaticPages();
    if (options['json'] === true) printJson(io, { bundle: path, ...imported });
    else {
      const { imported: count, importedBytes, held, local } = imported;
      printLine(
        io,
        `${formatCount(count, 'file')} imported (${formatBytes(importedBytes)}), ${held} held before`,
      );
      if (local > 0)
        printLine(io, `${local} of them come from indexes that are not configured here`);
    }
    return EXIT.ok;
  } finally {
    bar.stop();
    stop.forget();
    await mirror.store.flushStaticPages();
    await mirror.close(0);
  }
}
