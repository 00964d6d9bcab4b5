/** Which standards count, and what is done with those that do not. */
import { describe, expect, it } from 'vitest';
import { JSON_PAGE, stageUpstream, startMirror } from '../support/mirror.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { writeSdist } from '../support/wheel-writer.ts';
import { fileOf, setJsonPage, wholePage } from './looking.ts';

const SDIST = writeSdist({ name: 'demo', version: '1.0' });
const entry = {
  filename: SDIST.filename,
  url: `/files/${SDIST.filename}`,
  hashes: { sha256: SDIST.sha256 },
  size: SDIST.content.length,
};

describe('§0', () => {
  it.each(['1.0', '1.4', '1.5', '1.9'])('API version %s is read [S]', async (version) => {
    const upstream = await stageUpstream();
    const page = { meta: { 'api-version': version }, name: 'demo', files: [entry], versions: [] };
    setJsonPage(upstream, page);
    const mirror = await startMirror({ upstreams: [upstream] });
    expect((await wholePage(mirror)).files).toHaveLength(1);
  });

  it('another major API version is refused, in JSON and in HTML [S]', async () => {
    const upstream = await stageUpstream();
    const mirror = await startMirror({ upstreams: [upstream] });
    setJsonPage(upstream, { meta: { 'api-version': '2.0' }, name: 'demo', files: [entry] });
    expect((await mirror.get('/simple/demo/')).status).toBe(502);
    upstream.setRaw('/simple/other/', {
      headers: { 'content-type': 'text/html' },
      body: '<meta name="pypi:repository-version" content="2.0"><a href="other-1.0.zip">x</a>',
    });
    expect((await mirror.get('/simple/other/')).status).toBe(502);
  });

  it('never claims 1.5, and keeps its key namespaces for those who know it [S]', async () => {
    const upstream = await stageUpstream();
    const namespaces = [{ name: 'demo', owned: true }];
    const meta = { 'api-version': '1.5' };
    setJsonPage(upstream, { meta, name: 'demo', namespaces, versions: ['1.0'], files: [entry] });
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(page.meta['api-version']).toBe('1.4');
    expect(page['namespaces']).toEqual(namespaces);
  });

  it('never makes the key namespaces up [S]', async () => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST] } });
    const mirror = await startMirror({ upstreams: [upstream] });
    expect(await wholePage(mirror)).not.toHaveProperty('namespaces');
  });

  it('tracks and alternate-locations are passed through and never acted upon [D]', async () => {
    const upstream = await stageUpstream();
    const other = await stageUpstream({ projects: { demo: [SDIST] } });
    const dead = { 'alternate-locations': [`${other.indexUrl}demo/`] };
    const meta = { 'api-version': '1.2', tracks: [`${other.indexUrl}demo/`] };
    setJsonPage(upstream, { meta, name: 'demo', ...dead, versions: ['1.0'], files: [entry] });
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(page).toMatchObject({ ...dead, meta: { tracks: meta.tracks } });
    expect(other.requests).toEqual([]);
  });

  it('HTML stays at repository-version 1.4 [S]', async () => {
    const upstream = await stageUpstream();
    const meta = { 'api-version': '1.9' };
    setJsonPage(upstream, { meta, name: 'demo', versions: ['1.0'], files: [entry] });
    const { text } = await (await startMirror({ upstreams: [upstream] })).get('/simple/demo/');
    expect(text).toContain('<meta name="pypi:repository-version" content="1.4">');
  });

  it('a listed file of variants is served, and not for ever [D]', async () => {
    const content = Buffer.from('{"variants":{}}');
    const filename = 'demo-1.0-variants.json';
    const upstream = await stageUpstream({ projects: { demo: [SDIST, { filename, content }] } });
    const mirror = await startMirror({ upstreams: [upstream] });
    expect(fileOf(await wholePage(mirror), filename).hashes).toEqual({ sha256: sha256Of(content) });
    const answer = await mirror.get(upstream.filePath(filename));
    expect(answer.text).toBe('{"variants":{}}');
    expect(answer.headers['cache-control']).toBe('max-age=0, must-revalidate');
  });

  it('the root has no API that is not deployed: no namespaces, no upload 2.0 [D]', async () => {
    const { get } = await startMirror({ upstreams: [await stageUpstream()] });
    for (const target of ['/namespaces', '/namespace/demo', '/.well-known/pytp?discover=1']) {
      expect((await get(target, { headers: { accept: JSON_PAGE } })).status, target).not.toBe(200);
    }
  });
});
