import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { makePrivateAuthority } from '../support/private-authority.ts';
import { runCommand } from '../support/run-command.ts';
import { startFront } from './front.ts';
import { makeOverlay, originsOf, setImageStage } from './image-stage.ts';
import { skipImages } from './skip-images.ts';

const { isSkipped, why } = skipImages();

const USER = 'builder';
const PASSWORD = 'sehr-geheim-4711';

describe.skipIf(isSkipped)(`images from an https mirror with a private authority${why}`, () => {
  it('take all from it, and keep its password out of log and image', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const authority = makePrivateAuthority(stage.folder, 'DNS:mirror.test');
    const credentials = `${USER}:${PASSWORD}`;
    const { port } = await startFront(server, { authority, credentials });
    const overlay = await makeOverlay(stage.folder, {
      'etc/ssl/certs/ca-certificates.crt': await readFile(authority.caFile, 'utf8'),
    });
    const env = {
      DIB_PYPI_MIRROR_URL: `https://${credentials}@mirror.test:${port}/simple/`,
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
    const credentials = `${USER}:${PASSWORD}`;
    const { port } = await startFront(server, { authority, credentials });
    const env = {
      DIB_PYPI_MIRROR_URL: `https://${credentials}@mirror.test:${port}/simple/`,
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
