/**
 * Against the official index itself; runs only by `npm run test:live`. Two small projects without
 * dependencies: a page, metadata and a wheel each, so less than ten fetches.
 */
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { installedIn, makeVirtualEnvironment } from '../support/python-clients.ts';
import { startServer } from '../support/server-process.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { INSTALLERS, wordsOf } from '../e2e/stage.ts';

const REQUIREMENTS = ['six==1.16.0', 'iniconfig==2.0.0'];
const INSTALLED = ['iniconfig==2.0.0', 'six==1.16.0'];

/** How this machine reaches the official index; everything else of it stays out of the server. */
const WAY_OUT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) =>
    /^(?:(?:https?|all|no)_proxy|SSL_CERT_\w+|NODE_EXTRA_CA_CERTS|REQUESTS_CA_BUNDLE|PIP_CERT)$/i.test(
      name,
    ),
  ),
) as Record<string, string>;

it('lets uv and pip install from the official index, and offline afterwards', async () => {
  const folder = await makeTempFolder('wheelcellar-live-');
  onTestFinished(() => folder.remove());
  const cacheDir = join(folder.path, 'cache');
  await installWithEach(
    await startServer({ cacheDir, env: WAY_OUT, ahead: true }),
    folder.path,
    'online',
  );
  await installWithEach(
    await startServer({ cacheDir, args: ['--offline'] }),
    folder.path,
    'offline',
  );
});

async function installWithEach(server: ServerProcess, folder: string, word: string): Promise<void> {
  onTestFinished(async () => void (await server.stop()));
  for (const { name, install } of INSTALLERS) {
    const { python } = await makeVirtualEnvironment(join(folder, `${name}-${word}`));
    const result = await install({ python, indexUrl: server.indexUrl, args: REQUIREMENTS });
    expect(result.code, wordsOf(result) + server.output.stderr).toBe(0);
    expect(await installedIn(python)).toEqual(INSTALLED);
  }
  await server.stop();
}
