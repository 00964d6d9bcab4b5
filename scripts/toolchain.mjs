/** What compiling the SQLite binding needs, and how each system calls it. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';

const TOOLS = ['g++', 'make', 'python3'];

/** Why the SQLite binding does not load in `root`, or `null` when it does. */
export function bindingProblem(root) {
  // In a process of its own: a binding of another Node version can end the process that loads it.
  const code = "new (require('better-sqlite3'))(':memory:').close()";
  const { status, signal, stderr } = spawnSync(process.execPath, ['-e', code], {
    cwd: root,
    encoding: 'utf8',
  });
  if (status === 0) return null;
  const line = stderr.split('\n').find((text) => /^\w*Error: /.test(text));
  return line === undefined ? `loading it ended with ${signal || `status ${status}`}` : line;
}

/** Names of the programs that compiling needs and PATH does not have. */
export function missingTools() {
  return TOOLS.filter((tool) => spawnSync(tool, ['--version']).error !== undefined);
}

/**
 * Variables that let the binding be compiled with the headers that were installed with this Node, where
 * they are: node-gyp would download the same ones.
 */
export function headersEnvironment(execPath, version) {
  const root = join(dirname(realpathSync(execPath)), '..');
  const header = join(root, 'include', 'node', 'node_version.h');
  if (!existsSync(header) || versionIn(readFileSync(header, 'utf8')) !== version) return {};
  // npm 11 has a name of its own for what is node-gyp's, and warns of the old one.
  const isOld = /^npm\/(\d|10)\./.test(process.env.npm_config_user_agent || '');
  return { [isOld ? 'npm_config_nodedir' : 'npm_package_config_node_gyp_nodedir']: root };
}

function versionIn(header) {
  const numberOf = (name) =>
    (new RegExp(`^#define NODE_${name}_VERSION (\\d+)$`, 'm').exec(header) || [])[1];
  return ['MAJOR', 'MINOR', 'PATCH'].map(numberOf).join('.');
}

/** Lines that tell a person how to get the compiler, and what to type then. */
export function compilerAdvice(commandToRepeat) {
  const missing = missingTools();
  return [
    'The SQLite binding (better-sqlite3) is compiled on this machine, and is not usable yet' +
      (missing.length === 0 ? '.' : `; missing: ${missing.join(', ')}.`),
    `  install the tools:  ${packageCommand(process.platform, readOsRelease())}`,
    '  compile it again:   npm rebuild better-sqlite3 --foreground-scripts',
    `  then:               ${commandToRepeat}`,
  ];
}

/** The command that installs a compiler, make and Python; `osRelease` is the text of /etc/os-release. */
export function packageCommand(platform, osRelease) {
  if (platform === 'darwin') return 'xcode-select --install';
  const names = (osRelease.match(/^ID(?:_LIKE)?=.*$/gm) || []).join(' ');
  if (/debian|ubuntu/.test(names)) return 'sudo apt-get install g++ make python3';
  if (/fedora|rhel|centos/.test(names)) return 'sudo dnf install gcc-c++ make python3';
  if (/suse/.test(names)) return 'sudo zypper install gcc-c++ make python3';
  if (/alpine/.test(names)) return 'sudo apk add g++ make python3';
  if (/arch/.test(names)) return 'sudo pacman -S gcc make python';
  return 'a C++20 compiler, make and Python 3, by the package manager of this system';
}

function readOsRelease() {
  return existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
}
