import { spawn } from 'node:child_process';
import process from 'node:process';

/** What shows long text on a terminal when `PAGER` does not say: leaves short text on the screen. */
const DEFAULT_PAGER = 'less -FRX';

/**
 * Shows text through `$PAGER` (a shell command; `less -FRX` without one). Resolves when the reader has
 * closed it. Text goes straight to standard output when there is no such program.
 */
export async function pageText(text: string): Promise<void> {
  const command = process.env['PAGER'] ?? DEFAULT_PAGER;
  if (command.trim() === '' || command.trim() === 'cat' || !(await isShown(command, text)))
    process.stdout.write(text);
}

/** Status of a shell that finds no such program. */
const NO_SUCH_PROGRAM = 127;

function isShown(command: string, text: string): Promise<boolean> {
  return new Promise((resolve) => {
    const pager = spawn('/bin/sh', ['-c', command], { stdio: ['pipe', 'inherit', 'inherit'] });
    pager.once('error', () => resolve(false));
    pager.once('close', (code) => resolve(code !== NO_SUCH_PROGRAM));
    // Who leaves the pager early closes the pipe.
    pager.stdin.on('error', () => {});
    pager.stdin.end(text);
  });
}
