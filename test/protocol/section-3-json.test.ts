/** The JSON form of a project's page. */
import { describe, expect, it } from 'vitest';
import { sha256Of } from '../support/fake-upstream.ts';
import { stageUpstream, startMirror } from '../support/mirror.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import { fileOf, setHtmlPage, setJsonPage, wholePage } from './looking.ts';

const SDIST = writeSdist({ name: 'demo', version: '1.0', requiresPython: '>=3.8,<4' });
const WHEEL = writeWheel({ name: 'demo', version: '1.1' });
const entry = {
  filename: SDIST.filename,
  url: `/files/${SDIST.filename}`,
  hashes: { sha256: SDIST.sha256 },
  size: SDIST.content.length,
};
const META = { 'api-version': '1.4' };

describe('§3 the page', () => {
  it('says its version, its normalized name, its versions and its files [S]', async () => {
    const upstream = await stageUpstream({ projects: { 'de-mo': [] } });
    upstream.setProject('de-mo', [writeSdist({ name: 'De.Mo', version: '1.0' })]);
    const mirror = await startMirror({ upstreams: [upstream] });
    const page = await wholePage(mirror, 'de-mo');
    expect(page).toMatchObject({ meta: { 'api-version': '1.4' }, name: 'de-mo' });
    expect(page.versions).toEqual(['1.0']);
    expect(page.files).toHaveLength(1);
  });

  it('versions cover all files, also when the upstream names none [S]', async () => {
    const upstream = await stageUpstream({ mode: 'html', projects: { demo: [SDIST, WHEEL] } });
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(page.versions).toEqual(['1.0', '1.1']);
  });

  it.each(['archived', 'deprecated'])('says that a project is %s, and why [S]', async (status) => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST] } });
    upstream.setStatus('demo', status, 'because');
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(page['project-status']).toEqual({ status, reason: 'because' });
    expect(page.files).toHaveLength(1);
  });

  it('keeps unknown keys verbatim, private ones too, at every level [D]', async () => {
    const upstream = await stageUpstream();
    const odd = { _x: [1, { y: null }], 'future-key': 'é' };
    const files = [{ ...entry, ...odd }];
    const meta = { ...META, ...odd, '_last-serial': 41 };
    setJsonPage(upstream, { meta, name: 'demo', versions: ['1.0'], files, ...odd });
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(page).toMatchObject(odd);
    expect(page.meta).toMatchObject({ ...odd, '_last-serial': 41 });
    expect(fileOf(page, SDIST.filename)).toMatchObject(odd);
  });
});

describe('§3 a file', () => {
  it('says what is known about it, in the words of the standard [S]', async () => {
    const uploadTime = '2024-05-06T07:08:09.123456Z';
    const upstream = await stageUpstream({
      projects: { demo: [{ ...SDIST, uploadTime, yanked: 'broken' }, WHEEL] },
    });
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(fileOf(page, SDIST.filename)).toMatchObject({
      hashes: { sha256: SDIST.sha256 },
      size: SDIST.content.length,
      'upload-time': uploadTime,
      'requires-python': '>=3.8,<4',
      yanked: 'broken',
    });
    expect(fileOf(page, WHEEL.filename)).toMatchObject({
      'core-metadata': { sha256: sha256Of(WHEEL.metadata) },
    });
  });

  it.each([
    [true, true],
    ['a reason', 'a reason'],
    [false, undefined],
    ['', undefined],
    [null, undefined],
  ])('yanked %j is written %j [S]', async (yanked, written) => {
    const upstream = await stageUpstream();
    const files = [{ ...entry, yanked }];
    setJsonPage(upstream, { meta: META, name: 'demo', versions: ['1.0'], files });
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(fileOf(page, SDIST.filename)['yanked']).toBe(written);
  });

  it('has the key hashes even when there are none [S]', async () => {
    const upstream = await stageUpstream({ projects: { demo: [{ ...SDIST, hashless: true }] } });
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(fileOf(page, SDIST.filename).hashes).toEqual({});
  });

  it.each(['core-metadata', 'dist-info-metadata', 'data-dist-info-metadata'])(
    'core metadata is read under the name %s [W]',
    async (key) => {
      const upstream = await stageUpstream({ projects: { demo: [WHEEL] } });
      const sha256 = sha256Of(WHEEL.metadata);
      const wheel = {
        filename: WHEEL.filename,
        url: upstream.fileUrl(WHEEL.filename),
        hashes: { sha256: WHEEL.sha256 },
        size: WHEEL.content.length,
        [key]: { sha256 },
      };
      setJsonPage(upstream, { meta: META, name: 'demo', versions: ['1.1'], files: [wheel] });
      const page = await wholePage(await startMirror({ upstreams: [upstream] }));
      expect(fileOf(page, WHEEL.filename)['core-metadata']).toEqual({ sha256 });
    },
  );

  it('requires-python and provenance of null are nothing that is known [W]', async () => {
    const upstream = await stageUpstream();
    const files = [{ ...entry, 'requires-python': null, provenance: null, 'gpg-sig': false }];
    setJsonPage(upstream, { meta: META, name: 'demo', versions: ['1.0'], files });
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    const file = fileOf(page, SDIST.filename);
    expect([file['requires-python'], file['provenance']]).toEqual([undefined, undefined]);
  });

  it('every upload time is in UTC as the standard writes it, or left out [S]', async () => {
    const upstream = await stageUpstream();
    const times = ['2024-05-06T07:08:09Z', '2024-05-06T07:08:09.1Z', 'yesterday', 7];
    const files = times.map((time, at) => ({
      ...entry,
      filename: `demo-1.${at}.zip`,
      url: `/files/demo-1.${at}.zip`,
      'upload-time': time,
    }));
    setJsonPage(upstream, { meta: META, name: 'demo', versions: [], files });
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(page.files).toHaveLength(4);
    for (const { 'upload-time': time } of page.files) {
      if (time !== undefined) expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/);
    }
    expect(page.files.filter((file) => file['upload-time'] !== undefined)).toHaveLength(2);
  });
});

describe('§3 an upstream with HTML only', () => {
  const html = `<!DOCTYPE html><html><body>
    <a href="/files/${SDIST.filename}#sha256=${SDIST.sha256}" data-requires-python="&gt;=3.8,&lt;4"
       data-yanked="old" data-upload-time="2024-05-06T07:08:09Z">${SDIST.filename}</a>
  </body></html>`;

  it('gives API 1.0 until every file has a size, and no versions [S][D]', async () => {
    const upstream = await stageUpstream({ legacyJson: false });
    setHtmlPage(upstream, html);
    const mirror = await startMirror({ upstreams: [upstream] });
    const page = await wholePage(mirror);
    expect(page.meta['api-version']).toBe('1.0');
    expect(page).not.toHaveProperty('versions');
    expect(fileOf(page, SDIST.filename)).not.toHaveProperty('size');
    const { text } = await mirror.get('/simple/demo/');
    expect(text).toContain('<meta name="pypi:repository-version" content="1.0">');
  });

  it('keeps its upload times, on which exclude-newer of uv depends [C]', async () => {
    const upstream = await stageUpstream({ legacyJson: false });
    setHtmlPage(upstream, html);
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(fileOf(page, SDIST.filename)).toMatchObject({
      'upload-time': '2024-05-06T07:08:09Z',
      'requires-python': '>=3.8,<4',
      yanked: 'old',
    });
  });
});
