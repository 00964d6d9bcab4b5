import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { expectAllFrom } from './expectations.ts';
import { makeOverlay, originsOf, setImageStage } from './image-stage.ts';
import { skipImages } from './skip-images.ts';

const { isSkipped, why } = skipImages();

describe.skipIf(isSkipped)(`variables of the elements${why}`, () => {
  it('name the mirrors in the order of their own names, for pip, uv and easy_install', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    // One mirror by its four paths: what cannot be reached would stop uv.
    const root = `${server.baseUrl}/`;
    const [simple, index, devpi] = ['simple/', 'index/', 'root/pypi/+simple/'].map(
      (path) => root + path,
    );
    const own = '[easy_install]\n# the image’s own\n';
    const image = await stage.build({
      name: 'variables',
      requirements: ['diamond'],
      env: {
        DIB_PYPI_MIRROR_URL: simple ?? '',
        DIB_PYPI_MIRROR_URL_2: devpi ?? '',
        DIB_PYPI_MIRROR_URL_10: index ?? '',
        DIB_PYPI_MIRROR_URL_3: '',
        PYPI_MIRROR_URL: root,
        DIB_PYPI_OFFICIAL_URL: stage.decoy.indexUrl,
        DIB_PIP_RETRIES: '1',
        DIB_PYPI_DISTUTILS: '1',
        PROBE_OVERLAY: await makeOverlay(stage.folder, { 'root/.pydistutils.cfg': own }),
      },
    });
    expect(image.code, image.log.slice(-4_000)).toBe(0);
    expect(image.log).toContain('DEPRECATION WARNING: PYPI_MIRROR_URL*');
    const official = stage.decoy.indexUrl;
    const settings = (await image.read('opt/probe/pip.conf')) ?? '';
    expect(settings).toContain(`index-url = ${simple}\n`);
    expect(settings).toContain(
      `extra-index-url =\n    ${[index, devpi, root, official].join('\n    ')}\n`,
    );
    expect(settings).toContain('retries = 1\n');
    const variables = (await image.read('opt/probe/install.env'))?.split('\n') ?? [];
    expect(variables).toEqual(
      expect.arrayContaining([
        `UV_DEFAULT_INDEX=${official}`,
        `UV_INDEX=${[simple, index, devpi, root].join(' ')}`,
        'UV_HTTP_RETRIES=1',
      ]),
    );
    expect(await image.read('opt/probe/pydistutils.cfg')).toContain(`index_url = ${root}\n`);
    expect(await image.read('root/.pydistutils.cfg')).toBe(own);
  });

  it('have builds use the pip cache one after the other, for pips that cannot share', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const locks = join(stage.folder, 'locks');
    const lock = join(locks, 'pip-cache');
    await mkdir(locks);
    await writeFile(lock, '');
    const other = await holdLock(lock);
    const building = stage.build({
      name: 'with lock',
      env: {
        DIB_PYPI_MIRROR_URL: server.indexUrl,
        DIB_NO_PYPI_PIP: '1',
        DIB_PIP_CACHE_LOCK: '1',
        DIB_LOCKFILES: locks,
      },
    });
    await untilSomebodyWaits(lock);
    // Nothing was installed so far.
    expect(await stage.servedFiles(server)).toBe(0);
    other.release();
    const image = await building;
    await expectAllFrom(image, originsOf({ index: server.indexUrl })[0] ?? '');
    expect(image.log).toContain('pip-cache: another build uses the cache; waiting for it');
    expect(await image.read('opt/probe/install.env')).toContain('PIP_CACHE_DIR=/tmp/pip/cache\n');
  });
});

/** Another build, as far as the lock is concerned. */
async function holdLock(lock: string): Promise<{ readonly release: () => void }> {
  const holder = spawn('flock', [lock, 'sh', '-c', 'echo held; read -r _'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  onTestFinished(() => void holder.kill());
  await once(holder.stdout, 'data');
  return { release: () => void holder.stdin.end() };
}

/** Waits for a process that waits for the lock; the kernel lists those with an arrow. */
async function untilSomebodyWaits(lock: string): Promise<void> {
  const { ino } = await stat(lock);
  const waiter = new RegExp(`-> FLOCK .*:${ino} `);
  for (let look = 0; look < 2_000; look++) {
    if (waiter.test(await readFile('/proc/locks', 'utf8'))) return;
    await wait(100);
  }
  throw new Error('no build waits for the lock');
}
