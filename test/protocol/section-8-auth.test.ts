/** Credentials: ours towards upstreams; clients have none with us. */
import { describe, expect, it } from 'vitest';
import { stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import { writeSdist } from '../support/wheel-writer.ts';

const SDIST = writeSdist({ name: 'demo', version: '1.0' });
const SECRET = { username: '__token__', password: 'pa:ss@word' };

async function privateMirror(login: { username: string; password: string }): Promise<TestMirror> {
  const upstream = await stageUpstream({ projects: { demo: [SDIST] }, credentials: SECRET });
  const base = { name: 'pypi', url: upstream.indexUrl, fileHosts: null, projects: null };
  const upstreams = [{ ...base, layout: 'simple' as const, ...login }];
  return await startMirror({ upstreams: [], settings: { upstreams } });
}

describe('§8', () => {
  it('upstreams get Basic credentials at once, user __token__ included, pages and files [C]', async () => {
    const mirror = await privateMirror(SECRET);
    const { urls } = await mirror.page('demo');
    expect(sha256Of((await mirror.get(urls[SDIST.filename] ?? '')).body)).toBe(SDIST.sha256);
  });

  it('wrong credentials of ours never make a client be asked for its own [D]', async () => {
    const mirror = await privateMirror({ ...SECRET, password: 'wrong' });
    const { status, headers, text } = await mirror.get('/simple/demo/');
    expect(status).toBe(502);
    expect(headers).not.toHaveProperty('www-authenticate');
    expect(text).not.toContain('wrong');
  });

  it('credentials of a client are never passed on, and never needed [D]', async () => {
    const upstream = await stageUpstream({ projects: { demo: [SDIST] } });
    const mirror = await startMirror({ upstreams: [upstream] });
    const headers = { authorization: 'Basic dXNlcjpwYXNz', cookie: 'a=b' };
    const page = await mirror.get('/simple/demo/', { headers });
    expect(page.status).toBe(200);
    await mirror.get(upstream.filePath(SDIST.filename), { headers });
    for (const seen of upstream.requests) {
      expect(seen.headers).not.toHaveProperty('authorization');
      expect(seen.headers).not.toHaveProperty('cookie');
    }
  });

  it('files are on the origin of the page, by relative links: clients keep their password [C]', async () => {
    const files = await stageUpstream({ projects: { demo: [SDIST] } });
    const upstream = await stageUpstream({ filePrefix: files.origin });
    upstream.setProject('demo', [SDIST]);
    const base = { name: 'pypi', url: upstream.indexUrl, layout: 'simple' as const };
    const rest = { projects: null, username: null, password: null };
    const upstreams = [{ ...base, ...rest, fileHosts: [new URL(files.origin).host] }];
    const mirror = await startMirror({ upstreams: [], settings: { upstreams } });
    const { text } = await mirror.get('/simple/demo/');
    expect(/href="([^"]+)"/.exec(text)?.[1]).toMatch(/^\.\.\/\.\.\/packages\//);
    const { urls } = await mirror.page('demo');
    expect(sha256Of((await mirror.get(urls[SDIST.filename] ?? '')).body)).toBe(SDIST.sha256);
    expect(files.count(/packages/)).toBe(1);
  });
});
