import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Client, ClientName } from '../support/more-clients.ts';
import { pipInstall } from './installers.ts';
import { INSTALLED, hashedRequirements } from './projects.ts';
import { describeClient, isFile, setStage } from './stage.ts';
import {
  expectInstalled,
  itChecksHashes,
  itInstalls,
  itReadsMetadataOnItsOwn,
  runOn,
} from './suite.ts';
import type { Habits } from './suite.ts';

/** The tests of a pip that reads HTML pages and whole wheels only, and `more` of its own. */
export function describeOlderPip(
  name: ClientName,
  habits: Pick<Habits, 'sdist' | 'keeps'> & Partial<Habits>,
  more: (client: Client) => void = () => {},
): void {
  describeClient(name, (client) => {
    itInstalls(client, { install: pipInstall(), takesMetadata: false, ...habits });

    more(client);

    itReadsMetadataOnItsOwn(client, pipInstall());

    itChecksHashes(client, '--require-hashes', async (stage) => {
      const lock = join(stage.folder, 'requirements.txt');
      await writeFile(lock, hashedRequirements(stage.projects, INSTALLED));
      return runOn(stage, client, pipInstall(), { requirements: ['--require-hashes', '-r', lock] });
    });

    it('asks for text/html and encodes the plus of a local version', async () => {
      const stage = await setStage();
      const run = await runOn(stage, client, pipInstall(), { requirements: ['cpuish'] });
      expectInstalled(run, ['cpuish==1.0+cpu']);
      const [page] = stage.recorder.exchanges;
      expect(page?.headers.accept).toBe('text/html');
      expect(page?.answerHeaders['content-type']).toBe('text/html; charset=utf-8');
      const paths = stage.recorder.exchanges.filter(isFile).map(({ path }) => path);
      expect(paths).toEqual([expect.stringContaining('cpuish-1.0%2Bcpu-')]);
    });
  });
}
