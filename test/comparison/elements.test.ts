/**
 * The cases of the image tests, with this project's elements and with the pair that comes with
 * diskimage-builder, for the table in docs/images.md. Nothing here is a judgement: what ours must do is in
 * test/images. `npm run compare:images` prints the table; takes root, as those do.
 */
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, describe, it } from 'vitest';
import type { BuildOptions, BuiltImage } from '../images/build-image.ts';
import { isDistribution } from '../images/expectations.ts';
import { startFront } from '../images/front.ts';
import { fillMirror, makeOverlay, setImageStage } from '../images/image-stage.ts';
import type { ImageStage } from '../images/image-stage.ts';
import { IMAGES_FOLDER, OUR_ELEMENTS } from '../images/image-tools.ts';
import { skipImages } from '../images/skip-images.ts';
import { makePrivateAuthority } from '../support/private-authority.ts';
import { officialIndex } from './official-index.ts';
import { outcomeOf } from './outcome.ts';
import type { Origins, Pair } from './outcome.ts';

const { isSkipped, why } = skipImages();

const PAIRS: readonly Pair[] = ['ours', 'upstream'];
const CREDENTIALS = 'builder:sehr-geheim-4711';

/** Case → cell by pair; kept between runs, so that one case can be tried again. */
type Table = Record<string, Partial<Record<Pair, string>>>;

const TABLE_FILE = join(IMAGES_FOLDER, 'comparison.json');

async function readTable(): Promise<Table> {
  const text = await readFile(TABLE_FILE, 'utf8').catch(() => '{}');
  return JSON.parse(text) as Table;
}

async function note(name: string, pair: Pair, cell: string): Promise<void> {
  const table = await readTable();
  table[name] = { ...table[name], [pair]: cell };
  await writeFile(TABLE_FILE, JSON.stringify(table, null, 2));
}

/** A build that goes on when an installer fails, so that each has its turn. */
function build(
  stage: ImageStage,
  pair: Pair,
  options: Partial<BuildOptions> & { readonly name: string },
): Promise<BuiltImage> {
  return stage.build({
    ...options,
    name: `${options.name} (${pair})`,
    elementsPath: pair === 'ours' ? OUR_ELEMENTS : 'upstream',
    env: { PROBE_GOES_ON: '1', ...options.env },
  });
}

/** Whether an image holds a cache of pip or uv. */
async function cacheLeftIn(image: BuiltImage): Promise<string> {
  const sizes = [...(await image.sizes())].filter(([name]) => name.startsWith('root/.cache/'));
  const bytes = sizes.reduce((sum, [, size]) => sum + size, 0);
  return bytes === 0
    ? 'no cache in the image'
    : `${Math.round(bytes / 1024)} KiB of cache in the image`;
}

afterAll(async () => {
  const rows = Object.entries(await readTable()).map(
    ([name, cells]) => `| ${name} | ${PAIRS.map((pair) => cells[pair] ?? '').join(' | ')} |`,
  );
  if (rows.length === 0) return;
  const lines = ['', '| case | ours | upstream’s |', '|---|---|---|', ...rows, ''];
  process.stdout.write(lines.join('\n'));
});

describe.skipIf(isSkipped).each(PAIRS)(`an image with the elements of %s${why}`, (pair) => {
  const mirrorOnly = (indexUrl: string): Record<string, string> => ({
    DIB_PYPI_MIRROR_URL: indexUrl,
    DIB_NO_PYPI_PIP: '1',
  });

  it('online', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const official = await officialIndex(stage);
    const origins: Origins = { [server.baseUrl]: 'the mirror', 'https://': 'the official index' };
    const both = await build(stage, pair, {
      name: 'online',
      env: { DIB_PYPI_MIRROR_URL: server.indexUrl, ...official.env },
    });
    await note('online, mirror and official index', pair, await outcomeOf(both, origins));
    const one = await build(stage, pair, {
      name: 'online, mirror alone',
      env: { ...mirrorOnly(server.indexUrl), ...official.env },
    });
    await note('online, mirror alone (`DIB_NO_PYPI_PIP`)', pair, await outcomeOf(one, origins));
  });

  it('mirror only', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    await fillMirror(stage.set, server);
    await stage.upstream.down();
    const env = mirrorOnly(server.indexUrl);
    const image = await build(stage, pair, { name: 'mirror only', env });
    const cell = await outcomeOf(image, { [server.baseUrl]: 'the mirror' });
    await note('mirror alone, every other host dead', pair, cell);
  });

  it('no server', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    await fillMirror(stage.set, server);
    await server.stop();
    const image = await build(stage, pair, {
      name: 'no server',
      flags: ['--offline'],
      network: 'none',
    });
    const cell = await outcomeOf(image, { 'file:///tmp/pypi': '`file:///tmp/pypi`' });
    await note('server stopped, `--offline`, no network, `file:///tmp/pypi`', pair, cell);
  });

  it('three at once', async () => {
    const stage = await setImageStage();
    const { port, paths } = await startFront(await stage.serve());
    const origin = `http://127.0.0.1:${port}`;
    const images = await Promise.all(
      ['1', '2', '3'].map((number) =>
        build(stage, pair, { name: `at once ${number}`, env: mirrorOnly(`${origin}/simple/`) }),
      ),
    );
    const downloads = paths.filter(isDistribution).length;
    const cells = await Promise.all(
      images.map(async (image) => (await outcomeOf(image, { [origin]: 'the mirror' })).split('; ')),
    );
    const results = new Set(cells.map(([, ...rest]) => rest.join('; ')));
    const times = cells.map(([time]) => time).join(', ');
    const left = await cacheLeftIn(images[0] as BuiltImage);
    await note(
      'three builds at once on one pip cache',
      pair,
      `${times}; ${[...results].join(' / ')}; ${downloads} downloads in all; ${left}`,
    );
  });

  it('hostile caller', async () => {
    const stage = await setImageStage();
    const server = await stage.serve();
    const bad = stage.decoy.indexUrl;
    const image = await build(stage, pair, {
      name: 'hostile caller',
      env: {
        ...mirrorOnly(server.indexUrl),
        PIP_INDEX_URL: bad,
        PIP_EXTRA_INDEX_URL: bad,
        PIP_TRUSTED_HOST: 'nobody.test',
        PIP_CACHE_DIR: '/nonexistent/cache',
        UV_DEFAULT_INDEX: bad,
        UV_INDEX: bad,
        UV_NO_CACHE: '1',
      },
    });
    const origins = { [server.baseUrl]: 'the mirror', [stage.decoy.origin]: 'the caller’s index' };
    await note('caller’s own `PIP_*` and `UV_*` indexes', pair, await outcomeOf(image, origins));
    const broken = await build(stage, pair, {
      name: 'caller with paths',
      env: {
        ...mirrorOnly(server.indexUrl),
        PIP_CONFIG_FILE: '/nonexistent/pip.conf',
        PIP_CERT: '/nonexistent/ca.pem',
        SSL_CERT_FILE: '/nonexistent/ca.pem',
        PIP_NO_INDEX: '1',
        UV_OFFLINE: '1',
        UV_CONFIG_FILE: '/nonexistent/uv.toml',
      },
    });
    const cell = await outcomeOf(broken, origins);
    await note('caller’s `PIP_NO_INDEX`, `UV_OFFLINE`, paths that the image lacks', pair, cell);
  });

  it('uid 1000', async () => {
    const stage = await setImageStage();
    await mkdir(join(stage.imageCache, 'pip'));
    for (const folder of ['', 'pip']) await chown(join(stage.imageCache, folder), 1000, 1000);
    const { port, paths } = await startFront(await stage.serve());
    const origin = `http://127.0.0.1:${port}`;
    const env = mirrorOnly(`${origin}/simple/`);
    await build(stage, pair, { name: 'uid 1000', env });
    const first = paths.splice(0).filter(isDistribution).length;
    const again = await build(stage, pair, { name: 'uid 1000 again', env });
    const second = paths.filter(isDistribution).length;
    const cell = await outcomeOf(again, { [origin]: 'the mirror' });
    const downloads = `downloads ${first}, then ${second}`;
    const left = await cacheLeftIn(again);
    await note('cache folder of uid 1000, second build', pair, `${cell}; ${downloads}; ${left}`);
  });

  it('private authority', async () => {
    const stage = await setImageStage();
    const authority = makePrivateAuthority(stage.folder, 'DNS:mirror.test');
    const { port } = await startFront(await stage.serve(), { authority, credentials: CREDENTIALS });
    const env = {
      ...mirrorOnly(`https://${CREDENTIALS}@mirror.test:${port}/simple/`),
      PROBE_HOSTS: '127.0.0.1 mirror.test',
    };
    const overlay = await makeOverlay(stage.folder, {
      'etc/ssl/certs/ca-certificates.crt': await readFile(authority.caFile, 'utf8'),
    });
    const elements = ['pypi', 'pip-cache', 'manifests'];
    const image = await build(stage, pair, {
      name: 'private authority',
      elements,
      env: { ...env, PROBE_OVERLAY: overlay },
    });
    const password = CREDENTIALS.replace(/^.*:/, '');
    const places = [
      image.log.includes(password) ? 'the log' : '',
      (await image.read('etc/dib-manifests/dib_environment'))?.includes(password) === true
        ? 'the image’s manifest'
        : '',
    ].filter((place) => place !== '');
    const cell = await outcomeOf(image, { 'https://': 'the mirror' });
    const secret = places.length === 0 ? 'password nowhere' : `password in ${places.join(' and ')}`;
    await note('https mirror with a private authority and a password', pair, `${cell}; ${secret}`);
    const unknown = await build(stage, pair, { name: 'unknown authority', env });
    const words = await outcomeOf(unknown, { 'https://': 'the mirror' });
    await note('the same, authority unknown to the image (should fail)', pair, words);
  });

  it('by name', async () => {
    const stage = await setImageStage();
    const server = await stage.serve({ env: { WHEELCELLAR_ALLOWED_HOSTS: 'mirror.test' } });
    const origin = `http://mirror.test:${new URL(server.baseUrl).port}`;
    const env = { ...mirrorOnly(`${origin}/simple/`), PROBE_HOSTS: '127.0.0.1 mirror.test' };
    const image = await build(stage, pair, { name: 'by name', env });
    const cell = await outcomeOf(image, { [origin]: 'the mirror' });
    await note('plain http mirror known by name', pair, cell);
  });
});
