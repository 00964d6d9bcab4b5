/**
 * Makes a clone ready to run, and says nothing when it is: checks the Node version, installs the
 * dependencies when they are missing or not those of package-lock.json, and with `--build` compiles
 * when dist is missing or older than src. Needs Node's own modules only.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { build, isBuilt } from './build.mjs';
import { bindingProblem, compilerAdvice, headersEnvironment, missingTools } from './toolchain.mjs';

const OLDEST_NODE = [20, 19];

/** Runs the checks for the project at `root`; the exit status. */
async function makeReady(root, wantsBuild) {
  const command = `npm ${process.env.npm_lifecycle_event || 'start'}`;
  if (!isNodeNewEnough(process.versions.node)) {
    return fail([
      `Wheelcellar needs Node ${OLDEST_NODE.join('.')} or newer; this is ${process.versions.node}.`,
      `  install a newer one (https://nodejs.org/), then:  ${command}`,
    ]);
  }
  const status = installDependencies(root, command);
  if (status !== 0 || !wantsBuild || isBuilt(root)) return status;
  say('building (once for each change of src)');
  return (await build(root)) === 0 ? 0 : fail(['The build failed; see the messages above.']);
}

function isNodeNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
}

function installDependencies(root, command) {
  const stampPath = join(root, 'node_modules', '.ready-stamp');
  const stamp = dependencyStamp(root);
  if (existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) return 0;
  if (!isInstalled(root)) {
    const status = npm(root, [...installCommand(root), '--include=dev', '--no-audit', '--no-fund']);
    if (status !== 0) return fail(installAdvice(command));
  }
  const problem = bindingProblem(root) && rebuildBinding(root);
  if (problem) return fail([problem, ...compilerAdvice(command)]);
  writeFileSync(stampPath, stamp);
  return 0;
}

/** `npm ci` begins by deleting everything, the compiled binding too: a mere update need not do that. */
function installCommand(root) {
  if (existsSync(join(root, 'node_modules', '.package-lock.json'))) {
    say('bringing the dependencies up to date');
    return ['install', '--no-save'];
  }
  say('installing the dependencies (once; compiling SQLite can take two minutes)');
  return ['ci'];
}

/** npm removes everything when one package cannot be compiled, so there is no binding to ask. */
function installAdvice(command) {
  if (missingTools().length > 0) return compilerAdvice(command);
  return ['Installing failed; see the messages of npm above.', `  to try again:  ${command}`];
}

/** npm 12 skips install scripts unless told otherwise, and a newer Node needs another binding. */
function rebuildBinding(root) {
  say('compiling the SQLite binding for this Node version');
  npm(root, ['rebuild', 'better-sqlite3', '--no-audit', '--no-fund']);
  return bindingProblem(root);
}

/** Changes with the lock file and with what a compiled binding depends on. */
function dependencyStamp(root) {
  const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json')));
  return `${lock.digest('hex')} ${process.platform} ${process.arch} ${process.versions.modules}\n`;
}

/** Whether what npm says it installed is what package-lock.json asks for. */
function isInstalled(root) {
  const listing = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(listing)) return false;
  const installed = JSON.parse(readFileSync(listing, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const present = installed[path];
    // Packages for other systems are in the lock file, but not in the folder.
    if (present === undefined) return entry.optional === true || entry.devOptional === true;
    return present.version === entry.version && present.integrity === entry.integrity;
  });
}

/** Runs the npm that runs us, or the one in PATH; its words go to standard error. */
function npm(root, args) {
  const self = process.env.npm_execpath;
  const [command, first] = self && self.endsWith('.js') ? [process.execPath, [self]] : ['npm', []];
  const { status } = spawnSync(command, [...first, ...args], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    env: { ...headersEnvironment(process.execPath, process.versions.node), ...process.env },
  });
  return status === null ? 1 : status;
}

function say(message) {
  process.stderr.write(`wheelcellar: ${message}\n`);
}

function fail(lines) {
  process.stderr.write(`wheelcellar: ${lines.join('\n')}\n`);
  return 1;
}

process.exitCode = await makeReady(
  fileURLToPath(new URL('..', import.meta.url)),
  process.argv.includes('--build'),
);
