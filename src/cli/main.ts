/**
 * The command line: the first word is the verb (`serve` when there is none), the rest are its flags
 * and arguments. Only that verb's module is loaded. Whatever it throws becomes a message on standard
 * error and an exit status.
 */
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { Command, CommanderError } from 'commander';
import type { Config, ConfigInput } from '../config/config.ts';
import { loadConfig } from '../config/load-config.ts';
import { nearest } from '../config/nearest.ts';
import { ConfigurationError } from '../core/errors.ts';
import { EXIT, exitStatusOf, reportError } from './exit-status.ts';
import { addCommonFlags, settingFlags } from './flags.ts';
import { processIo } from './process-io.ts';
import type { Io, Verb, VerbContext } from './verb.ts';

/** Verbs by name, each loaded when it is called. */
export type VerbTable = Readonly<Record<string, () => Promise<{ readonly verb: Verb }>>>;

/** The verb of a command line without one. */
const DEFAULT_VERB = 'serve';

/** All verbs, in the order of `--help`. */
const VERBS: VerbTable = {
  serve: () => import('./serve.ts'),
  add: () => import('./add.ts'),
  ls: () => import('./ls.ts'),
  info: () => import('./info.ts'),
  stats: () => import('./stats.ts'),
  explain: () => import('./explain.ts'),
  refresh: () => import('./refresh.ts'),
  keep: () => import('./keep.ts'),
  unkeep: () => import('./unkeep.ts'),
  delete: () => import('./delete.ts'),
  gc: () => import('./gc.ts'),
  verify: () => import('./verify.ts'),
  lock: () => import('./lock.ts'),
  'run-mirror': () => import('./run-mirror.ts'),
  service: () => import('./service.ts'),
  'nginx-config': () => import('./nginx-config.ts'),
  config: () => import('./config-verb.ts'),
  prefetch: () => import('./prefetch.ts'),
  prove: () => import('./prove.ts'),
  bundle: () => import('./bundle.ts'),
  export: () => import('./export.ts'),
  record: () => import('./record.ts'),
  replay: () => import('./replay.ts'),
  dib: () => import('./dib.ts'),
  elements: () => import('./elements.ts'),
  version: () => import('./version.ts'),
};

/** Runs one command line (without `node` and the program's name); resolves to the exit status. */
export async function main(
  argv: readonly string[],
  io: Io,
  verbs: VerbTable = VERBS,
): Promise<number> {
  try {
    const [first, ...rest] = argv;
    if (first === '-h' || first === '--help') return await printHelp(io, verbs);
    if (first === 'help') {
      const [topic] = rest;
      return topic === undefined
        ? await printHelp(io, verbs)
        : await runVerb(topic, ['--help'], io, verbs);
    }
    if (first === '-V' || first === '--version') return await runVerb('version', rest, io, verbs);
    if (first === undefined || first.startsWith('-'))
      return await runVerb(DEFAULT_VERB, argv, io, verbs);
    return await runVerb(first, rest, io, verbs);
  } catch (error) {
    reportError(error, io.stderr, io.env['WHEELCELLAR_LOG_LEVEL'] === 'debug');
    return exitStatusOf(error);
  }
}

async function runVerb(
  name: string,
  argv: readonly string[],
  io: Io,
  verbs: VerbTable,
): Promise<number> {
  const verb = await loadVerb(name, verbs);
  const command = newCommand(`wheelcellar ${name}`, io)
    .description(`${verb.summary}.`)
    .action(() => {});
  verb.configure(command);
  addCommonFlags(command);
  if (!parse(command, argv)) return EXIT.ok;
  const context = contextOf(command, io);
  try {
    return await verb.run(context);
  } catch (error) {
    reportError(error, io.stderr, wantsStack(context));
    return exitStatusOf(error);
  }
}

async function loadVerb(name: string, verbs: VerbTable): Promise<Verb> {
  const load = Object.hasOwn(verbs, name) ? verbs[name] : undefined;
  if (load !== undefined) return (await load()).verb;
  const near = nearest(name, Object.keys(verbs));
  const hint = near === undefined ? 'wheelcellar --help lists the verbs.' : `Did you mean ${near}?`;
  throw new ConfigurationError([`There is no verb ${JSON.stringify(name)}.`], { hint });
}

/** Whether there is something to run; not after `--help`. */
function parse(command: Command, argv: readonly string[]): boolean {
  try {
    command.parse(argv, { from: 'user' });
    return true;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return false;
    throw usageError(error, command);
  }
}

/** commander's message has its suggestion on a second line, in parentheses. */
function usageError(error: CommanderError, command: Command): ConfigurationError {
  const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  // An unknown `--flag=value` is quoted whole, and the value may be a URL with a password.
  const harmless = message.replace(/'(--?[^=']+)=.*'/, "'$1'");
  const hint =
    suggestion?.replace(/^\((.*)\)$/, '$1') ?? `${command.name()} --help lists the flags.`;
  return new ConfigurationError([`${harmless.replace(/\.$/, '')}.`], { cause: error, hint });
}

function contextOf(command: Command, io: Io): VerbContext {
  const options: Readonly<Record<string, unknown>> = command.opts();
  const { config: configFile } = options;
  const configInput: ConfigInput = {
    env: io.env,
    flags: settingFlags(options),
    homeDir: io.homeDir,
    cwd: io.cwd,
    ...(typeof configFile === 'string' ? { configFile } : {}),
  };
  let loaded: Config | undefined;
  return {
    io,
    args: [...command.args],
    options,
    configInput,
    config: () => (loaded ??= loadConfig(configInput)),
  };
}

function wantsStack(context: VerbContext): boolean {
  try {
    return context.config().log.level === 'debug';
  } catch {
    return context.io.env['WHEELCELLAR_LOG_LEVEL'] === 'debug';
  }
}

async function printHelp(io: Io, verbs: VerbTable): Promise<number> {
  const program = newCommand('wheelcellar', io)
    .description(
      'A local PyPI caching mirror and proxy whose cache folder is itself a static mirror.',
    )
    .usage('[verb] [flags]')
    .helpCommand(false)
    .commandsGroup('Verbs:')
    .option('-V, --version', 'print the version');
  for (const name of Object.keys(verbs)) {
    const { summary } = await loadVerb(name, verbs);
    program.command(name).summary(name === DEFAULT_VERB ? `${summary} (the default)` : summary);
  }
  program.configureHelp({ subcommandTerm: (command) => command.name() });
  program.addHelpText('after', '\n"wheelcellar VERB --help" tells what a verb takes.');
  program.outputHelp();
  return EXIT.ok;
}

/** A command that neither ends the process nor prints errors by itself. */
function newCommand(name: string, io: Io): Command {
  return new Command(name)
    .exitOverride()
    .helpOption('-h, --help', 'print this')
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: () => {},
    });
}

// `tsx src/cli/main.ts` during development; the installed program is bin/wheelcellar.js.
const started = process.argv[1];
if (started !== undefined && pathToFileURL(started).href === import.meta.url) {
  process.exitCode = await main(process.argv.slice(2), processIo());
}
