/** The HTML form of a project's page, and what no form may offer. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { hold, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import { anchorOf, htmlPage, setJsonPage, skipFreshness, wholePage } from './looking.ts';

const SDIST = writeSdist({ name: 'demo', version: '1.0' });
const WHEEL = writeWheel({ name: 'demo', version: '1.1', requiresPython: '>=3.8,<4' });

describe('§4 the page', () => {
  it('is HTML 5 with its version, one anchor on each line and the serial at its end [S][W]', async () => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST, WHEEL] }, serial: 7 });
    const html = await htmlPage(await startMirror({ upstreams: [upstream] }));
    expect(html.startsWith('<!DOCTYPE html>')).toBe(true);
    expect(html).toContain('<meta name="pypi:repository-version" content="1.4">');
    expect(html.match(/<a /g)).toHaveLength(2);
    expect(anchorOf(html, SDIST.filename)).toMatch(/^\s*<a .*<\/a><br>$/);
    expect(html.trimEnd().endsWith('<!--SERIAL 7-->')).toBe(true);
  });

  it('has the attributes in the order of the official index [W]', async () => {
    const provenance = 'https://index.test/provenance';
    const upstream = await stageUpstream({
      projects: { demo: [{ ...WHEEL, yanked: 'a "b" <c>', provenance }] },
    });
    const html = await htmlPage(await startMirror({ upstreams: [upstream] }));
    const line = anchorOf(html, WHEEL.filename);
    const digest = sha256Of(WHEEL.metadata);
    expect(line).toContain(
      `#sha256=${WHEEL.sha256}" data-requires-python="&gt;=3.8,&lt;4" ` +
        `data-yanked="a &quot;b&quot; &lt;c&gt;" data-dist-info-metadata="sha256=${digest}" ` +
        `data-core-metadata="sha256=${digest}" data-provenance="${provenance}"`,
    );
  });

  it.each([
    [true, 'data-yanked=""'],
    ['a reason', 'data-yanked="a reason"'],
  ])('never drops that a file is yanked (%j) [S]', async (yanked, attribute) => {
    for (const mode of ['json', 'html'] as const) {
      const upstream = await stageUpstream({ mode, projects: { demo: [{ ...SDIST, yanked }] } });
      const html = await htmlPage(await startMirror({ upstreams: [upstream] }));
      expect(anchorOf(html, SDIST.filename)).toContain(attribute);
    }
  });

  it('says data-core-metadata true where no digest of it is known [S]', async () => {
    const upstream = await stageUpstream({ projects: { demo: [WHEEL] } });
    const wheel = {
      filename: WHEEL.filename,
      url: upstream.fileUrl(WHEEL.filename),
      hashes: { sha256: WHEEL.sha256 },
      size: WHEEL.content.length,
      'core-metadata': true,
      'gpg-sig': true,
    };
    setJsonPage(upstream, { meta: { 'api-version': '1.4' }, name: 'demo', files: [wheel] });
    const line = anchorOf(
      await htmlPage(await startMirror({ upstreams: [upstream] })),
      WHEEL.filename,
    );
    expect(line).toContain('data-dist-info-metadata="true" data-core-metadata="true"');
    expect(line).toContain('data-gpg-sig="true"');
  });

  it.each(['archived', 'deprecated'])('says that a project is %s, and why [S]', async (status) => {
    const upstream = await stageUpstream({ mode: 'html', projects: { demo: [SDIST] } });
    upstream.setStatus('demo', status, 'a < b');
    const html = await htmlPage(await startMirror({ upstreams: [upstream] }));
    expect(html).toContain(`<meta name="pypi:project-status" content="${status}">`);
    expect(html).toContain('<meta name="pypi:project-status-reason" content="a &lt; b">');
    expect(html).toContain(SDIST.filename);
  });

  it('keeps yanked, status and requires-python in the static mirror, too [S mirrors]', async () => {
    const upstream = await stageUpstream({ projects: { demo: [{ ...WHEEL, yanked: 'bad' }] } });
    upstream.setStatus('demo', 'archived', 'finished');
    const mirror = await startMirror({ upstreams: [upstream] });
    await mirror.page('demo');
    await hold(mirror, upstream.filePath(WHEEL.filename));
    await eventually(() => {
      const html = staticPage(mirror);
      expect(html).toContain('data-yanked="bad"');
      expect(html).toContain('data-requires-python="&gt;=3.8,&lt;4"');
    });
    await mirror.mirror.store.flushStaticPages();
    expect(staticPage(mirror)).toContain('content="archived"');
  });
});

describe('§4 a quarantined project', () => {
  it('offers nothing, and what is held of it is neither served nor in the static mirror [S][D]', async () => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST, WHEEL] } });
    const mirror = await startMirror({ upstreams: [upstream] });
    const path = upstream.filePath(SDIST.filename);
    await mirror.page('demo');
    await hold(mirror, path);
    await eventually(() => expect(staticPage(mirror)).toContain(SDIST.filename));
    upstream.setStatus('demo', 'quarantined', 'malware');
    upstream.setProject('demo', [SDIST, WHEEL]);
    skipFreshness(mirror);
    const page = await wholePage(mirror);
    expect(page.files).toEqual([]);
    expect(page['project-status']).toEqual({ status: 'quarantined', reason: 'malware' });
    expect(await htmlPage(mirror)).not.toContain('<a ');
    expect((await mirror.get(path)).status).toBe(403);
    expect((await mirror.get(upstream.filePath(WHEEL.filename))).status).toBe(403);
    expect(upstream.count(upstream.filePath(WHEEL.filename))).toBe(0);
    await mirror.mirror.store.flushStaticPages();
    expect(staticPage(mirror)).not.toContain(SDIST.filename);
  });

  it('that is released again offers its files again, without another fetch', async () => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST] } });
    const mirror = await startMirror({ upstreams: [upstream] });
    const path = upstream.filePath(SDIST.filename);
    await mirror.page('demo');
    await hold(mirror, path);
    upstream.setStatus('demo', 'quarantined');
    upstream.setProject('demo', []);
    skipFreshness(mirror);
    expect((await mirror.page('demo')).filenames).toEqual([]);
    upstream.setStatus('demo', 'active');
    upstream.setProject('demo', [SDIST]);
    skipFreshness(mirror);
    expect((await mirror.page('demo')).filenames).toEqual([SDIST.filename]);
    expect(sha256Of((await mirror.get(path)).body)).toBe(SDIST.sha256);
    expect(upstream.count(path)).toBe(1);
  });

  it('whose files vanish leaves them on no page, but lock files can still have them', async () => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST, WHEEL] } });
    const mirror = await startMirror({ upstreams: [upstream] });
    const path = upstream.filePath(SDIST.filename);
    await mirror.page('demo');
    await hold(mirror, path);
    upstream.setProject('demo', [WHEEL]);
    skipFreshness(mirror);
    expect((await mirror.page('demo')).filenames).toEqual([WHEEL.filename]);
    expect((await mirror.get(path)).status).toBe(200);
  });
});

function staticPage({ cacheDir }: TestMirror): string {
  const page = join(cacheDir, 'mirror', 'demo', 'index.html');
  return existsSync(page) ? readFileSync(page, 'utf8') : '';
}
