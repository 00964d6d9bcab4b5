import { resolve } from 'node:path';
import process from 'node:process';
import { Argument } from 'commander';
import { programPath } from '../paths.ts';
import { installService, uninstallService } from '../service/install.ts';
import type { ServiceHost, ServiceReport } from '../service/install.ts';
import { programRunner } from '../service/run-program.ts';
import { EXIT } from './exit-status.ts';
import { printLine } from './verb.ts';
import type { Io, Verb, VerbContext } from './verb.ts';

/** `wheelcellar service install` and `uninstall`: the server as a service of this user. */
export const verb: Verb = {
  name: 'service',
  summary: 'Install or remove the server as a service of this user (systemd, launchd)',
  configure: (command) => {
    command
      .addArgument(new Argument('<action>').choices(['install', 'uninstall']))
      .option('--user', 'for this user; the only kind there is');
  },
  run: async (context) => {
    const host = hostOf(context.io);
    const isInstall = context.args[0] === 'install';
    const report = isInstall
      ? await installService(host, {
          nodePath: process.execPath,
          binPath: programPath(),
          flags: serveFlags(context),
        })
      : await uninstallService(host);
    printReport(context.io, report, isInstall);
    if (isInstall) warnOfVariables(context.io);
    return EXIT.ok;
  },
};

function hostOf(io: Io): ServiceHost {
  const { platform, getuid } = process;
  return { platform, homeDir: io.homeDir, userId: getuid?.() ?? null, run: programRunner(io.env) };
}

/**
 * The flags that make the service use what this command line and its environment name. The cache folder
 * is fixed only when it comes from there: the service does not see this environment, and a folder from
 * the configuration file should stay changeable in that file.
 *
 * @throws ConfigurationError so that no service is installed that could not start
 */
function serveFlags(context: VerbContext): string[] {
  const { env, cwd } = context.io;
  const { dir } = context.config().cache;
  const configFile = context.configInput.configFile ?? nonEmpty(env['WHEELCELLAR_CONFIG']);
  const isDirGiven =
    context.options['cacheDir'] !== undefined ||
    nonEmpty(env['WHEELCELLAR_CACHE_DIR']) !== undefined ||
    nonEmpty(env['DIB_IMAGE_CACHE']) !== undefined;
  return [
    ...(configFile === undefined ? [] : ['-c', resolve(cwd, configFile)]),
    ...(isDirGiven ? ['--cache-dir', resolve(cwd, dir)] : []),
    ...(context.options['offline'] === true ? ['--offline'] : []),
  ];
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === '' ? undefined : value;
}

function printReport(io: Io, report: ServiceReport, isInstall: boolean): void {
  printLine(io, `${isInstall ? 'Written' : 'Removed'}: ${report.path}`);
  if (report.isDone) {
    printLine(io, isInstall ? 'The service is running.' : 'The service is stopped.');
  } else {
    printLine(io, `The service manager cannot be reached from here (${report.problem}).`);
    for (const command of report.commandsLeft) printLine(io, `  run later:  ${command}`);
  }
  for (const hint of report.hints) printLine(io, hint);
}

/** What changes how the server works, and is already in the flags or is not. */
const SERVER_VARIABLE: RegExp =
  /^(?:WHEELCELLAR_(?!CONFIG$|CACHE_DIR$)\w+|DIB_OFFLINE|DIB_NO_PYPI_PIP|(?:https?|all|no)_proxy|SSL_CERT_FILE|SSL_CERT_DIR|NODE_EXTRA_CA_CERTS|REQUESTS_CA_BUNDLE|PIP_CERT|NETRC)$/i;

/** Names only: values may be secrets. */
function warnOfVariables(io: Io): void {
  const names = Object.keys(io.env).filter(
    (name) => SERVER_VARIABLE.test(name) && nonEmpty(io.env[name]) !== undefined,
  );
  if (names.length === 0) return;
  printLine(io, `The service does not see these variables of your shell: ${names.join(', ')}.`);
  if (process.platform !== 'linux') return;
  printLine(io, 'If it needs them, write NAME=value lines into ~/.config/wheelcellar/environment');
}
