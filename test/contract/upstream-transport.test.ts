import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import {
  InvalidUpstreamAnswerError,
  NotHeldOfflineError,
  UpstreamUnavailableError,
  UpstreamUnreachableError,
} from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { parseProjectName } from '../../src/packaging/names.ts';
import { createTransport, createUpstream } from '../../src/upstream/upstream.ts';
import type {
  Transport,
  TransportOptions,
  Upstream,
  UpstreamOptions,
} from '../../src/upstream/upstream.ts';
import { startFakeProxy } from '../support/fake-proxy.ts';
import type { FakeProxy } from '../support/fake-proxy.ts';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { makePrivateAuthority } from '../support/private-authority.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import type { TempFolder } from '../support/temp-folder.ts';

const demo = parseProjectName('demo')!;
const FILENAME = 'demo-1.0.tar.gz';
const projects = { demo: [{ filename: FILENAME, content: Buffer.from('bytes') }] };

let folder: TempFolder;
let closers: (() => unknown)[] = [];
beforeEach(async () => {
  folder = await makeTempFolder();
  closers = [() => folder.remove()];
});
afterEach(async () => {
  for (const close of closers.toReversed()) await close();
});

function closing<T extends { close(): unknown }>(thing: T): T {
  closers.push(() => thing.close());
  return thing;
}

function ask(
  url: string,
  transportOptions: TransportOptions = {},
  options: Partial<UpstreamOptions> = {},
): { upstream: Upstream; transport: Transport } {
  const transport = closing(createTransport({ connectTimeoutMs: 300, ...transportOptions }));
  const env = { clock: systemClock, log: silentLogger };
  const upstream = closing(
    createUpstream({ name: 'fake', url, retries: 0, ...options }, transport, env),
  );
  return { upstream, transport };
}

async function startTls(name?: string): Promise<{ fake: FakeUpstream; caFile: string }> {
  const authority = makePrivateAuthority(folder.path, name);
  const fake = closing(await startFakeUpstream({ projects, tls: authority }));
  return { fake, caFile: authority.caFile };
}

describe('failing to connect', () => {
  it('is "unreachable" when refused', async () => {
    const fake = await startFakeUpstream();
    await fake.close();
    const asking = ask(fake.indexUrl).upstream.fetchPage(demo, null);
    await expect(asking).rejects.toBeInstanceOf(UpstreamUnreachableError);
  });

  it('is "unreachable" when the name is unknown', async () => {
    const asking = ask('http://no-such-host.invalid/simple/').upstream.fetchPage(demo, null);
    await expect(asking).rejects.toBeInstanceOf(UpstreamUnreachableError);
  });

  it('is "unreachable" when nobody completes the handshake in time', async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    closers.push(() => silent.close());
    const { port } = silent.address() as AddressInfo;
    const before = Date.now();
    const asking = ask(`https://127.0.0.1:${port}/simple/`).upstream.fetchPage(demo, null);
    await expect(asking).rejects.toBeInstanceOf(UpstreamUnreachableError);
    expect(Date.now() - before).toBeLessThan(2_000);
  });

  it('is not an upstream that accepts and never answers', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    fake.blackhole();
    const asking = ask(fake.indexUrl, {}, { headersTimeoutMs: 100 }).upstream.fetchPage(demo, null);
    await expect(asking).rejects.toBeInstanceOf(UpstreamUnavailableError);
    await expect(asking).rejects.not.toBeInstanceOf(UpstreamUnreachableError);
  });
});

describe('the connections', () => {
  it('are kept and used again', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    const { upstream, transport } = ask(fake.indexUrl);
    for (let round = 0; round < 5; round++) await upstream.fetchPage(demo, null);
    expect(fake.connections).toBe(1);
    expect(transport.connectionsOpened).toBe(1);
  });

  it('are at most as many as allowed', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    fake.fault('*', { delayMs: 20 });
    const { upstream } = ask(fake.indexUrl, { connectionsPerHost: 3 });
    await Promise.all(Array.from({ length: 12 }, () => upstream.fetchPage(demo, null)));
    expect(fake.connections).toBe(3);
  });

  it('can be opened before there is anything to ask, and are taken then', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    const { upstream, transport } = ask(fake.indexUrl);
    upstream.warm(3);
    await expect.poll(() => fake.connections).toBe(3);
    upstream.warm(3);
    await Promise.all([1, 2, 3].map(() => upstream.fetchPage(demo, null)));
    await pause(50);
    expect([fake.connections, transport.connectionsOpened]).toEqual([3, 3]);
  });

  it('to the hosts of files are opened as well, once those are known', async () => {
    const [fake, files] = [
      closing(await startFakeUpstream()),
      closing(await startFakeUpstream({ projects })),
    ];
    const { upstream } = ask(fake.indexUrl, {}, { fileHosts: [`127.0.0.1:${files.port}`] });
    upstream.warm(2);
    await expect.poll(() => [fake.connections, files.connections]).toEqual([2, 2]);
    (await upstream.openFile(files.fileUrl(FILENAME))).cancel();
    expect(files.connections).toBe(2);
  });

  it('that the server has closed meanwhile are not taken', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    const { upstream } = ask(fake.indexUrl);
    upstream.warm(2);
    await expect.poll(() => fake.connections).toBe(2);
    await fake.down();
    await fake.up();
    await pause(50);
    expect((await upstream.fetchPage(demo, null)).kind).toBe('page');
  });

  it('that nobody has asked for are no failure, and none are opened offline', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    const { port } = fake;
    const there = ask(fake.indexUrl, { offline: true }).upstream;
    there.warm(2);
    await fake.down();
    const gone = ask(`http://127.0.0.1:${port}/simple/`).upstream;
    gone.warm(2);
    await pause(100);
    expect(fake.connections).toBe(0);
    expect([gone.reachability.state, gone.stats().failures]).toEqual(['up', 0]);
  });

  it('are none at all when offline by choice', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    const { upstream, transport } = ask(fake.indexUrl, { offline: true });
    const page = upstream.fetchPage(demo, null);
    await expect(page).rejects.toBeInstanceOf(NotHeldOfflineError);
    const file = upstream.openFile(fake.fileUrl(FILENAME));
    await expect(file).rejects.toBeInstanceOf(NotHeldOfflineError);
    expect([transport.connectionsOpened, fake.connections]).toEqual([0, 0]);
  });
});

describe('TLS', () => {
  it('fails with a server that nobody vouches for, and never falls back', async () => {
    const { fake } = await startTls();
    const { upstream } = ask(fake.indexUrl);
    const asking = upstream.fetchPage(demo, null);
    await expect(asking).rejects.toBeInstanceOf(InvalidUpstreamAnswerError);
    await expect(asking).rejects.toMatchObject({ hint: expect.stringContaining('ca_file') });
    expect(upstream.reachability.state).toBe('up');
    expect(fake.requests).toHaveLength(0);
  });

  it('fails with a server of another name', async () => {
    const { fake, caFile } = await startTls('DNS:elsewhere.example');
    const asking = ask(fake.indexUrl, { caFile }).upstream.fetchPage(demo, null);
    await expect(asking).rejects.toBeInstanceOf(InvalidUpstreamAnswerError);
  });

  it('fails with a server that speaks plain HTTP', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    const asking = ask(fake.indexUrl.replace('http:', 'https:')).upstream.fetchPage(demo, null);
    await expect(asking).rejects.toBeInstanceOf(InvalidUpstreamAnswerError);
  });

  it.each([
    'SSL_CERT_FILE',
    'REQUESTS_CA_BUNDLE',
    'PIP_CERT',
    'NODE_EXTRA_CA_CERTS',
    'SSL_CERT_DIR',
  ])('trusts the authority that %s names', async (variable) => {
    const { fake, caFile } = await startTls();
    const value = variable === 'SSL_CERT_DIR' ? folder.path : caFile;
    const { upstream } = ask(fake.indexUrl, { environment: { [variable]: value } });
    expect((await upstream.fetchPage(demo, null)).kind).toBe('page');
  });

  it('trusts the configured authority, for pages and files, and refuses a downgrade', async () => {
    const { fake, caFile } = await startTls();
    const { upstream } = ask(fake.indexUrl, { caFile });
    expect((await upstream.fetchPage(demo, null)).kind).toBe('page');
    (await upstream.openFile(fake.fileUrl(FILENAME))).cancel();
    const plain = fake.indexUrl.replace('https:', 'http:');
    expect(upstream.mayFetch(plain)).toBe(false);
    fake.fault('*', { redirectTo: `${plain}demo/` });
    await expect(upstream.fetchPage(demo, null)).rejects.toThrow('from https');
  });

  it('goes on with a bundle that is missing or broken', async () => {
    const { fake, caFile } = await startTls();
    const broken = join(folder.path, 'broken.crt');
    await writeFile(broken, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    const environment = { SSL_CERT_FILE: '/nowhere/at/all.pem', PIP_CERT: broken };
    const { upstream } = ask(fake.indexUrl, { caFile, environment });
    expect((await upstream.fetchPage(demo, null)).kind).toBe('page');
  });
});

describe('a proxy', () => {
  let proxy: FakeProxy;
  beforeEach(async () => {
    proxy = closing(await startFakeProxy());
  });

  it('is used for pages and files over http, by whole URL', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    const { upstream } = ask(fake.indexUrl, { environment: { http_proxy: proxy.url } });
    expect((await upstream.fetchPage(demo, null)).kind).toBe('page');
    const file = await upstream.openFile(fake.fileUrl(FILENAME));
    for await (const piece of file.body) expect(Buffer.from(piece).toString()).toBe('bytes');
    upstream.warm(3);
    await pause(50);
    expect(fake.connections).toBeLessThanOrEqual(2);
    expect(proxy.forwarded).toEqual([`${fake.indexUrl}demo/`, fake.fileUrl(FILENAME)]);
    expect(proxy.tunnels).toEqual([]);
  });

  it('is used for pages and files over https, by tunnel, with its own login', async () => {
    const { fake, caFile } = await startTls();
    const address = proxy.url.replace('//', '//ana:s%20ecret@');
    const environment = { ALL_PROXY: address, SSL_CERT_FILE: caFile };
    const { upstream } = ask(fake.indexUrl, { environment });
    expect((await upstream.fetchPage(demo, null)).kind).toBe('page');
    (await upstream.openFile(fake.fileUrl(FILENAME))).cancel();
    expect(new Set(proxy.tunnels)).toEqual(new Set([`127.0.0.1:${fake.port}`]));
    const login = `Basic ${Buffer.from('ana:s ecret').toString('base64')}`;
    expect(new Set(proxy.authorizations)).toEqual(new Set([login]));
    expect(fake.requests[0]?.headers['proxy-authorization']).toBeUndefined();
  });

  it('is not used for hosts in NO_PROXY', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    const environment = { HTTP_PROXY: proxy.url, NO_PROXY: 'example.org, 127.0.0.0/8' };
    await ask(fake.indexUrl, { environment }).upstream.fetchPage(demo, null);
    expect(proxy.forwarded).toEqual([]);
  });

  it('that refuses makes an invalid answer, one in trouble an unavailable upstream', async () => {
    const { fake, caFile } = await startTls();
    const environment = { https_proxy: proxy.url };
    for (const [status, expected] of [
      [407, InvalidUpstreamAnswerError],
      [502, UpstreamUnavailableError],
    ] as const) {
      proxy.refusal = status;
      const { upstream } = ask(fake.indexUrl, { environment, caFile });
      const asking = upstream.fetchPage(demo, null);
      await expect(asking).rejects.toBeInstanceOf(expected);
      await expect(asking).rejects.not.toBeInstanceOf(UpstreamUnreachableError);
    }
  });

  it('that is not there makes the upstream unreachable', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    const environment = { http_proxy: 'http://127.0.0.1:1' };
    const asking = ask(fake.indexUrl, { environment }).upstream.fetchPage(demo, null);
    await expect(asking).rejects.toBeInstanceOf(UpstreamUnreachableError);
  });
});

describe('netrc', () => {
  it('gives the login of the index host', async () => {
    const fake = closing(await startFakeUpstream({ projects }));
    fake.behaviour.credentials = { username: 'ana', password: 'geheim' };
    const netrcPath = join(folder.path, 'netrc');
    await writeFile(netrcPath, 'machine 127.0.0.1 login ana password geheim\n');
    const { upstream } = ask(fake.indexUrl, {}, { netrcPath });
    expect((await upstream.fetchPage(demo, null)).kind).toBe('page');
    const without = ask(fake.indexUrl, {}, { netrcPath: join(folder.path, 'none') });
    await expect(without.upstream.fetchPage(demo, null)).rejects.toThrow('401');
  });
});
