import { writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { describeClient, installedAt, runClient, setStage } from './stage.ts';
import { expectInstalled, itInstalls, runOn } from './suite.ts';
import type { Installer } from './suite.ts';

/** A buildout with one part; its eggs are its cache. */
const buildout: Installer = async ({ client, indexUrl, requirements, folder, cachePath }) => {
  const settings = [
    `[buildout]\nparts = eggs\nindex = ${indexUrl}\neggs-directory = ${join(cachePath, 'eggs')}`,
    `[eggs]\nrecipe = zc.recipe.egg\neggs =\n${requirements.map((name) => `  ${name}`).join('\n')}\n`,
  ];
  await mkdir(cachePath, { recursive: true });
  await writeFile(join(folder, 'buildout.cfg'), settings.join('\n'));
  const run = await runClient(client, 'buildout', [], folder);
  return { ...run, installed: await installedAt(join(cachePath, 'eggs', 'v5')) };
};

/** `easy_install` into a folder of eggs. */
const easyInstall: Installer = async ({ client, indexUrl, requirements, folder }) => {
  const eggs = join(folder, 'eggs');
  await mkdir(eggs);
  const args = ['--always-unzip', '--index-url', indexUrl, '--install-dir', eggs];
  const run = await runClient(client, 'easy_install', [...args, ...requirements], folder, {
    PYTHONPATH: eggs,
  });
  return { ...run, installed: await installedAt(eggs) };
};

const SHARED = {
  takesMetadata: false,
  reports: { hashed: 'digests of links', ranges: 'none, whole wheels' },
} as const;

describeClient('zc.buildout', (client) => {
  itInstalls(client, {
    ...SHARED,
    install: buildout,
    sdist: 'source==0.3',
    keeps: { pages: false, files: true },
    // Few, for it starts a pip for each. It takes what is yanked.
    requirements: ['alpha', 'Delta_Pkg.X', 'cpuish', 'yanky'],
    installed: ['alpha==1.0', 'beta==1.0', 'cpuish==1.0+cpu', 'delta-pkg-x==1.0', 'yanky==1.1'],
  });

  it.each(['setuptools', 'always'])(
    'installs nothing yanked where the mirror hides such files from it (%s)',
    async (hideYanked) => {
      const stage = await setStage({ env: { WHEELCELLAR_INDEX_HIDE_YANKED: hideYanked } });
      expectInstalled(await runOn(stage, client, buildout, { requirements: ['yanky'] }), [
        'yanky==1.0',
      ]);
    },
  );

  it('sends no Accept header and gets HTML', async () => {
    const stage = await setStage();
    await runOn(stage, client, buildout, { requirements: ['yanky'] });
    const [page] = stage.recorder.exchanges;
    expect(page).toMatchObject({ path: '/simple/yanky/', status: 200 });
    expect(page?.headers.accept).toBeUndefined();
    expect(page?.answerHeaders['content-type']).toMatch(/^text\/html\b/);
    expect(page?.answerHeaders['content-encoding']).toBeUndefined();
  });

  it('learns at once, from a short root page, that a project does not exist', async () => {
    const stage = await setStage();
    expectInstalled(await runOn(stage, client, buildout, { requirements: ['yanky'] }), [
      'yanky==1.1',
    ]);
    const { recorder, upstream } = stage;
    recorder.forget();
    const run = await runOn(stage, client, buildout, { requirements: ['no-such-project'] });
    expect(run.code, run.words).not.toBe(0);
    const root = recorder.exchanges.filter(({ path }) => path === '/simple/');
    expect(root.length).toBeGreaterThan(0);
    for (const { status, bodyBytes } of root) {
      expect(status).toBe(200);
      expect(bodyBytes).toBeLessThan(2_000);
    }
    expect(upstream.count('/simple/')).toBe(0);
  });

  it('sends its credentials with every page and file', async () => {
    const stage = await setStage({ credentials: { username: 'jane', password: 's3cret' } });
    const indexUrl = stage.recorder.indexUrl.replace('//', '//jane:s3cret@');
    const run = await runOn(stage, client, buildout, { indexUrl, requirements: ['cpuish'] });
    expectInstalled(run, ['cpuish==1.0+cpu']);
  });
});

describeClient('easy_install', (client) => {
  itInstalls(client, {
    ...SHARED,
    install: easyInstall,
    sdist: 'setup-py==0.4',
    keeps: { pages: false, files: false },
    // It neither heeds Requires-Python nor what is yanked.
    requirements: ['alpha', 'delta-pkg-x', 'pythonic<2', 'cpuish', 'yanky'],
    installed: [
      'alpha==1.0',
      'beta==1.0',
      'cpuish==1.0+cpu',
      'delta-pkg-x==1.0',
      'pythonic==1.0',
      'yanky==1.1',
    ],
  });

  it('follows the way from a name as it was written to the normalized one', async () => {
    const stage = await setStage();
    await runOn(stage, client, easyInstall, { requirements: ['Delta_Pkg.X'] });
    const seen = stage.recorder.exchanges.map(({ path, status }) => [path, status]);
    expect(seen.slice(0, 2)).toEqual([
      ['/simple/Delta_Pkg.X/', 301],
      ['/simple/delta-pkg-x/', 200],
    ]);
  });

  it('sends its credentials with every page and file', async () => {
    const stage = await setStage({ credentials: { username: 'jane', password: 's3cret' } });
    const indexUrl = stage.recorder.indexUrl.replace('//', '//jane:s3cret@');
    const run = await runOn(stage, client, easyInstall, { indexUrl, requirements: ['cpuish'] });
    expectInstalled(run, ['cpuish==1.0+cpu']);
  });

  it('learns at once, from a short root page, that a project does not exist', async () => {
    const stage = await setStage();
    const run = await runOn(stage, client, easyInstall, { requirements: ['no-such-project'] });
    expect(run.code, run.words).not.toBe(0);
    expect(stage.recorder.exchanges.map(({ path, status }) => [path, status])).toEqual([
      ['/simple/no-such-project/', 404],
      ['/simple/', 200],
    ]);
    expect(stage.upstream.count('/simple/')).toBe(0);
  });
});
