/** Upstreams that say little: HTML without sizes, a legacy JSON beside it or none. */
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { hold, stageUpstream, startMirror } from '../support/mirror.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import type { WrittenFile } from '../support/wheel-writer.ts';
import { fileOf, setHtmlPage, untilPage, wholePage } from './looking.ts';

const PAGE = '/simple/demo/';
const LEGACY = '/pypi/demo/json';
const WHEEL = writeWheel({ name: 'demo', version: '1.1' });
const SDIST = writeSdist({ name: 'demo', version: '1.0' });
const METADATA_SHA256 = sha256Of(WHEEL.metadata);
const UPLOADED = '2024-05-06T07:08:09.123456Z';

/** HTML only, without validators, sizes and core metadata; everything else in the legacy JSON. */
async function poorUpstream(): Promise<FakeUpstream> {
  const upstream = await stageUpstream({
    projects: { demo: [WHEEL, SDIST] },
    mode: 'html',
    pageEtags: false,
    maxAgeSeconds: null,
    serial: null,
    fileEtags: false,
  });
  const anchor = (file: WrittenFile, more = ''): string =>
    `<a href="../..${upstream.filePath(file.filename)}#sha256=${file.sha256}"${more}>x</a>`;
  setHtmlPage(upstream, anchor(WHEEL) + anchor(SDIST, ' data-yanked=""'));
  setLegacy(upstream);
  return upstream;
}

function setLegacy(upstream: FakeUpstream, changes: object = {}): void {
  const entry = (file: WrittenFile, more: object): object => ({
    filename: file.filename,
    url: `../../packages/packages/xx/${file.filename}`,
    size: file.content.length,
    digests: { md5: '0'.repeat(32), sha256: file.sha256 },
    upload_time_iso_8601: UPLOADED,
    requires_python: '>=3.8',
    yanked: false,
    ...more,
    ...changes,
  });
  const releases = {
    '1.0': [entry(SDIST, { yanked: true, yanked_reason: 'broken' })],
    '1.1': [entry(WHEEL, { 'core-metadata': { sha256: METADATA_SHA256 } })],
  };
  const body = JSON.stringify({ info: { name: 'demo' }, last_serial: 99, releases });
  upstream.setRaw(LEGACY, { headers: { 'content-type': 'application/json' }, body });
}

describe('§11 a page of HTML with a legacy JSON beside it', () => {
  it('becomes API 1.4 with sizes, times, reasons, metadata digests and the serial [D]', async () => {
    const mirror = await startMirror({ upstreams: [await poorUpstream()] });
    const page = await wholePage(mirror);
    expect(page.meta).toMatchObject({ 'api-version': '1.4', '_last-serial': 99 });
    expect(page.versions).toEqual(['1.0', '1.1']);
    expect(fileOf(page, WHEEL.filename)).toMatchObject({
      size: WHEEL.content.length,
      'upload-time': UPLOADED,
      'requires-python': '>=3.8',
      'core-metadata': { sha256: METADATA_SHA256 },
    });
    expect(fileOf(page, SDIST.filename)).toMatchObject({
      size: SDIST.content.length,
      yanked: 'broken',
    });
    const { headers } = await mirror.get(PAGE);
    expect(headers['x-pypi-last-serial']).toBe('99');
  });

  it('never takes a URL from it: some are useless [D]', async () => {
    const upstream = await poorUpstream();
    const mirror = await startMirror({ upstreams: [upstream] });
    const page = await mirror.page('demo');
    const path = page.urls[WHEEL.filename] ?? '';
    expect(sha256Of((await mirror.get(path)).body)).toBe(WHEEL.sha256);
    expect(upstream.count(/packages\/packages/)).toBe(0);
    expect(upstream.count(upstream.filePath(WHEEL.filename))).toBe(1);
  });

  it('takes nothing about a file whose digest differs there [D]', async () => {
    const upstream = await poorUpstream();
    setLegacy(upstream, { digests: { sha256: sha256Of('other') } });
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(page.meta['api-version']).toBe('1.0');
    expect(fileOf(page, WHEEL.filename)).not.toHaveProperty('size');
    expect(fileOf(page, WHEEL.filename)).not.toHaveProperty('core-metadata');
  });

  it.each([
    ['404', { status: 404 }],
    ['500', { status: 500 }],
    ['broken', { body: '{' }],
    ['about another project', { body: '{"info":{"name":"other"},"releases":{}}' }],
  ])('that is %s leaves API 1.0, and the page is served all the same [D]', async (_what, fault) => {
    const upstream = await poorUpstream();
    upstream.fault(LEGACY, fault);
    const page = await wholePage(await startMirror({ upstreams: [upstream] }));
    expect(page.meta['api-version']).toBe('1.0');
    expect(page.files).toHaveLength(2);
  });

  it('that takes longer than two seconds completes the page behind the client’s back [D]', async () => {
    const upstream = await poorUpstream();
    upstream.fault(LEGACY, { delayMs: 3_000 });
    const mirror = await startMirror({ upstreams: [upstream] });
    const first = await mirror.page('demo');
    expect(first.elapsedMs).toBeLessThan(2_900);
    expect((await wholePage(mirror)).meta['api-version']).toBe('1.0');
    await untilPage(mirror, (page) => expect(page.meta['api-version']).toBe('1.4'));
    expect(upstream.count(PAGE)).toBe(1);
  });

  it('is completed again after the page was confirmed, if it failed before [D]', async () => {
    const upstream = await poorUpstream();
    const heal = upstream.fault(LEGACY, { status: 503 });
    const mirror = await startMirror({ upstreams: [upstream] });
    expect((await wholePage(mirror)).meta['api-version']).toBe('1.0');
    heal();
    mirror.clock.advance(601_000);
    await untilPage(mirror, (page) => expect(page.meta['api-version']).toBe('1.4'));
  });

  it('is asked for once for a page that stays the same [D]', async () => {
    const upstream = await poorUpstream();
    const mirror = await startMirror({ upstreams: [upstream] });
    await mirror.page('demo');
    const { headers } = await mirror.get(PAGE);
    mirror.clock.advance(601_000);
    const again = await mirror.get(PAGE, { headers: { 'if-none-match': String(headers.etag) } });
    expect(again.status).toBe(304);
    expect(upstream.count(LEGACY)).toBe(1);
  });

  it('advertises core metadata that answers 404 upstream only to serve it out of the wheel [C]', async () => {
    const upstream = await poorUpstream();
    const path = upstream.filePath(WHEEL.filename);
    upstream.fault(`${path}.metadata`, { status: 404 });
    const mirror = await startMirror({ upstreams: [upstream] });
    const page = await mirror.page('demo');
    const answer = await mirror.get(`${page.urls[WHEEL.filename]}.metadata`);
    expect(answer.text).toBe(WHEEL.metadata);
  });
});

describe('§11 a page of HTML and nothing else', () => {
  it('gains sizes from the files that are held, and 1.4 with the last of them [D]', async () => {
    const upstream = await poorUpstream();
    upstream.setRaw(LEGACY, { status: 404 });
    const mirror = await startMirror({ upstreams: [upstream] });
    expect((await wholePage(mirror)).meta['api-version']).toBe('1.0');
    await hold(mirror, upstream.filePath(WHEEL.filename));
    await eventually(async () => {
      const file = fileOf(await wholePage(mirror), WHEEL.filename);
      expect(file).toMatchObject({ size: WHEEL.content.length });
    });
    await hold(mirror, upstream.filePath(SDIST.filename));
    await untilPage(mirror, (page) => expect(page.meta['api-version']).toBe('1.4'));
  });

  it('leads from other spellings of a name to one page, whatever the upstream answers', async () => {
    const upstream = await poorUpstream();
    const mirror = await startMirror({ upstreams: [upstream] });
    const { status, headers } = await mirror.get('/simple/Demo/');
    expect([status, headers.location]).toEqual([301, '../demo/']);
    expect(upstream.requests).toEqual([]);
  });

  it('files without entity tags are fetched and resumed all the same', async () => {
    const upstream = await poorUpstream();
    const mirror = await startMirror({ upstreams: [upstream] });
    const path = upstream.filePath(WHEEL.filename);
    upstream.fault(path, { cutAfter: 300, times: 1 });
    const answer = await mirror.get(path).catch(() => mirror.get(path));
    expect(sha256Of(answer.body)).toBe(WHEEL.sha256);
  });
});
