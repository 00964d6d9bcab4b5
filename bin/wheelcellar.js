#!/usr/bin/env node
import { existsSync } from 'node:fs';
import process from 'node:process';

/** The exit status of the command line. */
async function run() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    return fail(`needs Node 20.19 or newer; this is ${process.versions.node}.`);
  }
  const built = new URL('../dist/cli/', import.meta.url);
  if (!existsSync(new URL('main.js', built)))
    return fail('is not built yet.\n  run:  npm run build');
  const { main } = await import(new URL('main.js', built).href);
  const { processIo } = await import(new URL('process-io.js', built).href);
  return main(process.argv.slice(2), processIo());
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
