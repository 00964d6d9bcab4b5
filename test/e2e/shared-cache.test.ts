import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { writeWheel } from '../support/wheel-writer.ts';
import { setStage } from './stage.ts';

/** The digest of `filename` as a client gets it that follows the project's page. */
async function downloadedDigest(indexUrl: string, filename: string): Promise<string> {
  const pageUrl = new URL('big-wheel/', indexUrl);
  const accept = 'application/vnd.pypi.simple.v1+json';
  const page = await fetch(pageUrl, { headers: { accept } });
  expect(page.status).toBe(200);
  const { files } = (await page.json()) as { files: { filename: string; url: string }[] };
  const link = files.find((file) => file.filename === filename)?.url ?? '';
  const answer = await fetch(new URL(link, pageUrl));
  expect(answer.status).toBe(200);
  const body = Buffer.from(await answer.arrayBuffer());
  return createHash('sha256').update(body).digest('hex');
}

it('fetches a cold file once for 20 clients of two servers on one cache folder', async () => {
  const { upstream, serve } = await setStage();
  const wheel = writeWheel({ name: 'big-wheel', version: '1.0', paddingBytes: 4_000_000 });
  upstream.setProject('big-wheel', [wheel]);
  const path = upstream.filePath(wheel.filename);
  // Slow enough that all clients ask before the first has the file.
  upstream.fault(path, { bytesPerSecond: 4_000_000 });
  const servers = [await serve(), await serve()];

  const digests = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      downloadedDigest(servers[index % servers.length]!.indexUrl, wheel.filename),
    ),
  );
  expect(new Set(digests)).toEqual(new Set([wheel.sha256]));
  expect(upstream.count(path, 'GET')).toBe(1);
});

it('lets the second server serve what the first one stored', async () => {
  const { upstream, serve } = await setStage();
  const wheel = writeWheel({ name: 'big-wheel', version: '1.0', paddingBytes: 10_000 });
  upstream.setProject('big-wheel', [wheel]);
  const first = await serve();
  const second = await serve();
  expect(await downloadedDigest(first.indexUrl, wheel.filename)).toBe(wheel.sha256);
  await upstream.down();
  expect(await downloadedDigest(second.indexUrl, wheel.filename)).toBe(wheel.sha256);
});
