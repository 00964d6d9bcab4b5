import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { installedIn, pipInstall } from '../support/python-clients.ts';
import { setStage, wordsOf } from './stage.ts';

/** What passed between a client and the server. */
interface Exchange {
  readonly path: string;
  readonly status: number;
}

/** A plain reverse proxy that writes down each answer's status; `exchanges` is emptied by the test. */
async function recordTraffic(baseUrl: string): Promise<{ url: string; exchanges: Exchange[] }> {
  const exchanges: Exchange[] = [];
  const recorder = createServer((incoming, outgoing) => {
    const path = incoming.url ?? '/';
    const { method, headers } = incoming;
    const forwarded = request(new URL(path, baseUrl), { method: method ?? 'GET', headers });
    forwarded.on('response', (answer) => {
      exchanges.push({ path, status: answer.statusCode ?? 0 });
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => recorder.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void recorder.close());
  return { url: `http://127.0.0.1:${(recorder.address() as AddressInfo).port}`, exchanges };
}

it('lets a pip that trusts the host revalidate pages with 304 and keep files', async () => {
  const { set, folder, serve, freshPython } = await setStage();
  const { url, exchanges } = await recordTraffic((await serve()).baseUrl);
  const options = {
    indexUrl: `${url}/simple/`,
    args: ['--trusted-host', '127.0.0.1', ...set.requirements],
    clientCache: join(folder, 'pip-cache'),
  };

  const first = await pipInstall({ ...options, python: await freshPython() });
  expect(first.code, wordsOf(first)).toBe(0);
  expect(exchanges.map(({ status }) => status)).not.toContain(304);

  exchanges.length = 0;
  const python = await freshPython();
  const second = await pipInstall({ ...options, python });
  expect(second.code, wordsOf(second)).toBe(0);
  expect(await installedIn(python)).toEqual(set.installed);
  const pages = exchanges.filter(({ path }) => path.startsWith('/simple/'));
  expect(pages.length).toBeGreaterThan(30);
  expect(new Set(pages.map(({ status }) => status))).toEqual(new Set([304]));
  expect(exchanges.filter(({ path }) => path.endsWith('.whl'))).toEqual([]);
});
