/** Times and memory of verbs on large folders; prints the table. `npm run test:scale`, some ten minutes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { makeBigFolder } from '../support/big-folder.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));
const NOBODY = 'http://127.0.0.1:9/simple/';

/** Verb, and the seconds that it may take for 100,000 files on a slow machine. */
const VERBS: readonly (readonly [argv: string, mostSeconds: number])[] = [
  ['ls', 15],
  ['gc --dry-run --max-size 1KB', 20],
  [`verify --sample 5% --index-url ${NOBODY}`, 300],
  [`verify --index-url ${NOBODY}`, 400],
  [`verify --rebuild --index-url ${NOBODY}`, 600],
];

const table: string[] = [];
afterAll(() => void process.stdout.write(`\n${table.join('\n')}\n`));

describe.each([1_000, 10_000, 100_000])('%i files', (files) => {
  it('are listed, planned and verified in time, in bounded memory', async () => {
    const folder = await makeTempFolder('wheelcellar-scale-');
    onTestFinished(() => folder.remove());
    const cacheDir = join(folder.path, 'cache');
    await makeBigFolder({ cacheDir, files, indexUrl: NOBODY });
    const env = {
      PATH: process.env['PATH'] ?? '',
      HOME: folder.path,
      WHEELCELLAR_CACHE_DIR: cacheDir,
      WHEELCELLAR_LOG_LEVEL: 'error',
    };
    await measure(['verify', '--repair', '--sample', '1%', '--index-url', NOBODY], env);
    for (const [argv, mostSeconds] of VERBS) {
      const { code, seconds, megabytes } = await measure(argv.split(' '), env);
      table.push(`${files} files  ${argv}  ${seconds.toFixed(1)} s  ${megabytes} MB`);
      expect([argv, code]).toEqual([argv, 0]);
      expect(seconds, argv).toBeLessThan(mostSeconds);
      expect(megabytes, argv).toBeLessThan(700);
    }
  });
});

/** Runs a verb; the largest resident set is what the system says at its end. */
async function measure(
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<{ code: number | null; seconds: number; megabytes: number }> {
  const startedAt = performance.now();
  const report = `process.on('exit', () => process.stderr.write('\\nRSS ' + process.resourceUsage().maxRSS));`;
  const child = spawn(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(report)}`, PROGRAM, ...argv],
    { env: { ...env }, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  await once(child, 'close');
  const kilobytes = Number(/RSS (\d+)/.exec(errors)?.[1] ?? 0);
  return {
    code: child.exitCode,
    seconds: (performance.now() - startedAt) / 1000,
    megabytes: Math.round(kilobytes / 1000),
  };
}
