/** Offline, with several indexes: what is held is listed, whoever holds it. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { index, stageFolder, stageUpstream, startMirror } from '../support/mirror.ts';
import { writeSdist } from '../support/wheel-writer.ts';

const sdist = (version: string, name = 'demo'): ReturnType<typeof writeSdist> =>
  writeSdist({ name, version });

describe('offline, an index that was never asked for a name', () => {
  it('does not hide what a later one holds', async () => {
    const cacheDir = await stageFolder();
    const first = await stageUpstream();
    const second = await stageUpstream({ projects: { demo: [sdist('9.9')] } });
    const b = index('pypi', second);
    const before = await startMirror({ upstreams: [], cacheDir, settings: { upstreams: [b] } });
    const url = (await before.page('demo')).urls['demo-9.9.tar.gz'] ?? '';
    expect((await before.get(url)).status).toBe(200);
    await before.mirror.store.flushStaticPages();
    await before.stop();
    const upstreams = [index('private', first), b];
    const settings = { upstreams, offline: true };
    const mirror = await startMirror({ upstreams: [], cacheDir, settings });
    expect((await mirror.page('demo')).filenames).toEqual(['demo-9.9.tar.gz']);
  });

  it('does not make the static page of a held project go, once the catalog was rebuilt', async () => {
    const cacheDir = await stageFolder();
    const first = await stageUpstream();
    const second = await stageUpstream({ projects: { demo: [sdist('9.9')] } });
    const upstreams = [index('private', first), index('pypi', second)];
    const before = await startMirror({ upstreams: [], cacheDir, settings: { upstreams } });
    const url = (await before.page('demo')).urls['demo-9.9.tar.gz'] ?? '';
    const page = join(cacheDir, 'mirror', 'demo', 'index.html');
    expect((await before.get(url)).status).toBe(200);
    await eventually(() => expect(readFileSync(page, 'utf8')).toContain('demo-9.9.tar.gz'));
    await before.stop();
    for (const suffix of ['', '-wal', '-shm']) {
      rmSync(join(cacheDir, 'state-v1', `catalog.sqlite${suffix}`), { force: true });
    }
    const settings = { upstreams, offline: true };
    const mirror = await startMirror({ upstreams: [], cacheDir, settings });
    const { store } = mirror.mirror;
    await eventually(() => expect(store.catalog.heldCounts().files).toBe(1));
    await store.flushStaticPages();
    expect(readFileSync(page, 'utf8')).toContain('demo-9.9.tar.gz');
    expect((await mirror.page('demo')).filenames).toEqual(['demo-9.9.tar.gz']);
  });
});
