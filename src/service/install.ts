/**
 * Installing is: render the file → refuse to touch a stranger's → write it whole → ask the service
 * manager to load and start it. When the manager cannot be reached (a container, an image under
 * construction, no login session), the file stays and the commands to type are reported.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  ConfigurationError,
  NotFoundError,
  RefusedError,
  WheelcellarError,
  codeOf,
} from '../core/errors.ts';
import { AGENT_LABEL, launchdPlist } from './launchd-plist.ts';
import type { RunProgram } from './run-program.ts';
import { OWN_MARK } from './service-definition.ts';
import type { ServiceDefinition } from './service-definition.ts';
import { UNIT_NAME, systemdUnit } from './systemd-unit.ts';

/** The machine as the installer sees it. */
export interface ServiceHost {
  /** As `process.platform` has it. */
  readonly platform: string;
  readonly homeDir: string;
  /** Numeric user id, which names launchd's domain; `null` where users have none. */
  readonly userId: number | null;
  readonly run: RunProgram;
}

/** What was done, and what is left for a person. */
export interface ServiceReport {
  /** The unit or property list. */
  readonly path: string;
  /** Whether the service manager took it over. */
  readonly isDone: boolean;
  /** Why not, in the manager's words; empty when `isDone`. */
  readonly problem: string;
  /** Commands to type, in order. */
  readonly commandsLeft: readonly string[];
  /** Sentences worth reading. */
  readonly hints: readonly string[];
}

/** One service manager's way of doing things. */
interface ServiceManager {
  readonly path: string;
  readonly text: (service: ServiceDefinition) => string;
  /** Succeeds exactly when the manager can be talked to. */
  readonly contact: readonly string[];
  readonly load: readonly (readonly string[])[];
  /** Before the file goes or is loaded anew; that one fails means that there was nothing to do. */
  readonly unload: readonly (readonly string[])[];
  /** After the file is gone. */
  readonly forget: readonly (readonly string[])[];
  /** What the manager itself leaves behind when it cannot be asked to clean up. */
  readonly litter: readonly string[];
  readonly hints: readonly string[];
}

/**
 * Writes the user's service file and starts the service; does the same again after an update.
 *
 * @throws RefusedError when a file of that name is not ours
 * @throws ConfigurationError on a system without a service manager that we know
 * @throws WheelcellarError when the manager is there but does not start the service
 */
export async function installService(
  host: ServiceHost,
  service: ServiceDefinition,
): Promise<ServiceReport> {
  const manager = managerOf(host);
  await readOwnFile(manager.path);
  await writeWhole(manager.path, manager.text(service));
  // An update: launchd refuses to load a label twice, and systemd would not restart what runs.
  await runAll(host, manager.unload);
  return carryOut(host, manager, manager.load);
}

/**
 * Stops the user's service and removes its file.
 *
 * @throws NotFoundError when there is none
 * @throws RefusedError when the file is not ours
 */
export async function uninstallService(host: ServiceHost): Promise<ServiceReport> {
  const manager = managerOf(host);
  if ((await readOwnFile(manager.path)) === undefined) {
    throw new NotFoundError(`There is no service to remove: ${manager.path} does not exist.`);
  }
  await runAll(host, manager.unload);
  for (const path of [manager.path, ...manager.litter]) await rm(path, { force: true });
  const report = await carryOut(host, manager, manager.forget);
  return { ...report, hints: [] };
}

function managerOf(host: ServiceHost): ServiceManager {
  if (host.platform === 'linux') return systemd(host);
  if (host.platform === 'darwin') return launchd(host);
  throw new ConfigurationError([`There is no service set-up for ${host.platform}.`], {
    hint: 'Let your system start `wheelcellar serve` at login.',
  });
}

function systemd(host: ServiceHost): ServiceManager {
  const systemctl = ['systemctl', '--user'];
  const folder = join(host.homeDir, '.config', 'systemd', 'user');
  const reload = [...systemctl, 'daemon-reload'];
  return {
    path: join(folder, UNIT_NAME),
    text: systemdUnit,
    contact: [...systemctl, 'show-environment'],
    load: [reload, [...systemctl, 'enable', '--now', UNIT_NAME]],
    unload: [[...systemctl, 'disable', '--now', UNIT_NAME]],
    forget: [reload],
    litter: [join(folder, 'default.target.wants', UNIT_NAME)],
    hints: [
      'It runs while you are logged in; to keep it running always:  loginctl enable-linger',
      `Its log:  journalctl --user -u ${UNIT_NAME}`,
    ],
  };
}

function launchd(host: ServiceHost): ServiceManager {
  const domain = `gui/${host.userId ?? 0}`;
  const path = join(host.homeDir, 'Library', 'LaunchAgents', `${AGENT_LABEL}.plist`);
  const logPath = join(host.homeDir, 'Library', 'Logs', 'wheelcellar.log');
  const bootout = ['launchctl', 'bootout', `${domain}/${AGENT_LABEL}`];
  return {
    path,
    text: (service) => launchdPlist(service, logPath),
    contact: ['launchctl', 'print', domain],
    load: [['launchctl', 'bootstrap', domain, path]],
    unload: [bootout],
    forget: [],
    litter: [],
    hints: [`Its log:  tail ${logPath}`],
  };
}

/** Runs `commands` in order when the manager can be reached, and reports them when not. */
async function carryOut(
  host: ServiceHost,
  manager: ServiceManager,
  commands: ServiceManager['load'],
): Promise<ServiceReport> {
  const { path, hints } = manager;
  const contact = await runWords(host, manager.contact);
  if (contact.code !== 0) {
    const commandsLeft = commands.map((words) => words.map(shellWord).join(' '));
    return { path, isDone: false, problem: contact.output, commandsLeft, hints };
  }
  for (const words of commands) await demand(host, words);
  return { path, isDone: true, problem: '', commandsLeft: [], hints };
}

async function demand(host: ServiceHost, words: readonly string[]): Promise<void> {
  const { code, output } = await runWords(host, words);
  if (code === 0) return;
  throw new WheelcellarError(`\`${words.join(' ')}\` failed: ${output}`, {
    hint: 'The service file is in place; `wheelcellar service uninstall` removes it.',
  });
}

async function runAll(host: ServiceHost, commands: ServiceManager['unload']): Promise<void> {
  for (const words of commands) await runWords(host, words);
}

function runWords(host: ServiceHost, words: readonly string[]): ReturnType<RunProgram> {
  const [command = '', ...args] = words;
  return host.run(command, args);
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The file's text, or `undefined` when there is none. */
async function readOwnFile(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined || text.includes(OWN_MARK)) return text;
  throw new RefusedError(`${path} was not written by Wheelcellar, and is left as it is.`, {
    hint: 'Rename or remove it, then repeat the command.',
  });
}

async function writeWhole(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, text, { mode: 0o644 });
  await rename(`${path}.new`, path);
}
