import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { UpstreamUnreachableError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { parseProjectName } from '../../src/packaging/names.ts';
import { createTransport, createUpstream } from '../../src/upstream/upstream.ts';
import type { Transport, Upstream } from '../../src/upstream/upstream.ts';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';

const demo = parseProjectName('demo')!;
const FILENAME = 'demo-1.0.tar.gz';
const projects = { demo: [{ filename: FILENAME, content: Buffer.from('bytes') }] };

let index: FakeUpstream;
let files: FakeUpstream;
let transport: Transport;
let upstream: Upstream;

beforeEach(async () => {
  index = await startFakeUpstream({ projects });
  files = await startFakeUpstream({ projects });
  transport = createTransport({ connectTimeoutMs: 300 });
  upstream = createUpstream(
    {
      name: 'fake',
      url: index.indexUrl,
      fileHosts: [`127.0.0.1:${files.port}`],
      reachability: { cutOffAfterMs: 100, probeAfterMs: 40, probeWaitMs: 200, longestPauseMs: 100 },
    },
    transport,
    { clock: systemClock, log: silentLogger },
  );
});
afterEach(async () => {
  upstream.close();
  await transport.close();
  await Promise.all([index.close(), files.close()]);
});

function switched(): Promise<string> {
  return new Promise((resolve) => {
    const stop = upstream.reachability.onSwitch((state) => {
      stop();
      resolve(state);
    });
  });
}

async function failsUnreachable(work: Promise<unknown>): Promise<number> {
  const before = performance.now();
  await expect(work).rejects.toBeInstanceOf(UpstreamUnreachableError);
  return performance.now() - before;
}

it('notices by itself that it is cut off, fails at once meanwhile, and notices the end', async () => {
  await upstream.fetchPage(demo, null);
  await index.down();
  const cutOff = switched();
  await failsUnreachable(upstream.fetchPage(demo, null));
  expect(upstream.reachability.state).toBe('up');
  const opened = transport.connectionsOpened;
  const waits = await Promise.all(
    Array.from({ length: 10 }, () => failsUnreachable(upstream.fetchPage(demo, null))),
  );
  expect(Math.max(...waits)).toBeLessThan(300);
  expect(transport.connectionsOpened).toBe(opened);
  expect(await cutOff).toBe('cut-off');

  const back = switched();
  await index.up();
  expect(await back).toBe('up');
  expect((await upstream.fetchPage(demo, null)).kind).toBe('page');
});

it('lets the next call through as soon as the upstream is back', async () => {
  await index.down();
  await failsUnreachable(upstream.fetchPage(demo, null));
  await index.up();
  await expect
    .poll(async () => {
      const answer = await upstream.fetchPage(demo, null);
      return answer.kind;
    })
    .toBe('page');
  expect(upstream.reachability.state).toBe('up');
});

it('is not cut off by a file host that is down', async () => {
  await files.down();
  const url = files.fileUrl(FILENAME);
  await failsUnreachable(upstream.openFile(url));
  expect((await upstream.fetchPage(demo, null)).kind).toBe('page');
  await new Promise((resolve) => setTimeout(resolve, 120));
  await failsUnreachable(upstream.openFile(url));
  expect(upstream.reachability.state).toBe('up');
});

it('does not wait for the file host while the index is cut off', async () => {
  await Promise.all([index.down(), files.down()]);
  const cutOff = switched();
  await failsUnreachable(upstream.fetchPage(demo, null));
  await cutOff;
  const opened = transport.connectionsOpened;
  await failsUnreachable(upstream.openFile(files.fileUrl(FILENAME)));
  expect(transport.connectionsOpened).toBeLessThanOrEqual(opened + 1);
});
