import { request as httpRequest } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { sha256Of, startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeFile, FakeUpstream } from '../support/fake-upstream.ts';

const content = Buffer.from('0123456789'.repeat(20_000));
const file: FakeFile = { filename: 'demo-1.0.tar.gz', content, metadata: 'Name: demo\n' };

let upstream: FakeUpstream;
afterEach(() => upstream.close());

async function start(): Promise<FakeUpstream> {
  upstream = await startFakeUpstream({ projects: { demo: [file] } });
  return upstream;
}

interface Got {
  readonly status: number;
  readonly body: Buffer;
  readonly cut: boolean;
}

/** A client without any cleverness, so that what it sees is what was sent. */
function get(url: string, headers: Record<string, string> = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(url, { headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      const done = (cut: boolean): void =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks), cut });
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => done(false));
      response.on('error', () => done(true));
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('the fake upstream', () => {
  it('lists its files in both forms, with links that lead to the bytes', async () => {
    const { origin } = await start();
    const json = await get(`${origin}/simple/demo/`, {
      accept: 'application/vnd.pypi.simple.v1+json',
    });
    const page = JSON.parse(json.body.toString()) as {
      files: { url: string; hashes: { sha256: string } }[];
    };
    expect(page.files[0]?.hashes.sha256).toBe(sha256Of(content));
    const url = new URL(page.files[0]?.url ?? '', `${origin}/simple/demo/`).href;
    expect((await get(url)).body.equals(content)).toBe(true);
    expect((await get(`${url}.metadata`)).body.toString()).toBe('Name: demo\n');
    const html = await get(`${origin}/simple/demo/`, { accept: 'text/html' });
    expect(html.body.toString()).toContain(`.tar.gz#sha256=${sha256Of(content)}`);
    expect(upstream.count('/simple/demo/')).toBe(2);
  });

  it('answers ranges, and 416 beyond the end', async () => {
    await start();
    const url = upstream.fileUrl(file.filename);
    const middle = await get(url, { range: 'bytes=5-14' });
    expect([middle.status, middle.body.toString()]).toEqual([206, '5678901234']);
    expect((await get(url, { range: 'bytes=-3' })).body.toString()).toBe('789');
    expect((await get(url, { range: `bytes=${content.length}-` })).status).toBe(416);
  });

  it.each(['reset', 'close', 'chunked'] as const)('cuts a body with %s', async (cutWith) => {
    await start();
    const path = upstream.filePath(file.filename);
    upstream.fault(path, { cutAfter: 150_000, cutWith, times: 1 });
    const got = await get(upstream.origin + path);
    expect(got.cut).toBe(cutWith !== 'chunked');
    if (cutWith !== 'reset') expect(got.body.length).toBe(150_000);
    expect((await get(upstream.origin + path)).body.length).toBe(content.length);
  });

  it('flips one byte of the file, also within a range', async () => {
    await start();
    upstream.fault('*', { flipByteAt: 7 });
    const got = await get(upstream.fileUrl(file.filename), { range: 'bytes=5-9' });
    expect(got.body[2]).toBe('7'.charCodeAt(0) ^ 0xff);
  });

  it('refuses connections while down and has the same port again afterwards', async () => {
    const { indexUrl } = await start();
    await upstream.down();
    await expect(get(indexUrl)).rejects.toThrow('ECONNREFUSED');
    await upstream.up();
    expect((await get(indexUrl)).status).toBe(200);
  });

  it('replaces statuses, redirects and lies about lengths', async () => {
    await start();
    const url = upstream.fileUrl(file.filename);
    const undo = upstream.fault('*', { status: 503, headers: { 'retry-after': '1' } });
    expect((await get(url)).status).toBe(503);
    undo();
    upstream.fault(/\/packages\//, { redirectTo: 'http://127.0.0.1:1/' });
    expect((await get(url)).status).toBe(302);
    upstream.clearFaults();
    upstream.fault('*', { contentLengthShift: 5 });
    expect((await get(url)).cut).toBe(true);
  });
});
