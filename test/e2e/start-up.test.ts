/** A start costs the same whatever is held: nothing is looked for in the mirror. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { makeBigFolder } from '../support/big-folder.ts';
import { ask } from '../support/http-client.ts';
import { startServer } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';

const FOLDER_WATCH = fileURLToPath(new URL('../support/folder-watch.mjs', import.meta.url));

it('lists no folder of the mirror and no stored pages when it starts', async () => {
  const folder = await makeTempFolder('wheelcellar-start-');
  onTestFinished(() => folder.remove());
  const cacheDir = join(folder.path, 'cache');
  const { projects } = await makeBigFolder({ cacheDir, files: 60, filesPerProject: 3 });
  const watchFile = join(folder.path, 'listed');
  const start = (): ReturnType<typeof startServer> =>
    startServer({
      cacheDir,
      args: ['--offline'],
      env: { NODE_OPTIONS: `--import ${FOLDER_WATCH}`, FOLDER_WATCH_FILE: watchFile },
    });
  const server = await start();
  expect((await ask(server.baseUrl, '/-/health')).status).toBe(200);
  expect((await ask(server.baseUrl, `/simple/${projects[7]}/`)).status).toBe(200);
  // Its end waits for what runs in the background.
  await server.stop();
  const listed = existsSync(watchFile) ? readFileSync(watchFile, 'utf8').trim().split('\n') : [];
  const below = listed.filter((path) => path.startsWith(cacheDir));
  expect(below).toContain(join(cacheDir, 'state-v1/partial'));
  expect(below.filter((path) => /\/(?:mirror|pages)(?:\/|$)/.test(path))).toEqual([]);
});
