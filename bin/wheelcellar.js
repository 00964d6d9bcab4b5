#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import process from 'node:process';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** What verbs may know of this process (`Io` in src/cli/verb.ts). */
const io = {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  isTty: process.stderr.isTTY === true,
  homeDir: homedir(),
  cwd: process.cwd(),
  onSignal(listener) {
    for (const signal of SIGNALS) process.on(signal, listener);
    return () => {
      for (const signal of SIGNALS) process.off(signal, listener);
    };
  },
};

/** The exit status of the command line. */
async function run() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    return fail(`needs Node 20.19 or newer; this is ${process.versions.node}.`);
  }
  const built = new URL('../dist/cli/main.js', import.meta.url);
  if (!existsSync(built)) return fail('is not built yet.\n  run:  npm run build');
  const { main } = await import(built.href);
  return main(process.argv.slice(2), io);
}

function fail(message) {
  process.stderr.write(`wheelcellar: ${message}\n`);
  return 1;
}

// A reader that has seen enough (`wheelcellar stats | head -1`) is no failure of ours.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') throw error;
});
process.exitCode = await run();
