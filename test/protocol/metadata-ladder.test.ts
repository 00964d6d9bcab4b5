/** Core metadata (PEP 658): installers give up when what is advertised is missing or different. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ProjectName } from '../../src/packaging/names.ts';
import { eventually } from '../support/eventually.ts';
import type { FakeFile, FakeUpstream } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { hold, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { writeOddZip } from '../support/odd-zip.ts';
import { writeWheel } from '../support/wheel-writer.ts';
import { alarmKinds, fileOf, setHtmlPage, wholePage } from './looking.ts';

const WHEEL = writeWheel({ name: 'demo', version: '1.0', paddingBytes: 200_000 });
const TRUE_SHA256 = sha256Of(WHEEL.metadata);
const OTHER = 'Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n';

async function demo(
  file: FakeFile = WHEEL,
  behaviour: object = {},
): Promise<{ upstream: FakeUpstream; mirror: TestMirror; path: string }> {
  const upstream = await stageUpstream({ projects: { demo: [file] }, ...behaviour });
  const mirror = await startMirror({ upstreams: [upstream] });
  return { upstream, mirror, path: upstream.filePath(file.filename) };
}

async function advertised(mirror: TestMirror, filename = WHEEL.filename): Promise<unknown> {
  return fileOf(await wholePage(mirror), filename)['core-metadata'];
}

describe('advertised core metadata [C]', () => {
  it('comes from beside the wheel at the upstream', async () => {
    const { upstream, mirror, path } = await demo();
    expect(await advertised(mirror)).toEqual({ sha256: TRUE_SHA256 });
    expect((await mirror.get(`${path}.metadata`)).text).toBe(WHEEL.metadata);
    expect(upstream.count(path)).toBe(0);
  });

  it.each([
    ['answered with 404', { metadataMissing: true }, {}],
    ['answered with 403', {}, { status: 403 }],
    ['other bytes', {}, { body: OTHER }],
  ])('%s, comes out of the wheel by ranges', async (_what, lies, fault) => {
    const { upstream, mirror, path } = await demo({ ...WHEEL, ...lies });
    upstream.fault(`${path}.metadata`, fault);
    expect((await mirror.get(`${path}.metadata`)).text).toBe(WHEEL.metadata);
    expect(upstream.bytesSent(path)).toBeLessThan(100_000);
    expect(await advertised(mirror)).toEqual({ sha256: TRUE_SHA256 });
  });

  it('without ranges, comes out of the wheel after all of it was fetched', async () => {
    const { upstream, mirror, path } = await demo(
      { ...WHEEL, metadataMissing: true },
      { ranges: false },
    );
    const answer = await mirror.get(`${path}.metadata`);
    expect([answer.status, answer.text]).toEqual([200, WHEEL.metadata]);
    upstream.forget();
    expect(sha256Of((await mirror.get(path)).body)).toBe(WHEEL.sha256);
    expect(upstream.count(path)).toBe(0);
  });

  it('that no wheel holds is withdrawn from the page, with an alarm', async () => {
    const { mirror, path } = await demo({
      ...WHEEL,
      metadataMissing: true,
      listedMetadataSha256: sha256Of('x'),
    });
    expect(await advertised(mirror)).toEqual({ sha256: sha256Of('x') });
    expect((await mirror.get(`${path}.metadata`)).status).toBe(404);
    expect(await advertised(mirror)).not.toEqual({ sha256: sha256Of('x') });
    expect(alarmKinds(mirror)).toContain('wrong-metadata');
    expect(sha256Of((await mirror.get(path)).body)).toBe(WHEEL.sha256);
  });

  it('stays advertised when the upstream merely fails for now', async () => {
    const { upstream, mirror, path } = await demo();
    await mirror.page('demo');
    upstream.fault(/packages/, { status: 503 });
    expect((await mirror.get(`${path}.metadata`)).status).toBe(503);
    upstream.clearFaults();
    expect(await advertised(mirror)).toEqual({ sha256: TRUE_SHA256 });
    expect((await mirror.get(`${path}.metadata`)).text).toBe(WHEEL.metadata);
    expect(alarmKinds(mirror)).toEqual([]);
  });

  it('that differs from what the stored wheel holds is withdrawn, with an alarm', async () => {
    const { mirror, path } = await demo({ ...WHEEL, metadata: OTHER });
    expect((await mirror.get(`${path}.metadata`)).text).toBe(OTHER);
    await hold(mirror, path);
    await eventually(async () =>
      expect(await advertised(mirror)).not.toEqual({ sha256: sha256Of(OTHER) }),
    );
    expect(alarmKinds(mirror)).toEqual(['wrong-metadata']);
    const { text } = await mirror.get('/simple/demo/');
    expect(text).not.toContain(sha256Of(OTHER));
  });

  it('gets another chance after it was withdrawn when the index lists another digest', async () => {
    const lie = { metadataMissing: true, listedMetadataSha256: sha256Of('x') };
    const { upstream, mirror, path } = await demo({ ...WHEEL, ...lie });
    expect((await mirror.get(`${path}.metadata`)).status).toBe(404);
    expect(await advertised(mirror)).toBeUndefined();
    // A page that says the same again is no news, though something else of it changed.
    upstream.setProject('demo', [{ ...WHEEL, ...lie, yanked: true }]);
    mirror.clock.advance(3_600_000);
    expect(await advertised(mirror)).toBeUndefined();
    upstream.setProject('demo', [WHEEL]);
    mirror.clock.advance(3_600_000);
    expect(await advertised(mirror)).toEqual({ sha256: TRUE_SHA256 });
    expect((await mirror.get(`${path}.metadata`)).text).toBe(WHEEL.metadata);
    const second = await startMirror({ upstreams: [upstream], cacheDir: mirror.cacheDir });
    expect(await advertised(second)).toEqual({ sha256: TRUE_SHA256 });
  });

  it('gets another chance when somebody insists, unless the wheel itself speaks against it', async () => {
    const { upstream, mirror, path } = await demo();
    await mirror.page('demo');
    const heal = upstream.fault(/packages/, { status: 404 });
    expect((await mirror.get(`${path}.metadata`)).status).toBe(404);
    heal();
    const { mirror: inner } = mirror;
    await inner.refresh('demo' as ProjectName, false);
    expect(await advertised(mirror)).toBeUndefined();
    await inner.refresh('demo' as ProjectName, true);
    expect(await advertised(mirror)).toEqual({ sha256: TRUE_SHA256 });

    const liar = await demo({ ...WHEEL, metadata: OTHER });
    await hold(liar.mirror, liar.path);
    await eventually(async () => expect(alarmKinds(liar.mirror)).toEqual(['wrong-metadata']));
    await liar.mirror.mirror.refresh('demo' as ProjectName, true);
    expect(await advertised(liar.mirror)).not.toEqual({ sha256: sha256Of(OTHER) });
  });

  it('is the same in a second process on the same folder', async () => {
    const { upstream, mirror, path } = await demo({
      ...WHEEL,
      metadataMissing: true,
      listedMetadataSha256: sha256Of('x'),
    });
    const second = await startMirror({ upstreams: [upstream], cacheDir: mirror.cacheDir });
    expect(await advertised(second)).toEqual({ sha256: sha256Of('x') });
    expect((await mirror.get(`${path}.metadata`)).status).toBe(404);
    await eventually(async () =>
      expect(await advertised(second)).toEqual(await advertised(mirror)),
    );
    expect(await advertised(second)).not.toEqual({ sha256: sha256Of('x') });
  });

  it('is fetched once by two processes that are asked at once', async () => {
    const { upstream, mirror, path } = await demo();
    const second = await startMirror({ upstreams: [upstream], cacheDir: mirror.cacheDir });
    const answers = await Promise.all(
      [mirror, second, mirror, second].map(({ get }) => get(`${path}.metadata`)),
    );
    expect(answers.map(({ text }) => text)).toEqual(Array(4).fill(WHEEL.metadata));
    expect(upstream.count(`${path}.metadata`)).toBe(1);
  });
});

describe('core metadata that is not advertised [C]', () => {
  const { metadata: _metadata, ...PLAIN } = WHEEL;

  it('is not served before the wheel is held, then advertised with its digest', async () => {
    const { mirror, path } = await demo(PLAIN);
    expect(await advertised(mirror)).toBeUndefined();
    expect((await mirror.get(`${path}.metadata`)).status).toBe(404);
    await hold(mirror, path);
    await eventually(async () => expect(await advertised(mirror)).toEqual({ sha256: TRUE_SHA256 }));
    expect((await mirror.get(`${path}.metadata`)).text).toBe(WHEEL.metadata);
  });

  it('lies in the static mirror before the page there advertises it', async () => {
    const { mirror, path } = await demo(PLAIN);
    const sidecar = join(mirror.cacheDir, 'mirror', `${path}.metadata`);
    const page = join(mirror.cacheDir, 'mirror', 'demo', 'index.html');
    const says = (): boolean =>
      existsSync(page) && readFileSync(page, 'utf8').includes('data-core-metadata');
    let tooEarly = false;
    const watch = setInterval(() => (tooEarly ||= says() && !existsSync(sidecar)), 1);
    await hold(mirror, path);
    await eventually(() => expect(says()).toBe(true));
    clearInterval(watch);
    expect(tooEarly).toBe(false);
    expect(readFileSync(sidecar, 'utf8')).toBe(WHEEL.metadata);
  });

  it('of a page that promises some without a digest comes out of the wheel', async () => {
    const { upstream, mirror, path } = await demo(PLAIN);
    const href = `../..${path}#sha256=${WHEEL.sha256}`;
    setHtmlPage(upstream, `<a href="${href}" data-core-metadata="true">x</a>`);
    expect(await advertised(mirror)).toBe(true);
    expect((await mirror.get(`${path}.metadata`)).text).toBe(WHEEL.metadata);
    await eventually(async () => expect(await advertised(mirror)).toEqual({ sha256: TRUE_SHA256 }));
  });

  it.each([
    ['a bomb', Buffer.alloc(20_000_000, 'a')],
    ['no metadata', null],
  ])('a wheel with %s has none, and is served as it is', async (_what, content) => {
    const filename = 'demo-3.0-py3-none-any.whl';
    const path = content === null ? 'demo/__init__.py' : 'demo-3.0.dist-info/METADATA';
    const bytes = writeOddZip([{ path, content: content ?? 'x' }]);
    for (const metadata of [undefined, 'Metadata-Version: 2.1\n']) {
      const lies = metadata === undefined ? {} : { metadata, metadataMissing: true };
      const stage = await demo({ filename, content: bytes, ...lies });
      await hold(stage.mirror, stage.path);
      expect((await stage.mirror.get(`${stage.path}.metadata`)).status).toBe(404);
      await eventually(async () =>
        expect(await advertised(stage.mirror, filename)).toBeUndefined(),
      );
      expect(sha256Of((await stage.mirror.get(stage.path)).body)).toBe(sha256Of(bytes));
    }
  });

  it('stays held and advertised offline', async () => {
    const { upstream, mirror, path } = await demo(PLAIN);
    await hold(mirror, path);
    await eventually(async () => expect(await advertised(mirror)).toEqual({ sha256: TRUE_SHA256 }));
    await mirror.stop();
    const { cacheDir } = mirror;
    const offline = await startMirror({
      upstreams: [upstream],
      cacheDir,
      settings: { offline: true },
    });
    expect(await advertised(offline)).toEqual({ sha256: TRUE_SHA256 });
    expect((await offline.get(`${path}.metadata`)).text).toBe(WHEEL.metadata);
  });
});
