import { readFile } from 'node:fs/promises';
import { dirname, resolve as resolvePath } from 'node:path';
import type { Config } from '../config/config.ts';
import { absolutePath } from '../config/config-paths.ts';
import { loadConfig } from '../config/load-config.ts';
import { readMirrorFile } from '../config/mirror-file.ts';
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
import { planOf } from '../mirror/plan.ts';
import { hasFailures } from '../mirror/report.ts';
import type { MirrorReport } from '../mirror/report.ts';
import type { RunOptions } from '../mirror/surroundings.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { tell } from './run-mirror-report.ts';
import { runOne, warnOf } from './run-mirror-work.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb, VerbContext } from './verb.ts';

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

function stoppedReport({ name, output }: MirrorSettings, error: unknown): MirrorReport {
  const problems = [messageOf(error)];
  return { name, output, isLive: false, branches: [], indexes: [], problems, buildNetwork: null };
}

function gather(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
