import { request as askPlain } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { readFile } from 'node:fs/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { makePrivateAuthority } from '../support/private-authority.ts';
import type { PrivateAuthority } from '../support/private-authority.ts';
import { runCommand } from '../support/run-command.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { makeOverlay, originsOf, setImageStage } from './image-stage.ts';
import { skipImages } from './image-tools.ts';

const { isSkipped, why } = skipImages();

const USER = 'builder';
const PASSWORD = 'sehr-geheim-4711';

/** Something like nginx before the mirror: TLS, and a password for everything. The port it listens on. */
async function startFront(authority: PrivateAuthority, server: ServerProcess): Promise<number> {
  const expected = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`;
  const front = createServer(authority, (request: IncomingMessage, response: ServerResponse) => {
    if (request.headers.authorization !== expected) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="mirror"' }).end();
      return;
    }
    const { host: _host, authorization: _authorization, ...headers } = request.headers;
    const onward = askPlain(`${server.baseUrl}${request.url ?? '/'}`, { headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    onward.end();
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    front.closeAllConnections();
    front.close();
  });
  return (front.address() as AddressInfo).port;
}

describe.skipIf(isSkipped)(`images from an https mirror with a private authority${why}`, () => {
  it('take all from it, and keep its password out of log and image', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const authority = makePrivateAuthority(stage.folder, 'DNS:mirror.test');
    const port = await startFront(authority, server);
    const overlay = await makeOverlay(stage.folder, {
      'etc/ssl/certs/ca-certificates.crt': await readFile(authority.caFile, 'utf8'),
    });
    const env = {
      DIB_PYPI_MIRROR_URL: `https://${USER}:${PASSWORD}@mirror.test:${port}/simple/`,
      DIB_NO_PYPI_PIP: '1',
      PROBE_HOSTS: '127.0.0.1 mirror.test',
      PROBE_OVERLAY: overlay,
    };
    const elements = ['pypi', 'pip-cache', 'manifests'];
    const image = await stage.build({ name: 'private authority', env, elements });
    expect(image.code, image.log.slice(-4_000)).toBe(0);
    for (const report of ['pip', 'image-pip', 'uv', 'late']) {
      const origins = originsOf(await image.sources(report));
      expect([report, ...origins]).toEqual([report, `https://mirror.test:${port}`]);
    }
    expect(await image.read('opt/probe/pip.conf')).not.toContain('trusted-host');
    expect(await image.read('etc/dib-manifests/dib_environment')).toContain('***@mirror.test');
    expect(image.log).toContain('***@mirror.test');
    expect(image.log).not.toContain(PASSWORD);
    expect(await imageHolds('***@mirror.test', image.imagePath)).toBe(true);
    expect(await imageHolds(PASSWORD, image.imagePath)).toBe(false);
  });

  it('fail when the image does not know the authority: certificates are checked', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const authority = makePrivateAuthority(stage.folder, 'DNS:mirror.test');
    const port = await startFront(authority, server);
    const env = {
      DIB_PYPI_MIRROR_URL: `https://${USER}:${PASSWORD}@mirror.test:${port}/simple/`,
      DIB_NO_PYPI_PIP: '1',
      DIB_PIP_RETRIES: '0',
      PROBE_HOSTS: '127.0.0.1 mirror.test',
    };
    const image = await stage.build({ name: 'unknown authority', env, installers: ['pip'] });
    expect(image.code).not.toBe(0);
    expect(image.log).toMatch(/certificate/i);
    expect(image.log).not.toContain(PASSWORD);
  });
});

/** Whether anything in the image holds `text`; the probe's own notes of the build aside. */
async function imageHolds(text: string, imagePath: string): Promise<boolean> {
  const script = 'tar -xOf "$1" --exclude=./opt/probe | grep -caF "$2"';
  const { stdout } = await runCommand('sh', ['-c', script, 'sh', imagePath, text]);
  return Number(stdout) > 0;
}
