/** The configurations that `wheelcellar nginx-config` prints, run by the real nginx. */
import { symlinkSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { startFakeUpstream, sha256Of } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { ask, sendRaw } from '../support/http-client.ts';
import { freePort, missingNginx, startNginx } from '../support/nginx.ts';
import { installedIn, makeVirtualEnvironment, pipInstall } from '../support/python-clients.ts';
import { runCommand } from '../support/run-command.ts';
import { sampleSet } from '../support/sample-set.ts';
import { startServer } from '../support/server-process.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import type { WrittenFile } from '../support/wheel-writer.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));
const MISSING = missingNginx();
const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';
const DIAMOND = ['diamond-bottom==1.5', 'diamond-left==1.0', 'diamond-right==1.0', 'diamond==1.0'];
/** More than all buffers between a disk and a client that does not read. */
const LARGE = writeSdist({ name: 'large', version: '1.0', paddingBytes: 40_000_000 });
const PLUS = writeWheel({ name: 'plus', version: '1.0+cpu', paddingBytes: 70_000 });

interface Stage {
  readonly folder: string;
  readonly upstream: FakeUpstream;
  readonly server: ServerProcess;
  /** Prints a configuration for nginx on `port` and runs it. */
  readonly front: (...flags: string[]) => Promise<string>;
  readonly verb: (...args: string[]) => Promise<string>;
  readonly path: (file: WrittenFile) => string;
}

async function setStage(): Promise<Stage> {
  const folder = await makeTempFolder('wheelcellar-nginx-');
  onTestFinished(() => folder.remove());
  const projects = { ...sampleSet().projects, large: [LARGE], plus: [PLUS] };
  const upstream = await startFakeUpstream({ projects });
  onTestFinished(() => upstream.close());
  const cacheDir = join(folder.path, 'cache');
  const env = { WHEELCELLAR_ACCEL_REDIRECT: '/held-files/' };
  const args = ['--index-url', upstream.indexUrl];
  const server = await startServer({ cacheDir, env, args });
  onTestFinished(async () => {
    server.kill('SIGCONT');
    await server.stop();
  });
  const listen = new URL(server.baseUrl).host;
  const verb = async (...args: string[]): Promise<string> => {
    const common = ['--cache-dir', cacheDir];
    const result = await runCommand(process.execPath, [PROGRAM, ...args, ...common], {
      env: { PATH: process.env['PATH'], HOME: folder.path, ...env, WHEELCELLAR_LISTEN: listen },
    });
    expect(result.code, result.stderr).toBe(0);
    return result.stdout;
  };
  let fronts = 0;
  return {
    folder: folder.path,
    upstream,
    server,
    verb,
    front: async (...flags) => {
      const port = await freePort();
      const text = await verb('nginx-config', '--front', `127.0.0.1:${port}`, ...flags);
      return await startNginx(text, join(folder.path, `nginx-${++fronts}`), port);
    },
    path: (file) => upstream.filePath(file.filename),
  };
}

async function installDiamond(folder: string, origin: string, name: string): Promise<void> {
  const { python } = await makeVirtualEnvironment(join(folder, name));
  const args = ['--no-cache-dir', 'diamond'];
  const result = await pipInstall({ python, indexUrl: `${origin}/simple/`, args });
  expect(result.code, `${result.stdout}\n${result.stderr}`).toBe(0);
  expect(await installedIn(python)).toEqual(DIAMOND);
}

/** Asks for a file until it is held: from then on nginx may send it. */
async function holdThrough(origin: string, path: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const { headers } = await ask(origin, path, { headers: { range: 'bytes=0-0' } });
      expect(headers['cache-status']).toBe('wheelcellar; hit');
    },
    { timeout: 20_000, interval: 50 },
  );
}

const ESCAPES = [
  '/../state-v1/catalog.sqlite',
  '/packages/../../state-v1/catalog.sqlite',
  '/packages/%2e%2e/%2e%2e/state-v1/catalog.sqlite',
  '/packages/..%2f..%2fstate-v1/catalog.sqlite',
  '/held-files/../state-v1/catalog.sqlite',
  '/held-files/index.html',
  '/held-files/packages/',
  '/held-files../state-v1/catalog.sqlite',
  '//held-files/index.html',
  '/packages/%2e%2e/held-files/index.html',
];

async function expectNoEscape(origin: string): Promise<void> {
  for (const target of ESCAPES) {
    const { host } = new URL(origin);
    const request = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
    const received = await sendRaw(origin, request);
    expect(received.slice(9, 12), target).toMatch(/400|404/);
    expect(received).not.toContain('SQLite format');
  }
}

async function expectFile(origin: string, path: string, file: WrittenFile): Promise<void> {
  const whole = await ask(origin, path);
  expect([whole.status, sha256Of(whole.body)]).toEqual([200, file.sha256]);
  expect(whole.headers).toMatchObject({
    'cache-control': 'public, max-age=31536000, immutable',
    'content-type': 'application/octet-stream',
    'content-length': String(file.content.length),
    'accept-ranges': 'bytes',
    'x-content-type-options': 'nosniff',
  });
  const etag = String(whole.headers.etag);
  const head = await ask(origin, path, { method: 'HEAD' });
  expect([
    head.status,
    head.headers['content-length'],
    head.headers.etag,
    head.body.length,
  ]).toEqual([200, String(file.content.length), etag, 0]);
  const size = file.content.length;
  for (const [range, start, end] of [
    ['bytes=100-299', 100, 300],
    ['bytes=-50', size - 50, size],
    [`bytes=${size - 10}-`, size - 10, size],
  ] as const) {
    for (const more of [{}, { 'if-range': etag }]) {
      const part = await ask(origin, path, { headers: { range, ...more } });
      expect([part.status, part.headers['content-range'], part.headers.etag]).toEqual([
        206,
        `bytes ${start}-${end - 1}/${size}`,
        etag,
      ]);
      expect(part.body.equals(file.content.subarray(start, end))).toBe(true);
    }
  }
  const other = await ask(origin, path, { headers: { range: 'bytes=0-9', 'if-range': '"other"' } });
  expect([other.status, other.body.length]).toEqual([200, size]);
  const several = await ask(origin, path, { headers: { range: 'bytes=0-1,50-60' } });
  expect([several.status, several.body.length]).toEqual([200, size]);
  const beyond = await ask(origin, path, { headers: { range: `bytes=${size}-` } });
  expect([beyond.status, beyond.headers['content-range']]).toEqual([416, `bytes */${size}`]);
  const known = await ask(origin, path, { headers: { 'if-none-match': etag } });
  expect([known.status, known.headers.etag, known.body.length]).toEqual([304, etag, 0]);
}

describe.skipIf(MISSING !== null)(
  `nginx in front${MISSING === null ? '' : ` (skipped: ${MISSING})`}`,
  () => {
    it('installs by pip, cold and held', async () => {
      const { folder, front, upstream } = await setStage();
      const origin = await front();
      await installDiamond(folder, origin, 'cold');
      await installDiamond(folder, origin, 'held');
      expect(upstream.count(/diamond.*\.whl$/)).toBe(4);
    });

    it('gives held files as the server does: tags, ranges, conditions', async () => {
      const { front, path, server, upstream } = await setStage();
      const origin = await front();
      await holdThrough(origin, path(PLUS));
      await expectFile(origin, path(PLUS), PLUS);
      const { headers } = await ask(origin, path(PLUS));
      expect(headers).toMatchObject({
        etag: `"sha256-${PLUS.sha256}"`,
        'cache-status': 'wheelcellar; hit',
      });
      expect(headers).not.toHaveProperty('last-modified');
      // Who asks the server itself has no nginx to read the file.
      const direct = await ask(server.baseUrl, path(PLUS));
      expect(sha256Of(direct.body)).toBe(PLUS.sha256);
      const metadata = await ask(origin, `${path(PLUS)}.metadata`);
      expect([metadata.headers['content-type'], metadata.text]).toEqual([
        'text/plain; charset=utf-8',
        PLUS.metadata,
      ]);
      expect(upstream.count(path(PLUS), 'GET')).toBe(1);
    });

    it('sends the bytes itself: the server may stand still meanwhile', async () => {
      const { front, path, server } = await setStage();
      const origin = await front();
      await ask(origin, path(LARGE));
      await holdThrough(origin, path(LARGE));
      const body = await new Promise<Buffer>((resolve, reject) => {
        httpGet(`${origin}${path(LARGE)}`, { agent: false }, (response) => {
          server.kill('SIGSTOP');
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => resolve(Buffer.concat(chunks)));
          response.on('error', reject);
        }).on('error', reject);
      });
      server.kill('SIGCONT');
      expect(sha256Of(body)).toBe(LARGE.sha256);
    });

    it('lets nobody out of the mirror, nor in without being sent', async () => {
      const { front, path } = await setStage();
      const origin = await front();
      await holdThrough(origin, path(PLUS));
      await expectNoEscape(origin);
      const inside = path(PLUS).replace('/packages/', '/held-files/packages/');
      expect((await ask(origin, inside)).status).toBe(404);
    });

    it('refuses a file within a second of its being withheld', async () => {
      const { front, path, upstream, verb } = await setStage();
      const origin = await front();
      await holdThrough(origin, path(PLUS));
      expect((await ask(origin, path(PLUS))).status).toBe(200);
      upstream.setStatus('plus', 'quarantined');
      await verb('refresh', 'plus', '--index-url', upstream.indexUrl);
      await vi.waitFor(async () => expect((await ask(origin, path(PLUS))).status).toBe(403), 1_500);
    });

    it('breaks off what the upstream gave wrong, as the server does', async () => {
      const { front, path, upstream } = await setStage();
      const origin = await front();
      upstream.fault(path(LARGE), { flipByteAt: 20_000_000 });
      await expect(ask(origin, path(LARGE))).rejects.toThrow();
    });
  },
);

describe.skipIf(MISSING !== null)(
  `nginx alone${MISSING === null ? '' : ` (skipped: ${MISSING})`}`,
  () => {
    it('installs by pip from what is held, with no server running', async () => {
      const { folder, front, server, upstream } = await setStage();
      await installDiamond(folder, server.baseUrl, 'before');
      await server.stop();
      await upstream.down();
      const origin = await front('--static');
      await installDiamond(folder, origin, 'after');
    });

    it('gives pages as JSON and as HTML, files with ranges and conditions, and nothing else', async () => {
      const { folder, front, server, path } = await setStage();
      await holdThrough(server.baseUrl, path(PLUS));
      await ask(server.baseUrl, `${path(PLUS)}.metadata`);
      const page = join(folder, 'cache', 'mirror', 'plus');
      await vi.waitFor(async () => expect((await runCommand('ls', [page])).code).toBe(0), 5_000);
      await server.stop();
      const origin = await front('--static');
      for (const target of ['/simple/plus/', '/plus/']) {
        const types = async (accept?: string): Promise<unknown[]> => {
          const options = accept === undefined ? {} : { headers: { accept } };
          const { status, headers } = await ask(origin, target, options);
          return [status, headers['content-type'], headers.vary];
        };
        const html = [200, 'text/html; charset=utf-8', 'Accept, Accept-Encoding'];
        const json = [200, JSON_TYPE, 'Accept, Accept-Encoding'];
        expect(await types()).toEqual(html);
        expect(await types('text/html')).toEqual(html);
        expect(await types(`${JSON_TYPE};q=0, text/html`)).toEqual(html);
        expect(await types(`${JSON_TYPE}, ${JSON_TYPE.replace('json', 'html')}; q=0.1`)).toEqual(
          json,
        );
      }
      const { files } = JSON.parse(
        (await ask(origin, '/simple/plus/', { headers: { accept: JSON_TYPE } })).text,
      ) as { files: { url: string }[] };
      const { pathname } = new URL(files[0]?.url ?? '', `${origin}/simple/plus/`);
      await expectFile(origin, pathname, PLUS);
      const metadata = await ask(origin, `${pathname}.metadata`);
      expect([metadata.status, metadata.headers['content-type'], metadata.text]).toEqual([
        200,
        'text/plain; charset=utf-8',
        PLUS.metadata,
      ]);
      for (const target of ['/simple/none/', '/packages/', '/packages/aa/', '/plus/x']) {
        expect([target, (await ask(origin, target)).status]).toEqual([target, 404]);
      }
      const redirect = await ask(origin, '/simple/plus');
      expect([redirect.status, redirect.headers.location]).toEqual([301, '/plus/']);
      symlinkSync('/etc/passwd', join(folder, 'cache', 'mirror', 'plus', 'passwd'));
      expect((await ask(origin, '/plus/passwd')).status).toBe(404);
      await expectNoEscape(origin);
    });
  },
);
