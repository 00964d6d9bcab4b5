import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve as resolvePath } from 'node:path';
import process from 'node:process';
import { createMirror, serveMirror } from '../compose.ts';
import type { Mirror } from '../compose.ts';
import type { Config, UpstreamConfig } from '../config/config.ts';
import { absolutePath } from '../config/config-paths.ts';
import { readMirrorFile } from '../config/mirror-file.ts';
import { loadConfig } from '../config/load-config.ts';
import type { MirrorFile, MirrorSettings } from '../config/mirror-file.ts';
import { parseDuration } from '../config/quantities.ts';
import {
  BusyError,
  ConfigurationError,
  RefusedError,
  WheelcellarError,
  codeOf,
  messageOf,
} from '../core/errors.ts';
import { thisDistributionRelease } from '../mirror/distribution-release.ts';
import { planOf } from '../mirror/plan.ts';
import { hasFailures } from '../mirror/report.ts';
import type { BranchReport, MirrorReport } from '../mirror/report.ts';
import { runMirror } from '../mirror/run-mirror.ts';
import { Sandbox } from '../mirror/sandbox.ts';
import type { IndexAtWork, ResolveQuestion, RunOptions } from '../mirror/surroundings.ts';
import { targetsOf } from '../mirror/targets.ts';
import { resolve } from '../resolver/resolver.ts';
import { findPip, findUv } from '../resolver/tools.ts';
import type { ResolverTool } from '../resolver/tools.ts';
import type { LedgerPin } from '../mirror/ledger.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { formatBytes, formatCount } from './format.ts';
import { findLocalPython } from './local-python.ts';
import { environmentOf } from './serve.ts';
import { printJson, printLine } from './verb.ts';
import type { Io, Verb, VerbContext } from './verb.ts';

const DEFAULT_WAIT = '60s';
const DEFAULT_BUILD_TIMEOUT = '30m';

/** `wheelcellar run-mirror -c mirror.yaml`: the mirrors of requirements in git, as openstack's tool made them. */
export const verb: Verb = {
  name: 'run-mirror',
  summary: 'Mirror what requirement files in git (or lists) ask for',
  configure: (command) => {
    command
      .usage('-c mirror.yaml [flags]')
      .option('--settings <file>', "Wheelcellar's own configuration file: -c names the mirror.yaml")
      .option('-b, --branch <ref>', 'only this branch, tag or commit')
      .option(
        '-r, --requirement <file>',
        'read this file in place of the usual ones (repeatable)',
        gather,
      )
      .option('-n, --noop', 'only say what would be done')
      .option('--no-pip', 'run git, but resolve and fetch nothing')
      .option('--no-download', 'only make the index of what is downloaded already')
      .option('--no-process', 'only download')
      .option('--no-update', 'take work trees as they are')
      .option(
        '--export <file>',
        'write what was resolved, as pip freeze; {project} and {branch} stand for themselves',
      )
      .option('--verbose', 'show each command and its output')
      .option('--strict', 'end with 1 when anything failed')
      .option('--wait <duration>', 'how long to wait for another run', DEFAULT_WAIT)
      .option('--build-user <name>', 'user that builds run as (root only)')
      .option('--allow-root-builds', 'let sdists run their code as root')
      .option('--build-timeout <duration>', 'how long one build may take', DEFAULT_BUILD_TIMEOUT);
    addUpstreamFlags(command);
    addJsonFlag(command);
  },
  run: async (given) => {
    const context = withOwnSettings(given);
    const { io, options } = context;
    const file = await readMirrors(context);
    const runOptions = optionsOf(context);
    if (options['noop'] === true) {
      const lines = planOf(file, runOptions);
      if (options['json'] === true) printJson(io, { plan: lines });
      else for (const line of lines) printLine(io, line);
      return EXIT.ok;
    }
    const { reports, refusal } = await runAll(context, file, runOptions);
    if (options['json'] === true) printJson(io, { mirrors: reports });
    else if (io.isTty || options['verbose'] === true) for (const each of reports) tell(io, each);
    if (refusal !== null) throw refusal;
    return options['strict'] === true && hasFailures(reports) ? EXIT.failed : EXIT.ok;
  },
};

/** The context with the settings that `--settings` (or the environment) names. */
function withOwnSettings(context: VerbContext): VerbContext {
  const { settings } = context.options;
  const { configFile: _mirrors, ...input } = context.configInput;
  const own = typeof settings === 'string' ? { ...input, configFile: settings } : input;
  let loaded: Config | undefined;
  return { ...context, config: () => (loaded ??= loadConfig(own)) };
}

/** The flag that names the settings of other verbs is the one that names the mirrors of this tool. */
async function readMirrors({ io, configInput }: VerbContext): Promise<MirrorFile> {
  const { configFile: mirrors } = configInput;
  if (mirrors === undefined) {
    throw new ConfigurationError(['run-mirror needs a configuration: -c mirror.yaml.'], {
      hint: 'docs/run-mirror.md says what is in it.',
    });
  }
  const path = absolutePath(mirrors, io.cwd, io.homeDir);
  try {
    return readMirrorFile(mirrors, await readFile(path, 'utf8'), dirname(path), io.homeDir);
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    throw new ConfigurationError([`${mirrors} cannot be read: ${codeOf(error)}.`], {
      cause: error,
    });
  }
}

function optionsOf({ io, options, config }: VerbContext): RunOptions {
  const { branch, requirement, export: exportFile } = options;
  return {
    branch: typeof branch === 'string' ? branch : null,
    requirementFiles: Array.isArray(requirement) ? requirement.map(String) : [],
    withPip: options['pip'] !== false,
    withDownload: options['download'] !== false,
    withProcess: options['process'] !== false,
    withUpdate: options['update'] !== false,
    exportFile: typeof exportFile === 'string' ? resolvePath(io.cwd, exportFile) : null,
    isOffline: config().offline,
    lockWaitMs: durationOf(options, 'wait'),
    buildTimeoutMs: durationOf(options, 'buildTimeout'),
  };
}

function durationOf(options: VerbContext['options'], name: string): number {
  const text = String(options[name]);
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  const flag = name === 'wait' ? '--wait' : '--build-timeout';
  throw new ConfigurationError([
    `${flag} is ${JSON.stringify(text)}; give a duration such as 10m.`,
  ]);
}

/** One mirror after the other; what stops one is no reason to leave the others out. */
async function runAll(
  context: VerbContext,
  file: MirrorFile,
  options: RunOptions,
): Promise<{ reports: MirrorReport[]; refusal: WheelcellarError | null }> {
  const abort = new AbortController();
  const forget = context.io.onSignal((signal) => {
    if (signal !== 'SIGHUP') abort.abort(new WheelcellarError(`Stopped by ${signal}.`));
  });
  const reports: MirrorReport[] = [];
  let refusal: WheelcellarError | null = null;
  try {
    for (const mirror of file.mirrors) {
      try {
        reports.push(await runOne(context, file.cacheRoot, mirror, options, abort.signal));
      } catch (error) {
        abort.signal.throwIfAborted();
        if (!(error instanceof WheelcellarError)) throw error;
        reports.push(stoppedReport(mirror, error));
        const isRefusal = [BusyError, ConfigurationError, RefusedError].some(
          (kind) => error instanceof kind,
        );
        if (isRefusal) refusal ??= error;
        else warnOf(context.io)(`${mirror.name}: ${messageOf(error)}`);
      }
    }
  } finally {
    forget();
  }
  return { reports, refusal };
}

async function runOne(
  context: VerbContext,
  cacheRoot: string,
  mirror: MirrorSettings,
  options: RunOptions,
  signal: AbortSignal,
): Promise<MirrorReport> {
  const { io } = context;
  const settings = settingsFor(mirror, context);
  const isVerbose = context.options['verbose'] === true;
  const say = (text: string): void => void (isVerbose && io.stderr.write(`${text}\n`));
  const needsTools = options.withDownload && options.withPip;
  const tool = needsTools ? await findTool(io) : NO_TOOL;
  const local = needsTools ? await findLocalPython(io) : undefined;
  const targets = needsTools ? targetsOf(mirror.pythons, mirror.platforms, local) : [];
  return await withIndex(settings, io, async (index) => {
    let sandbox: Promise<Sandbox> | null = null;
    const openSandbox = (): Promise<Sandbox> =>
      (sandbox ??= openSandboxFor(context, index, signal));
    try {
      return await runMirror(mirror, {
        cacheRoot,
        options,
        process: {
          distribution: await thisDistributionRelease(),
          writing: { now: new Date(), graceMs: settings.cache.graceMs },
        },
        env: {
          variables: io.env,
          index,
          targets,
          builder: tool,
          openSandbox,
          resolve: (question) => resolveFor(question, tool, index, io, signal),
          signal,
          say,
          pass: (text) => void (isVerbose && io.stderr.write(text)),
          warn: warnOf(io),
        },
      });
    } finally {
      const opened = await (sandbox as Promise<Sandbox> | null)?.catch(() => null);
      await opened?.close();
    }
  });
}

const NO_TOOL: ResolverTool = { kind: 'pip', command: 'python3', label: 'none' };

async function findTool(io: Io): Promise<ResolverTool> {
  const tool = (await findUv(io.env)) ?? (await findPip(io.env));
  if (tool !== undefined) return tool;
  throw new ConfigurationError(['There is neither uv nor pip (23.0 or newer) on the PATH.'], {
    hint: 'python3 -m pip install uv',
  });
}

async function resolveFor(
  { requirements, constraints, target, sandbox }: ResolveQuestion,
  tool: ResolverTool,
  index: IndexAtWork,
  io: Io,
  signal: AbortSignal,
): Promise<readonly LedgerPin[]> {
  const command =
    sandbox === null
      ? tool.command
      : await sandbox.wrapperFor(await sandbox.toolFor(tool.command, tool.kind === 'uv'));
  // pip resolves for the Python it runs on; a version would make it look at wheels alone.
  const isOwnPython = tool.kind === 'pip' && target.platform === null;
  const question = {
    requirements,
    constraints,
    python: isOwnPython ? basename(tool.command) : target.python,
    platform: target.platform,
    indexUrls: [index.indexUrl],
    onlyBinary: sandbox === null,
    signal,
  };
  try {
    return (await resolve(question, { ...tool, command }, io.env)).pins;
  } catch (error) {
    if (sandbox !== null || signal.aborted || !(error instanceof WheelcellarError)) throw error;
    const words = `${messageOf(error)}\nOnly wheels were looked at, since sdists may not be built here (wheels, --build-user).`;
    throw new WheelcellarError(words, { cause: error });
  }
}

async function openSandboxFor(
  { io, options }: VerbContext,
  index: IndexAtWork,
  signal: AbortSignal,
): Promise<Sandbox> {
  const { buildUser } = options;
  return await Sandbox.open({
    variables: io.env,
    buildUser: typeof buildUser === 'string' ? buildUser : null,
    allowRootBuilds: options['allowRootBuilds'] === true,
    userId: process.getuid?.() ?? null,
    indexUrl: index.indexUrl,
    socketPath: index.socketPath,
    signal,
  });
}

/** A mirror in this process, on a free port of 127.0.0.1 and on a Unix socket. */
async function withIndex<T>(
  settings: Config,
  io: Io,
  work: (index: IndexAtWork) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'wheelcellar-index-'));
  const socketPath = join(folder, 'socket');
  const env = environmentOf(settings, io);
  const mirror = await createMirror(settings, env);
  try {
    const watched = watching(mirror);
    const server = await serveMirror(
      { ...mirror, repository: watched.repository },
      { ...settings, listen: [{ host: '127.0.0.1', port: 0 }], unix: socketPath, basePath: '/' },
      env,
    );
    try {
      const { store } = mirror;
      const indexUrl = `${server.origins[0] ?? ''}/simple/`;
      const { repository } = mirror;
      return await work({ repository, store, indexUrl, socketPath, watch: watched.watch });
    } finally {
      await server.close(0);
    }
  } finally {
    await mirror.close(0);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Notes which files are asked for over HTTP. */
function watching(mirror: Mirror): Pick<IndexAtWork, 'repository' | 'watch'> {
  const { repository } = mirror;
  let paths: string[] | null = null;
  return {
    repository: {
      projectList: (context) => repository.projectList(context),
      projectDetail: (project, context) => repository.projectDetail(project, context),
      file: (path, context) => {
        paths?.push(path);
        return repository.file(path, context);
      },
    },
    watch: async (work) => {
      const seen: string[] = [];
      paths = seen;
      try {
        return { result: await work(), paths: seen };
      } finally {
        paths = null;
      }
    },
  };
}

/** The settings with the index of this mirror first, and a quiet log: cron mails what is said. */
function settingsFor(mirror: MirrorSettings, { config, io }: VerbContext): Config {
  const settings = config();
  const isChosen = (io.env['WHEELCELLAR_LOG_LEVEL'] ?? '') !== '' || settings.log.level !== 'info';
  const log = isChosen ? settings.log : { ...settings.log, level: 'warn' as const };
  return { ...settings, log, upstreams: upstreamsFor(mirror, settings.upstreams) };
}

function upstreamsFor(
  { name, url, upstream }: MirrorSettings,
  configured: readonly UpstreamConfig[],
): readonly UpstreamConfig[] {
  if (url !== null) {
    const withSlash = url.endsWith('/') ? url : `${url}/`;
    const known = configured.find((each) => each.url === withSlash);
    if (known !== undefined) return [known, ...configured.filter((each) => each !== known)];
    const plain = name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '');
    const own: UpstreamConfig = {
      name: `mirror-${plain}`,
      url: withSlash,
      fileHosts: null,
      layout: 'simple',
      projects: null,
      username: null,
      password: null,
    };
    return [own, ...configured];
  }
  if (upstream === null) return configured;
  const chosen = configured.find((each) => each.name === upstream);
  if (chosen !== undefined) return [chosen, ...configured.filter((each) => each !== chosen)];
  const names = configured.map((each) => each.name).join(', ');
  throw new ConfigurationError([
    `mirror ${name}: there is no upstream ${upstream}; configured are ${names}.`,
  ]);
}

function stoppedReport({ name, output }: MirrorSettings, error: unknown): MirrorReport {
  const problems = [messageOf(error)];
  return { name, output, isLive: false, branches: [], indexes: [], problems, buildNetwork: null };
}

function warnOf(io: Io): (text: string) => void {
  return (text) => void io.stderr.write(`run-mirror: ${text}\n`);
}

function tell(io: Io, report: MirrorReport): void {
  printLine(io, `${report.name}: ${report.output}${report.isLive ? ' (the cache itself)' : ''}`);
  for (const branch of report.branches) for (const line of branchLines(branch)) printLine(io, line);
  for (const { folder, files, projects, added, bytes } of report.indexes) {
    const size = `${formatCount(files, 'file')} of ${formatCount(projects, 'project')}, ${formatBytes(bytes)}`;
    printLine(io, `  index ${folder}: ${size}, ${added} new`);
  }
  if (report.buildNetwork === 'shared')
    printLine(io, '  builds shared the network: this system gives them none of their own');
}

function branchLines({
  source,
  branch,
  outcome,
  pins,
  leftOut,
  fetched,
  built,
}: BranchReport): string[] {
  const name = [source, branch].filter((word) => word !== '').join(' ');
  if (outcome === 'none') return [`  ${name}: no requirements`];
  if (outcome === 'failed') return [`  ${name}: failed`];
  const facts = `${formatCount(pins.length, 'version')}, ${fetched.length} fetched, ${built.length} built`;
  const left = leftOut.map(
    ({ line, kind }) => `    left out (${kind}): ${line.replace(/\/\/[^/@\s]*@/, '//')}`,
  );
  return [`  ${name}: ${facts}`, ...left];
}

function gather(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
