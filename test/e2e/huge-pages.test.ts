/** Pages of 20,000 files: fetched, read, stored and written while the event loop goes on. */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import { setHugePage } from '../support/huge-page.ts';
import { ask } from '../support/http-client.ts';
import { startServer } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

const TURN_CLOCK = fileURLToPath(new URL('../support/turn-clock.mjs', import.meta.url));
const FILES = 20_000;
/** Pauses of the garbage collector are 10 to 25 ms; one pass over the whole page at once takes 50 to 370. */
const LONGEST_TURN_MS = 60;
const FORMS = [
  ['application/vnd.pypi.simple.v1+json', 'gzip'],
  ['text/html', 'gzip'],
  ['application/vnd.pypi.simple.v1+json', 'identity'],
] as const;

it.each([
  ['JSON', false],
  ['HTML with a legacy JSON', true],
])('a huge page in %s never stops the event loop for long', async (_, html) => {
  const folder = await makeTempFolder('wheelcellar-turns-');
  onTestFinished(() => folder.remove());
  const upstream = await startFakeUpstream();
  onTestFinished(() => upstream.close());
  const turnsFile = join(folder.path, 'longest-turn');
  const server = await startServer({
    args: ['--index-url', upstream.indexUrl],
    env: { NODE_OPTIONS: `--import ${TURN_CLOCK}`, TURN_CLOCK_FILE: turnsFile },
  });
  onTestFinished(async () => void (await server.stop()));
  const longestTurn = async (): Promise<number> => {
    await rm(turnsFile, { force: true });
    server.kill('SIGUSR2');
    await vi.waitFor(() => expect(existsSync(turnsFile)).toBe(true), { timeout: 10_000 });
    return Number(await readFile(turnsFile, 'utf8'));
  };
  const turns: number[] = [];
  await longestTurn();
  for (const variant of [1, 2]) {
    setHugePage(upstream, 'huge', { files: FILES, variant, html });
    for (const [accept, coding] of FORMS) {
      const headers = { accept, 'accept-encoding': coding };
      await vi.waitFor(
        async () => {
          const answer = await ask(server.baseUrl, '/simple/huge/', { headers });
          expect(answer.status).toBe(200);
          expect(answer.headers['x-pypi-last-serial']).toBe(String(variant));
        },
        { timeout: 60_000, interval: 100 },
      );
    }
    turns.push(await longestTurn());
  }
  expect((await ask(server.baseUrl, '/pypi/huge/json')).status).toBe(200);
  turns.push(await longestTurn());
  const medianMs = turns.toSorted((a, b) => a - b)[1];
  expect(medianMs, `longest turns ${turns.map(Math.round).join(', ')} ms`).toBeLessThan(
    LONGEST_TURN_MS,
  );
});
