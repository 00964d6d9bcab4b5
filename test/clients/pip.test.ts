import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import { writeWheel } from '../support/wheel-writer.ts';
import { pipInstall } from './installers.ts';
import { INSTALLED, clientProjects, hashedRequirements, withoutMetadata } from './projects.ts';
import { describeClient, isFile, isMetadata, setStage } from './stage.ts';
import {
  expectInstalled,
  itChecksHashes,
  itInstalls,
  itReadsMetadataOnItsOwn,
  rangesOf,
  report,
  runOn,
} from './suite.ts';

describeClient('pip', (client) => {
  itInstalls(client, {
    install: pipInstall(),
    sdist: 'source==0.3',
    takesMetadata: true,
    keeps: { pages: true, files: true },
  });

  itReadsMetadataOnItsOwn(client, pipInstall());

  itChecksHashes(client, '--require-hashes', async (stage) => {
    const lock = join(stage.folder, 'requirements.txt');
    await writeFile(lock, hashedRequirements(stage.projects, INSTALLED));
    return runOn(stage, client, pipInstall(), { requirements: ['--require-hashes', '-r', lock] });
  });

  it('refuses, in hash-checking mode, what the lock does not name', async () => {
    const stage = await setStage();
    const lock = join(stage.folder, 'requirements.txt');
    await writeFile(lock, `alpha==1.0 --hash=sha256:${'0'.repeat(64)}\n`);
    const requirements = ['--require-hashes', '--no-deps', '-r', lock];
    const run = await runOn(stage, client, pipInstall(), { requirements });
    expect(run.code, run.words).not.toBe(0);
    expect(run.words).toContain('DO NOT MATCH THE HASHES');
  });

  it('reads wheels in ranges when it is told to (fast-deps)', async () => {
    const stage = await setStage({
      projects: withoutMetadata(clientProjects()),
      upstream: { mode: 'html', legacyJson: false },
    });
    const run = await runOn(stage, client, pipInstall('--use-feature=fast-deps'), {
      requirements: ['alpha'],
    });
    expectInstalled(run, ['alpha==1.0', 'beta==1.0']);
    const ranges = stage.recorder.exchanges.filter(({ headers }) => headers.range !== undefined);
    expect(ranges.length).toBeGreaterThan(0);
    for (const { status, path } of ranges) expect(status, path).toBe(206);
    await report(client, { ranges: `fast-deps: ${rangesOf(ranges)}` });
  });

  it('downloads by metadata alone for a dry run', async () => {
    const stage = await setStage();
    const run = await runOn(stage, client, pipInstall('--dry-run'), { requirements: ['alpha'] });
    expect(run.code, run.words).toBe(0);
    expect(stage.recorder.exchanges.filter(isFile)).toEqual([]);
    expect(stage.recorder.exchanges.filter(({ path }) => isMetadata(path))).toHaveLength(2);
  });

  it('goes on to the next index when the mirror does not know a project', async () => {
    const stage = await setStage();
    const other = await startFakeUpstream({
      projects: { elsewhere: [writeWheel({ name: 'elsewhere', version: '1.0' })] },
    });
    onTestFinished(() => other.close());
    const install = pipInstall('--extra-index-url', other.indexUrl);
    for (const flags of [[], ['--offline']]) {
      if (flags.length > 0) await stage.restart(...flags);
      const run = await runOn(stage, client, install, { requirements: ['elsewhere', 'alpha'] });
      expectInstalled(run, ['alpha==1.0', 'beta==1.0', 'elsewhere==1.0']);
    }
  });

  it('sends its credentials with every page and file', async () => {
    const stage = await setStage({ credentials: { username: 'jane', password: 's3cret' } });
    const indexUrl = stage.recorder.indexUrl.replace('//', '//jane:s3cret@');
    const run = await runOn(stage, client, pipInstall(), { indexUrl });
    expectInstalled(run, INSTALLED);
    expect(stage.recorder.exchanges.filter(({ status }) => status === 401)).toEqual([]);
  });

  it('encodes the plus of a local version', async () => {
    const stage = await setStage();
    expectInstalled(await runOn(stage, client, pipInstall(), { requirements: ['cpuish'] }), [
      'cpuish==1.0+cpu',
    ]);
    const paths = stage.recorder.exchanges.filter(isFile).map(({ path }) => path);
    expect(paths).toEqual([expect.stringContaining('cpuish-1.0%2Bcpu-')]);
  });
});
