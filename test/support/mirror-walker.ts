import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

/** A process that reads a mirror folder over and over, as a web server's clients do. */
export interface MirrorWalker {
  /** Ends it; what it has seen. */
  stop(): Promise<{ readonly rounds: number; readonly links: number; readonly dead: string[] }>;
}

/** Reads the root page, then each project's page, and follows each link at once. */
const SCRIPT = `
const fs = require('node:fs'), path = require('node:path');
const [mirror, ignored] = [process.argv[1], new Set(JSON.parse(process.argv[2]))];
let [rounds, links, isStopping] = [0, 0, false];
const dead = [];
process.on('SIGTERM', () => (isStopping = true));
const read = (file) => { try { return fs.readFileSync(file, 'utf8'); } catch (error) { if (error.code === 'ENOENT') return null; throw error; } };
(async () => {
  while (!isStopping) {
    for (const { name } of JSON.parse(read(path.join(mirror, 'index.json')) ?? '{"projects":[]}').projects) {
      const page = read(path.join(mirror, name, 'index.json'));
      // The project may have gone since the root page was read.
      if (page === null) continue;
      for (const { url } of JSON.parse(page).files) {
        const file = path.join(mirror, name, decodeURIComponent(url.split('#')[0]));
        links++;
        if (ignored.has(path.relative(mirror, file))) continue;
        try { fs.statSync(file); } catch { dead.push(file); }
      }
    }
    if (rounds++ === 0) process.stdout.write('\\n');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  process.stdout.write(JSON.stringify({ rounds, links, dead }));
})();
`;

/** Starts it, and waits for its first round. `ignored`: mirror paths that the test itself has broken. */
export async function startWalker(
  mirrorDir: string,
  ignored: readonly string[] = [],
): Promise<MirrorWalker> {
  const child = spawn(process.execPath, ['-e', SCRIPT, mirrorDir, JSON.stringify(ignored)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await once(child.stdout, 'data');
  return {
    stop: async () => {
      child.kill('SIGTERM');
      await once(child, 'close');
      return JSON.parse(output) as Awaited<ReturnType<MirrorWalker['stop']>>;
    },
  };
}
