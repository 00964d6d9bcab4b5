/** `DIB_NO_PYPI_PIP`: the official index is never contacted, other indexes are. */
import { describe, expect, it } from 'vitest';
import { index, QUICK, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { writeSdist } from '../support/wheel-writer.ts';

const sdist = (version: string, name = 'demo'): ReturnType<typeof writeSdist> =>
  writeSdist({ name, version });

/** Every listed file can be had, and HTML, JSON and versions agree. */
async function expectServable(mirror: TestMirror, project = 'demo'): Promise<readonly string[]> {
  const { filenames, urls, versions } = await mirror.page(project);
  const html = (await mirror.get(`/simple/${project}/`)).text;
  const anchors = [...html.matchAll(/>([^<]+)<\/a>/g)].map(([, name]) => name);
  expect(anchors).toEqual(filenames);
  expect(new Set(versions)).toEqual(
    new Set(filenames.map((name) => /-(\d+\.\d+)/.exec(name)?.[1] ?? '')),
  );
  for (const filename of filenames) {
    const { status, body } = await mirror.get(urls[filename] ?? '');
    expect([filename, status]).toEqual([filename, 200]);
    expect(body.length).toBeGreaterThan(0);
  }
  return filenames;
}

describe('with the official index forbidden', () => {
  it('it is not asked, what is held of it is listed, and other indexes are asked', async () => {
    const other = await stageUpstream({ projects: { mine: [sdist('1.0', 'mine')] } });
    const official = { url: 'https://pypi.org/simple/' };
    const upstreams = [index('pypi', other, official), index('second', other)];
    const settings = { ...QUICK, upstreams, officialIndex: 'forbidden' as const };
    const mirror = await startMirror({ upstreams: [], settings });
    expect((await mirror.page('mine')).versions).toEqual(['1.0']);
    expect((await mirror.page('never-there')).status).toBe(404);
    expect(mirror.mirror.statistics().upstreams[0]).toMatchObject({ pageFetches: 0 });
  });

  it('files on its hosts are not listed nor fetched through the links of another', async () => {
    const far = {
      ...sdist('1.0', 'mine'),
      listedUrl: 'https://files.pythonhosted.org/packages/aa/bb/mine-1.0.tar.gz',
    };
    const other = await stageUpstream({ projects: { mine: [far, sdist('1.1', 'mine')] } });
    const upstreams = [index('second', other, { fileHosts: ['files.pythonhosted.org'] })];
    const settings = { ...QUICK, upstreams, officialIndex: 'forbidden' as const };
    const mirror = await startMirror({ upstreams: [], settings });
    expect(await expectServable(mirror, 'mine')).toEqual(['mine-1.1.tar.gz']);
  });
});
