/** Indexes of other kinds: one page of links, links to other hosts, a base for links, no digests. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { UpstreamConfig } from '../../src/config/config.ts';
import { eventually } from '../support/eventually.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { DEFAULTS, hold, indexAt, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import { anchorOf, htmlPage, setHtmlPage, wholePage } from './looking.ts';

const CPU = writeWheel({ name: 'torch', version: '2.9.0+cpu' });
const SDIST = writeSdist({ name: 'demo', version: '1.0' });

async function mirrorOf(url: string, more: Partial<UpstreamConfig> = {}): Promise<TestMirror> {
  const upstreams = [indexAt('extra', url, more)];
  return await startMirror({ upstreams: [], settings: { upstreams } });
}

/** Follows the page's link to a file, as an installer does. */
async function followed(mirror: TestMirror, project: string, filename: string): Promise<string> {
  const { urls } = await mirror.page(project);
  return sha256Of((await mirror.get(urls[filename] ?? '/none')).body);
}

describe('a page of links for all projects', () => {
  it('is an index: each project has its own files of it', async () => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST], torch: [CPU] } });
    const mirror = await mirrorOf(upstream.linksUrl, { layout: 'find-links' });
    expect((await mirror.page('demo')).filenames).toEqual([SDIST.filename]);
    expect(await followed(mirror, 'demo', SDIST.filename)).toBe(SDIST.sha256);
    expect(await followed(mirror, 'torch', CPU.filename)).toBe(CPU.sha256);
    expect((await mirror.page('nope')).status).toBe(404);
    expect(upstream.count('/links/')).toBe(1);
  });
});

describe('an index with wheels of a local version', () => {
  const ENCODED = CPU.filename.replace('+', '%2B');

  async function torchIndex(href: (origin: string) => string): Promise<FakeUpstream> {
    const upstream = await stageUpstream({ legacyJson: false });
    upstream.setRaw(`/whl/${ENCODED}`, { body: CPU.content });
    setHtmlPage(upstream, `<a href="${href(upstream.origin)}">${CPU.filename}</a><br/>`, 'torch');
    return upstream;
  }

  it.each<[string, (origin: string) => string]>([
    ['root-relative', () => `/whl/${ENCODED}#sha256=${CPU.sha256}`],
    ['absolute', (origin) => `${origin}/whl/${ENCODED}#sha256=${CPU.sha256}`],
    ['without a digest', () => `/whl/${ENCODED}`],
  ])('and links that are %s: the file is served under %%2B and +', async (_what, href) => {
    const upstream = await torchIndex(href);
    const mirror = await mirrorOf(upstream.indexUrl);
    const { urls } = await mirror.page('torch');
    const path = urls[CPU.filename] ?? '';
    expect(path).toMatch(/%2Bcpu-py3-none-any\.whl$/);
    for (const target of [path, path.replace('%2B', '+')]) {
      expect(sha256Of((await mirror.get(target)).body)).toBe(CPU.sha256);
    }
    expect(upstream.count(/^\/whl\//, 'GET')).toBe(1);
  });

  it('and files on a second host serves them only when that host is allowed', async () => {
    const files = await stageUpstream();
    files.setRaw(`/whl/${ENCODED}`, { body: CPU.content });
    const upstream = await torchIndex(() => `${files.origin}/whl/${ENCODED}#sha256=${CPU.sha256}`);
    const closed = await mirrorOf(upstream.indexUrl);
    expect((await closed.page('torch')).filenames).toEqual([]);
    expect(files.requests).toEqual([]);
    const open = await mirrorOf(upstream.indexUrl, { fileHosts: [new URL(files.origin).host] });
    expect(await followed(open, 'torch', CPU.filename)).toBe(CPU.sha256);
    expect(files.count(/^\/whl\//, 'GET')).toBe(1);
  });

  it('is linked from the static mirror by a link that a file system resolves', async () => {
    const upstream = await torchIndex(() => `/whl/${ENCODED}#sha256=${CPU.sha256}`);
    const mirror = await mirrorOf(upstream.indexUrl);
    const { urls } = await mirror.page('torch');
    const path = urls[CPU.filename] ?? '';
    await mirror.get(path);
    await eventually(() =>
      expect(
        mirror.mirror.store.catalog.findFile('extra', decodeURIComponent(path.slice(1))),
      ).toBeDefined(),
    );
    await mirror.mirror.store.flushStaticPages();
    const folder = join(mirror.cacheDir, 'mirror', 'torch');
    const html = readFileSync(join(folder, 'index.html'), 'utf8');
    const href = /href="([^"#]+)/.exec(html)?.[1] ?? '';
    expect(sha256Of(readFileSync(new URL(href, pathToFileURL(`${folder}/`))))).toBe(CPU.sha256);
  });
});

describe('a page with a base for its links', () => {
  it.each([
    ['a path', () => '/elsewhere/'],
    ['a relative path', () => '../../elsewhere/'],
    ['an address', (origin: string) => `${origin}/elsewhere/`],
  ])('resolves them against %s', async (_what, base) => {
    const upstream = await stageUpstream({ legacyJson: false });
    upstream.setRaw(`/elsewhere/${SDIST.filename}`, { body: SDIST.content });
    const link = `<a href="${SDIST.filename}#sha256=${SDIST.sha256}">x</a>`;
    setHtmlPage(upstream, `<head><base href="${base(upstream.origin)}"></head>${link}`);
    const mirror = await mirrorOf(upstream.indexUrl);
    expect(await followed(mirror, 'demo', SDIST.filename)).toBe(SDIST.sha256);
  });
});

describe('yanked files and clients that do not know of them [C]', () => {
  const KEPT = writeSdist({ name: 'demo', version: '0.9' });
  const CLIENTS = {
    setuptools: { 'user-agent': 'setuptools/84.2.1 Python-urllib/3.11' },
    pip: { 'user-agent': 'pip/26.3 {"python":"3.11"}' },
  };

  async function demo(hideYanked: 'never' | 'setuptools' | 'always'): Promise<TestMirror> {
    const upstream = await stageUpstream({
      projects: { demo: [KEPT, { ...SDIST, yanked: 'broken' }] },
    });
    const settings = { index: { ...DEFAULTS.index, hideYanked } };
    return await startMirror({ upstreams: [upstream], settings });
  }

  it.each([
    ['never', true, true],
    ['setuptools', false, true],
    ['always', false, false],
  ] as const)('hide_yanked %s: setuptools sees them %s, pip %s', async (hide, setuptools, pip) => {
    const mirror = await demo(hide);
    for (let time = 0; time < 2; time++) {
      const [old, modern] = await Promise.all([
        htmlPage(mirror, 'demo', { headers: CLIENTS.setuptools }),
        htmlPage(mirror, 'demo', { headers: CLIENTS.pip }),
      ]);
      expect(old.includes(SDIST.filename)).toBe(setuptools);
      expect(modern.includes(SDIST.filename)).toBe(pip);
      if (pip) expect(anchorOf(modern, SDIST.filename)).toContain('data-yanked="broken"');
      expect(old).toContain(KEPT.filename);
    }
  });

  it('hide_yanked setuptools says that pages vary by User-Agent, and only then', async () => {
    for (const hide of ['never', 'setuptools', 'always'] as const) {
      const { headers } = await (await demo(hide)).get('/simple/demo/');
      expect(String(headers.vary).includes('User-Agent'), hide).toBe(hide === 'setuptools');
    }
  });

  it('hidden ones are in no list of versions, and their files are still served', async () => {
    const mirror = await demo('always');
    expect((await wholePage(mirror)).versions).toEqual(['0.9']);
    const upstreamPath = (await mirror.page('demo')).urls[KEPT.filename] ?? '';
    await hold(mirror, upstreamPath);
  });
});

describe('the legacy JSON [C]', () => {
  it('has for pip-tools the digests and the addresses of every file of a version', async () => {
    const wheel = writeWheel({ name: 'demo', version: '1.0', requires: ['other>=2'] });
    const upstream = await stageUpstream({ projects: { demo: [SDIST, wheel] }, serial: 12 });
    const mirror = await startMirror({ upstreams: [upstream] });
    const { text } = await mirror.get('/demo/json');
    const document = JSON.parse(text) as {
      info: { version: string; requires_dist: string[] };
      last_serial: number;
      releases: Record<string, { packagetype: string; digests: { sha256: string }; url: string }[]>;
    };
    expect(document.last_serial).toBe(12);
    expect(document.info).toMatchObject({ version: '1.0', requires_dist: ['other>=2'] });
    const files = document.releases['1.0'] ?? [];
    expect(files.map(({ packagetype }) => packagetype).sort()).toEqual(['bdist_wheel', 'sdist']);
    for (const { url, digests } of files) {
      expect(url.startsWith(`${mirror.origin}/packages/`)).toBe(true);
      const { body } = await mirror.get(new URL(url).pathname);
      expect(sha256Of(body)).toBe(digests.sha256);
    }
  });

  it('is there offline for what is held, and says nothing of the rest', async () => {
    const later = writeSdist({ name: 'demo', version: '2.0' });
    const upstream = await stageUpstream({ projects: { demo: [SDIST, later] } });
    const mirror = await startMirror({ upstreams: [upstream] });
    await mirror.page('demo');
    await hold(mirror, upstream.filePath(SDIST.filename));
    await mirror.stop();
    const { cacheDir } = mirror;
    const settings = { offline: true };
    const offline = await startMirror({ upstreams: [upstream], cacheDir, settings });
    const document = JSON.parse((await offline.get('/pypi/demo/json')).text) as {
      releases: object;
    };
    expect(Object.keys(document.releases)).toEqual(['1.0']);
    expect((await offline.get('/pypi/demo/2.0/json')).status).toBe(404);
  });

  it('of a quarantined project is a 404', async () => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST] } });
    upstream.setStatus('demo', 'quarantined');
    const mirror = await startMirror({ upstreams: [upstream] });
    expect((await mirror.get('/pypi/demo/json')).status).toBe(404);
  });
});
