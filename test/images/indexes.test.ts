import { chown, mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { writeWheel } from '../support/wheel-writer.ts';
import type { BuiltImage } from './build-image.ts';
import { expectAllFrom, expectNoTraces, isDistribution } from './expectations.ts';
import { startFront } from './front.ts';
import { fillMirror, makeOverlay, originsOf, setImageStage } from './image-stage.ts';
import { skipImages } from './skip-images.ts';

const { isSkipped, why } = skipImages();

describe.skipIf(isSkipped)(`images from mirrors${why}`, () => {
  it('come from the mirror, then the official index, and from the pip cache the second time', async () => {
    const stage = await setImageStage();
    // Where both have a file pip takes the one of the last index, so here each has its own.
    for (const project of Object.keys(stage.set.projects)) stage.decoy.setProject(project, null);
    stage.decoy.setProject('only-official', [
      writeWheel({ name: 'only-official', version: '1.0' }),
    ]);
    const { port, paths } = await startFront(await stage.serve());
    const origin = `http://127.0.0.1:${port}`;
    const build = {
      env: {
        DIB_PYPI_MIRROR_URL: `${origin}/simple/`,
        DIB_PYPI_OFFICIAL_URL: stage.decoy.indexUrl,
      },
      requirements: [...stage.set.requirements, 'only-official'],
    };
    const expectBoth = async (image: BuiltImage): Promise<void> => {
      expect(image.code, image.log.slice(-4_000)).toBe(0);
      for (const report of ['pip', 'image-pip', 'uv']) {
        const { 'only-official': official = '', ...others } = await image.sources(report);
        expect(official, report).toBe(stage.decoy.fileUrl('only_official-1.0-py3-none-any.whl'));
        expect([Object.keys(others).length, ...originsOf(others)]).toEqual([35, origin]);
      }
    };
    const first = await stage.build({
      ...build,
      name: 'online',
      installers: ['pip', 'image-pip', 'uv', 'as-nobody'],
    });
    await expectBoth(first);
    await expectNoTraces(first);
    for (const report of ['late', 'as-nobody'])
      expect(originsOf(await first.sources(report)), report).toEqual([origin]);
    expect(paths.filter(isDistribution).length).toBeGreaterThan(35);

    paths.length = 0;
    await expectBoth(await stage.build({ ...build, name: 'online again' }));
    // Pages are asked for again, files are not. (What the other index sends names no lifetime.)
    expect(paths.filter(isDistribution)).toEqual([]);
  });

  it('come from the mirror while every other host is dead', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    await fillMirror(stage.set, server);
    await stage.upstream.down();
    const env = { DIB_PYPI_MIRROR_URL: server.indexUrl, DIB_NO_PYPI_PIP: '0' };
    const image = await stage.build({ name: 'mirror only', env });
    await expectAllFrom(image, server.baseUrl);
    expect(image.log).toContain('DIB_NO_PYPI_PIP: official index off');
  });

  it('come from the cache folder while no server runs and there is no network at all', async () => {
    const stage = await setImageStage({ hasDefaultCache: true });
    const server = await stage.serve();
    await fillMirror(stage.set, server);
    await server.stop();
    const image = await stage.build({
      name: 'no server',
      flags: ['--offline'],
      network: 'none',
      installers: ['pip', 'image-pip', 'uv', 'as-nobody'],
    });
    await expectAllFrom(image, 'file://');
    expect(originsOf(await image.sources('as-nobody'))).toEqual(['file://']);
    await expectNoTraces(image);
    expect(await image.read('opt/probe/finalise.env')).not.toContain('/tmp/pypi');
  });

  it('come from the mirror whatever the caller and the image have set', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const bad = stage.decoy.indexUrl;
    const own = `[global]\nindex-url = ${bad}\n# no newline at the end`;
    const overlay = await makeOverlay(stage.folder, {
      'etc/pip.conf': own,
      'root/.pip/pip.conf': own,
      'root/.config/pip/pip.conf': own,
      'root/.pydistutils.cfg': `[easy_install]\nindex_url = ${bad}\n`,
      'etc/uv/uv.toml': `index-url = "${bad}"\n`,
    });
    const image = await stage.build({
      name: 'hostile caller',
      env: {
        DIB_PYPI_MIRROR_URL: server.indexUrl,
        DIB_NO_PYPI_PIP: '1',
        PROBE_OVERLAY: overlay,
        PIP_INDEX_URL: bad,
        PIP_EXTRA_INDEX_URL: bad,
        PIP_FIND_LINKS: '/opt/wheels',
        PIP_NO_INDEX: '1',
        PIP_TRUSTED_HOST: 'nobody.test',
        PIP_CONFIG_FILE: '/nonexistent/pip.conf',
        PIP_CACHE_DIR: '/nonexistent/cache',
        PIP_NO_CACHE_DIR: '1',
        PIP_CERT: '/nonexistent/ca.pem',
        REQUESTS_CA_BUNDLE: '/nonexistent/ca.pem',
        SSL_CERT_FILE: '/nonexistent/ca.pem',
        UV_DEFAULT_INDEX: bad,
        UV_INDEX: bad,
        UV_INDEX_URL: bad,
        UV_EXTRA_INDEX_URL: bad,
        UV_FIND_LINKS: '/opt/wheels',
        UV_CONFIG_FILE: '/nonexistent/uv.toml',
        UV_NO_CACHE: '1',
        UV_OFFLINE: '1',
        UV_CACHE_DIR: '/nonexistent/cache',
        http_proxy: 'http://127.0.0.1:9/',
        https_proxy: 'http://127.0.0.1:9/',
      },
    });
    await expectAllFrom(image, server.baseUrl);
    expect(stage.decoy.requests).toEqual([]);
    for (const path of ['etc/pip.conf', 'root/.pip/pip.conf', 'root/.config/pip/pip.conf'])
      expect(await image.read(path), path).toBe(own);
    expect(await image.read('root/.pydistutils.cfg')).toContain(bad);
    const names = await image.names();
    expect(names.filter((name) => name.includes('dib-pypi'))).toEqual([]);
    expect(names.filter((name) => name.startsWith('root/.cache'))).toEqual([]);
  });

  it('come from a mirror that is known by name, over plain http', async () => {
    const stage = await setImageStage();
    const server = await stage.serve({ env: { WHEELCELLAR_ALLOWED_HOSTS: 'mirror.test' } });
    const { port } = new URL(server.baseUrl);
    const env = {
      DIB_PYPI_MIRROR_URL: `http://mirror.test:${port}/simple/`,
      DIB_NO_PYPI_PIP: '1',
      PROBE_HOSTS: '127.0.0.1 mirror.test',
    };
    await expectAllFrom(await stage.build({ name: 'by name', env }), `http://mirror.test:${port}`);
  });
});

describe.skipIf(isSkipped)(`several images and one pip cache${why}`, () => {
  it('are built at once, all of them whole', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const { port, paths } = await startFront(server);
    const origin = `http://127.0.0.1:${port}`;
    const env = { DIB_PYPI_MIRROR_URL: `${origin}/simple/`, DIB_NO_PYPI_PIP: '1' };
    const names = ['at once 1', 'at once 2', 'at once 3'];
    const images = await Promise.all(names.map((name) => stage.build({ name, env })));
    for (const image of images) await expectAllFrom(image, origin);
    paths.length = 0;
    // And what they have left is a cache that works.
    await expectAllFrom(await stage.build({ name: 'after three', env }), origin);
    expect(paths.filter(isDistribution)).toEqual([]);
  });

  it('share it when the folder belongs to the user of a laptop', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    await mkdir(join(stage.imageCache, 'pip'));
    for (const folder of ['', 'pip']) await chown(join(stage.imageCache, folder), 1000, 1000);
    const { port, paths } = await startFront(server);
    const origin = `http://127.0.0.1:${port}`;
    const env = { DIB_PYPI_MIRROR_URL: `${origin}/simple/`, DIB_NO_PYPI_PIP: '1' };
    await expectAllFrom(await stage.build({ name: 'uid 1000', env }), origin);
    expect(paths.filter(isDistribution).length).toBeGreaterThan(35);
    paths.length = 0;
    await expectAllFrom(await stage.build({ name: 'uid 1000 again', env }), origin);
    expect(paths.filter(isDistribution)).toEqual([]);
    const owners = ['', 'pip'].map(
      async (folder) => (await stat(join(stage.imageCache, folder))).uid,
    );
    expect(await Promise.all(owners)).toEqual([1000, 1000]);
    expect((await readdir(join(stage.imageCache, 'pip'))).toSorted()).toEqual(['cache', 'uv']);
  });
});
