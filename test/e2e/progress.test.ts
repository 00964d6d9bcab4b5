/** Long verbs show a bar on a real terminal, and nothing of it anywhere else. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { makeBigFolder } from '../support/big-folder.ts';
import { runCommand } from '../support/run-command.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

const WHEELCELLAR = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));
/** Runs its arguments on a terminal of their own, and prints what came there. */
const ON_TERMINAL = 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)';

let verify: readonly string[];
let env: Readonly<Record<string, string | undefined>>;

beforeAll(async () => {
  const folder = await makeTempFolder('wheelcellar-progress-');
  const cacheDir = join(folder.path, 'cache');
  await makeBigFolder({ cacheDir, files: 60 });
  verify = [
    process.execPath,
    WHEELCELLAR,
    'verify',
    '--repair',
    '--offline',
    '--cache-dir',
    cacheDir,
  ];
  env = { PATH: process.env['PATH'], HOME: process.env['HOME'], TERM: 'xterm' };
  return () => folder.remove();
});

it('a terminal shows how far verify is, and is left clean', async () => {
  const { code, stdout } = await runCommand('python3', ['-c', ON_TERMINAL, ...verify], { env });
  expect(code, stdout).toBe(0);
  expect(stdout).toMatch(/verifying .*\d+% \d+\/\d+/);
  // The cursor, hidden meanwhile, is there again.
  expect(stdout.lastIndexOf('\u001b[?25h')).toBeGreaterThan(stdout.lastIndexOf('\u001b[?25l'));
});

it('a pipe gets the outcome alone', async () => {
  const [program = '', ...args] = verify;
  const { code, stdout, stderr } = await runCommand(program, args, { env });
  expect(code, stderr).toBe(0);
  expect(stdout).toContain('all is well');
  expect(`${stdout}${stderr}`).not.toContain('verifying');
  expect(`${stdout}${stderr}`).not.toContain('\u001b');
});
