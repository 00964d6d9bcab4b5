/** Addresses. */
import { describe, expect, it } from 'vitest';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { JSON_PAGE, hold, stageUpstream, startMirror } from '../support/mirror.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import { fileOf, htmlPage, setJsonPage, wholePage } from './looking.ts';

const SDIST = writeSdist({ name: 'demo', version: '1.0' });
const WHEEL = writeWheel({ name: 'demo', version: '1.1' });
const LOCAL_VERSION = writeWheel({ name: 'demo', version: '1.0+cpu' });

async function demoUpstream(): Promise<FakeUpstream> {
  return await stageUpstream({ projects: { demo: [SDIST, WHEEL], other: [] } });
}

describe('§1 the root', () => {
  it.each([
    [JSON_PAGE, /"projects":\[\{"name":"demo"\}\]/],
    ['application/vnd.pypi.simple.v1+html', /<a href="demo\/">demo<\/a>/],
    ['text/html', /<a href="demo\/">demo<\/a>/],
  ])(
    'as %s lists what is held, at once, without asking the upstream [S][D]',
    async (accept, says) => {
      const upstream = await demoUpstream();
      const mirror = await startMirror({ upstreams: [upstream] });
      await hold(mirror, upstream.filePath(SDIST.filename));
      const { status, headers, text } = await mirror.get('/simple/', { headers: { accept } });
      expect(status).toBe(200);
      expect(headers['content-type']?.startsWith(accept)).toBe(true);
      expect(text).toMatch(says);
      expect(text).not.toContain('other');
      expect(upstream.count('/simple/')).toBe(0);
    },
  );

  it('answers after a page that is not there, as buildout and easy_install ask [C]', async () => {
    const upstream = await demoUpstream();
    const { get } = await startMirror({ upstreams: [upstream] });
    expect((await get('/simple/nope/')).status).toBe(404);
    expect((await get('/simple/')).status).toBe(200);
    expect(upstream.count('/simple/')).toBe(0);
  });
});

describe('§1 a project', () => {
  it.each(['bad~name', '-demo', 'demo-', '_x', '.x', 'd%C3%A9mo', 'a%0A', 'a%20b', '%2e%2e'])(
    'named %s is no project, and nobody is asked [S]',
    async (name) => {
      const upstream = await demoUpstream();
      const { get } = await startMirror({ upstreams: [upstream] });
      expect((await get(`/simple/${name}/`)).status).toBe(404);
      expect(upstream.requests).toEqual([]);
    },
  );

  it.each([
    ['/simple/De.mo_X/?format=a', '../de-mo-x/?format=a'],
    ['/simple/DEMO/', '../demo/'],
    ['/simple/de--mo/', '../de-mo/'],
    ['/simple/Demo', 'demo/'],
    ['/simple/demo', 'demo/'],
    ['/simple/demo?format=a', 'demo/?format=a'],
    ['/simple', 'simple/'],
  ])('%s is redirected by a relative Location that keeps the query [s][D]', async (from, to) => {
    const { get } = await startMirror({ upstreams: [await demoUpstream()] });
    const { status, headers } = await get(from);
    expect([status, headers.location]).toEqual([301, to]);
  });

  it.each(['/simple//demo/', '//simple/demo/', '/simple/demo//'])(
    '%s is the same page, as pipenv asks for it, and its links lead to the files [C]',
    async (target) => {
      const upstream = await demoUpstream();
      const { get, origin } = await startMirror({ upstreams: [upstream] });
      const { status, text } = await get(target, { headers: { accept: JSON_PAGE } });
      expect(status).toBe(200);
      const [file] = (JSON.parse(text) as { files: [{ url: string }] }).files;
      const { pathname } = new URL(file.url, origin + target);
      expect(sha256Of((await get(pathname)).body)).toBe(SDIST.sha256);
    },
  );

  it('the query parameter format wins over Accept [s]', async () => {
    const { get } = await startMirror({ upstreams: [await demoUpstream()] });
    const ask = (format: string): ReturnType<typeof get> =>
      get(`/simple/demo/?format=${format}`, { headers: { accept: 'text/html' } });
    for (const format of [JSON_PAGE, encodeURIComponent(JSON_PAGE)]) {
      expect((await ask(format)).headers['content-type']).toBe(JSON_PAGE);
    }
    expect((await get('/simple/demo/?format=no/type')).status).toBe(406);
  });
});

describe('§1 links', () => {
  it('are relative and end in the filename, which is the text of the anchor [S][D]', async () => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST, WHEEL, LOCAL_VERSION] } });
    const mirror = await startMirror({ upstreams: [upstream] });
    const { files } = await wholePage(mirror);
    expect(files).toHaveLength(3);
    for (const { url, filename } of files) {
      expect(url).toMatch(/^\.\.\/\.\.\/packages\//);
      expect(decodeURIComponent(url.slice(url.lastIndexOf('/') + 1))).toBe(filename);
    }
    const anchors = [...(await htmlPage(mirror)).matchAll(/href="([^"#]+)[^>]*>([^<]+)</g)];
    expect(anchors).toHaveLength(3);
    for (const [, href = '', text = ''] of anchors) {
      expect(decodeURIComponent(href.slice(href.lastIndexOf('/') + 1))).toBe(text);
    }
  });

  it('a file is one file under +, %2B and %2D, fetched once [C]', async () => {
    const upstream = await stageUpstream({ projects: { demo: [LOCAL_VERSION] } });
    const { get } = await startMirror({ upstreams: [upstream] });
    const path = upstream.filePath(LOCAL_VERSION.filename);
    const spellings = [path, path.replace('%2B', '+'), path.replace('demo-', 'demo%2D')];
    for (const target of spellings) {
      expect(sha256Of((await get(target)).body)).toBe(LOCAL_VERSION.sha256);
    }
    expect(upstream.count(/\.whl$/)).toBe(1);
  });

  it('a page entry whose filename is not the end of its URL is left out [S]', async () => {
    const upstream = await stageUpstream();
    const hashes = { sha256: SDIST.sha256 };
    const files = [
      { filename: 'demo-1.0.zip', url: '/files/demo-2.0.zip', hashes, size: 1 },
      { filename: 'demo-3.0.zip', url: '/files/demo-3.0.zip', hashes, size: 1 },
    ];
    setJsonPage(upstream, { meta: { 'api-version': '1.1' }, name: 'demo', versions: [], files });
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(page.files.map(({ filename }) => filename)).toEqual(['demo-3.0.zip']);
  });

  it('core metadata lies beside its wheel, attestations at an absolute URL [S]', async () => {
    const provenance = 'https://index.test/integrity/demo/1.1/demo-1.1-py3-none-any.whl/provenance';
    const upstream = await stageUpstream({ projects: { demo: [{ ...WHEEL, provenance }] } });
    const mirror = await startMirror({ upstreams: [upstream] });
    const { url } = fileOf(await wholePage(mirror), WHEEL.filename);
    const path = new URL(url, `${mirror.origin}/simple/demo/`).pathname;
    expect((await mirror.get(`${path}.metadata`)).text).toBe(WHEEL.metadata);
    expect(await htmlPage(mirror)).toContain(` data-provenance="${provenance}"`);
  });
});

describe('§1 documents beside the index', () => {
  it.each(['/pypi/demo/json', '/pypi/demo/1.0/json', '/demo/json', '/pypi/Demo/json'])(
    '%s is the legacy JSON, agreed with the index [C][D]',
    async (target) => {
      const upstream = await demoUpstream();
      const mirror = await startMirror({ upstreams: [upstream] });
      const page = await wholePage(mirror);
      const { status, headers, text } = await mirror.get(target);
      expect(status).toBe(200);
      expect(headers['content-type']).toBe('application/json');
      const document = JSON.parse(text) as {
        urls: { filename: string; digests: { sha256: string }; url: string; size: number }[];
        releases?: Record<string, { filename: string }[]>;
      };
      for (const { filename, digests, url, size } of document.urls) {
        const listed = fileOf(page, filename);
        expect(digests).toEqual(listed.hashes);
        expect(size).toBe(listed['size']);
        expect(url).toBe(new URL(listed.url, `${mirror.origin}/simple/demo/`).href);
      }
      if (target.includes('1.0')) expect(document).not.toHaveProperty('releases');
      else expect(Object.keys(document.releases ?? {})).toEqual(page.versions);
    },
  );

  it.each(['/pypi/nope/json', '/pypi/demo/9.9/json', '/nope/json'])(
    '%s is a 404',
    async (target) => {
      const { get } = await startMirror({ upstreams: [await demoUpstream()] });
      expect((await get(target)).status).toBe(404);
    },
  );

  it('attestations are passed through with their type, and kept [D]', async () => {
    const upstream = await demoUpstream();
    const target = `/integrity/demo/1.1/${WHEEL.filename}/provenance`;
    const provenance = `${upstream.origin}${target}`;
    upstream.setProject('demo', [{ ...WHEEL, provenance }]);
    const type = 'application/vnd.pypi.integrity.v1+json';
    upstream.setRaw(target, { headers: { 'content-type': type }, body: '{"version":1}' });
    const { get } = await startMirror({ upstreams: [upstream] });
    for (let time = 0; time < 2; time++) {
      const { status, headers, text } = await get(target);
      expect([status, headers['content-type'], text]).toEqual([200, type, '{"version":1}']);
    }
    expect(upstream.count(target)).toBe(1);
    expect((await get(`/integrity/demo/1.0/${SDIST.filename}/provenance`)).status).toBe(404);
  });

  it('uploads and XML-RPC are refused with the methods that there are', async () => {
    const { get } = await startMirror({ upstreams: [await demoUpstream()] });
    for (const target of ['/legacy/', '/', '/pypi']) {
      const { status, headers } = await get(target, { method: 'POST', body: 'x' });
      expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
    }
  });
});
