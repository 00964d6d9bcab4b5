import SQLite from 'better-sqlite3';
import { expect, it, onTestFinished, vi } from 'vitest';
import { layoutOf } from '../../src/store/layout.ts';
import { runVerb } from '../support/verbs.ts';
import { writeWheel } from '../support/wheel-writer.ts';
import { setStage } from './stage.ts';

const LONGEST_STOP_MS = 5_000;

it.each(['SIGINT', 'SIGTERM'] as const)('stops cleanly and soon on %s', async (signal) => {
  const { serve } = await setStage();
  const server = await serve();
  // Leaves an idle connection open, as pip and uv do between requests.
  expect((await fetch(new URL('diamond/', server.indexUrl))).status).toBe(200);

  const startedAt = performance.now();
  server.kill(signal);
  expect(await server.ended).toEqual({ code: 0, signal: null });
  expect(performance.now() - startedAt).toBeLessThan(LONGEST_STOP_MS);
  expect(server.output.stderr).not.toMatch(/error/i);
  await expect(fetch(server.indexUrl)).rejects.toThrow();
});

it('stops soon although a download hangs', async () => {
  const { upstream, serve } = await setStage();
  const wheel = writeWheel({ name: 'stuck', version: '1.0', paddingBytes: 1_000_000 });
  upstream.setProject('stuck', [wheel]);
  upstream.fault(upstream.filePath(wheel.filename), { stallAfter: 100_000 });
  const server = await serve();
  const download = fetch(`${server.baseUrl}${upstream.filePath(wheel.filename)}`).then((answer) =>
    answer.arrayBuffer(),
  );
  const outcome = download.then(
    () => 'whole',
    () => 'broken',
  );
  await expect
    .poll(() => upstream.count(upstream.filePath(wheel.filename), 'GET'), { timeout: 10_000 })
    .toBe(1);

  const startedAt = performance.now();
  server.kill('SIGINT');
  const end = await server.ended;
  expect(performance.now() - startedAt).toBeLessThan(LONGEST_STOP_MS);
  expect(end.signal).toBeNull();
  expect(await outcome).toBe('broken');
});

it('serves again at once after being killed', async () => {
  const { set, upstream, serve } = await setStage();
  const wheel = set.projects['diamond']![0]!;
  const path = upstream.filePath(wheel.filename);
  const first = await serve();
  expect((await fetch(`${first.baseUrl}${path}`)).status).toBe(200);
  first.kill('SIGKILL');
  await first.ended;

  upstream.forget();
  const second = await serve();
  const answer = await fetch(`${second.baseUrl}${path}`);
  expect(Buffer.from(await answer.arrayBuffer()).equals(wheel.content)).toBe(true);
  expect(upstream.count(path, 'GET')).toBe(0);
});

it('may be held up with a page to write: verify waits for it', async () => {
  const { set, upstream, cacheDir, serve } = await setStage();
  const server = await serve();
  const wheel = set.projects['diamond']![0]!;
  const answer = await fetch(`${server.baseUrl}${upstream.filePath(wheel.filename)}`);
  await answer.arrayBuffer();
  const catalog = new SQLite(layoutOf(cacheDir).catalogFile, { readonly: true });
  onTestFinished(() => void catalog.close());
  const row = catalog.prepare('SELECT 1 FROM files');
  // From the commit to the page there are 200 ms.
  await vi.waitFor(() => expect(row.all()).toHaveLength(1), { timeout: 10_000, interval: 1 });
  server.kill('SIGSTOP');
  setTimeout(() => server.kill('SIGCONT'), 5_000);
  const { code, stdout } = await runVerb({ cacheDir, indexUrl: upstream.indexUrl }, 'verify');
  expect([code, stdout]).toEqual([0, expect.stringContaining('all is well')]);
});
