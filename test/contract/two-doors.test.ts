/**
 * The door in front of Express and the door behind it give the same answers: status, every header, every
 * byte. Each request goes to a server with both doors until the first one knows it, and to one without.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createMirror, serveMirror } from '../../src/compose.ts';
import type { Environment, Mirror } from '../../src/compose.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { FastDoor } from '../../src/server/fast-door.ts';
import type { HttpServer } from '../../src/server/http-server.ts';
import { eventually } from '../support/eventually.ts';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { sendRaw } from '../support/http-client.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import type { TempFolder } from '../support/temp-folder.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';

const SMALL = writeWheel({ name: 'demo', version: '1.0+cpu', paddingBytes: 20_000 });
const LARGE = writeSdist({ name: 'demo', version: '2.0', paddingBytes: 3_000_000 });
const ETAGS: Readonly<Record<string, string>> = {
  small: `"sha256-${SMALL.sha256}"`,
  large: `"sha256-${LARGE.sha256}"`,
};
const SIZES: Readonly<Record<string, number>> = {
  small: SMALL.content.length,
  large: LARGE.content.length,
};

interface Door {
  readonly mirror: Mirror;
  readonly server: HttpServer;
  readonly origin: string;
}

let upstream: FakeUpstream;
const folders: TempFolder[] = [];
let both: Door;
let slowOnly: Door;
const paths: Record<string, string> = {};

async function openDoor(withoutFastDoor: boolean): Promise<Door> {
  const folder = await makeTempFolder('wheelcellar-doors-');
  folders.push(folder);
  const base = loadConfig({ env: {}, flags: { cacheDir: folder.path }, homeDir: '/nonexistent' });
  const [official] = base.upstreams;
  const config = {
    ...base,
    listen: [{ host: '127.0.0.1', port: 0 }],
    upstreams: [{ ...official!, url: upstream.indexUrl, fileHosts: null }],
    accelRedirect: '/files/',
  };
  const env: Environment = {
    clock: new ShiftedClock(),
    log: silentLogger,
    variables: {},
    homeDir: '/nonexistent',
    version: '0.0.0',
  };
  const mirror = await createMirror(config, env);
  const server = await serveMirror(mirror, config, env, { withoutFastDoor });
  return { mirror, server, origin: server.origins[0] ?? '' };
}

beforeAll(async () => {
  upstream = await startFakeUpstream({ projects: { demo: [SMALL, LARGE] } });
  paths['small'] = upstream.filePath(SMALL.filename);
  paths['large'] = upstream.filePath(LARGE.filename);
  paths['metadata'] = `${paths['small']}.metadata`;
  [both, slowOnly] = await Promise.all([openDoor(false), openDoor(true)]);
  for (const door of [both, slowOnly]) {
    for (const path of Object.values(paths)) {
      await answerOf(door, `GET ${path} HTTP/1.1`);
      const held = decodeURIComponent(path.slice(1));
      await eventually(() =>
        expect(door.mirror.store.catalog.findFile('pypi', held)).toBeDefined(),
      );
    }
    await answerOf(door, 'GET /simple/demo/ HTTP/1.1');
  }
  // Storing a file changes its project: wait until both have nothing left to tell.
  await Promise.all([both, slowOnly].map(({ mirror }) => mirror.store.flushStaticPages()));
});

afterAll(async () => {
  await Promise.all(
    [both, slowOnly].map(async ({ server, mirror }) => {
      await server.close(0);
      await mirror.close(0);
    }),
  );
  await upstream.close();
  await Promise.all(folders.map((folder) => folder.remove()));
});

/** Status line, sorted header lines without the date, body. */
async function answerOf(
  { origin }: Door,
  requestLine: string,
  headers: readonly string[] = [],
): Promise<{
  readonly status: string;
  readonly headers: readonly string[];
  readonly body: string;
}> {
  const port = new URL(origin).port;
  const isOld = requestLine.endsWith('1.0');
  const host =
    isOld || headers.some((line) => line.startsWith('Host:')) ? [] : [`Host: localhost:${port}`];
  const lines = [requestLine, ...host, ...headers, 'Connection: close', '', ''];
  const received = await sendRaw(origin, lines.join('\r\n'));
  const end = received.indexOf('\r\n\r\n');
  const [status = '', ...fields] = received.slice(0, end).split('\r\n');
  return {
    status,
    headers: fields.filter((field) => !field.startsWith('Date:')).sort(),
    body: received.slice(end + 4),
  };
}

/** Who shall have answered at last: the door in front, or the one behind. */
type Expected = 'fast' | 'slow';

const FILE_REQUESTS: readonly (readonly [
  what: string,
  expected: Expected,
  headersOf: (file: string) => readonly string[],
  method?: string,
])[] = [
  ['the whole', 'fast', () => []],
  ['HEAD', 'fast', () => [], 'HEAD'],
  ['HEAD with a range', 'fast', () => ['Range: bytes=0-9'], 'HEAD'],
  ['its own strong tag', 'fast', (file) => [`If-None-Match: ${ETAGS[file]}`]],
  ['its own weak tag', 'fast', (file) => [`If-None-Match: W/${ETAGS[file]}`]],
  ['its tag in a list', 'fast', (file) => [`If-None-Match: "a", W/${ETAGS[file]} , "b"`]],
  [
    'its tag in two headers',
    'fast',
    (file) => ['If-None-Match: "a"', `If-None-Match: ${ETAGS[file]}`],
  ],
  ['any tag', 'fast', () => ['If-None-Match: *']],
  ['HEAD with any tag', 'fast', () => ['If-None-Match: *'], 'HEAD'],
  ['another tag', 'fast', () => ['If-None-Match: "other"']],
  ['a date', 'fast', () => [`If-Modified-Since: ${new Date(2e12).toUTCString()}`]],
  ['its first bytes', 'fast', () => ['Range: bytes=0-99']],
  ['its first byte', 'fast', () => ['Range: bytes=0-0']],
  ['its middle', 'fast', () => ['Range: bytes=100-19999']],
  ['its end', 'fast', () => ['Range: bytes=-100']],
  ['from a place on', 'fast', () => ['Range: bytes=15000-']],
  ['more than its end', 'fast', (file) => [`Range: bytes=-${SIZES[file]! + 5}`]],
  ['all by a range', 'fast', (file) => [`Range: bytes=0-${SIZES[file]! - 1}`]],
  ['what is not there', 'slow', (file) => [`Range: bytes=${SIZES[file]}-`]],
  ['nothing of its end', 'slow', () => ['Range: bytes=-0']],
  ['several ranges', 'fast', () => ['Range: bytes=0-1,5-6']],
  ['another unit', 'fast', () => ['Range: lines=0-1']],
  ['a range of nonsense', 'fast', () => ['Range: bytes=9-2']],
  ['a range if it is the same', 'fast', (file) => ['Range: bytes=5-9', `If-Range: ${ETAGS[file]}`]],
  ['a range if it is another', 'fast', () => ['Range: bytes=5-9', 'If-Range: "other"']],
  ['a range by a weak tag', 'fast', (file) => ['Range: bytes=5-9', `If-Range: W/${ETAGS[file]}`]],
  ['a range and its tag', 'fast', (file) => ['Range: bytes=5-9', `If-None-Match: ${ETAGS[file]}`]],
  ['a front that reads files itself', 'fast', () => ['X-Sendfile-Type: X-Accel-Redirect']],
  ['such a front, HEAD', 'fast', () => ['X-Sendfile-Type: X-Accel-Redirect'], 'HEAD'],
  [
    'such a front, its own tag',
    'fast',
    (file) => ['X-Sendfile-Type: X-Accel-Redirect', `If-None-Match: ${ETAGS[file]}`],
  ],
  ['another kind of front', 'fast', () => ['X-Sendfile-Type: X-Sendfile']],
  ['a coding', 'fast', () => ['Accept-Encoding: gzip, br, zstd']],
  ['the wrong method', 'slow', () => [], 'DELETE'],
  ['a foreign host', 'slow', () => ['Host: example.org']],
  ['two hosts', 'slow', () => ['Host: localhost', 'Host: localhost']],
];

/** Asks until the door in front has had its chance (it loads small files at their second request). */
async function compare(
  requestLine: string,
  headers: readonly string[],
  expected: Expected,
): Promise<void> {
  const wanted = await answerOf(slowOnly, requestLine, headers);
  const fast = vi.spyOn(FastDoor.prototype, 'answers');
  try {
    for (let round = 0; round < 4; round++) {
      expect(await answerOf(both, requestLine, headers), `round ${round}`).toEqual(wanted);
    }
    expect(fast.mock.results.at(-1)?.value ?? false, 'the fast door').toBe(expected === 'fast');
  } finally {
    fast.mockRestore();
  }
}

describe.each(['small', 'large', 'metadata'])('a %s file through both doors', (file) => {
  // A metadata file has no tag that is known here: those requests are the other files'.
  const requests = FILE_REQUESTS.filter(
    ([, , headersOf]) => file !== 'metadata' || !/undefined|NaN/.test(headersOf(file).join()),
  ).filter(([what]) => file !== 'metadata' || !/place on|middle/.test(what));

  for (const [what, expected, headersOf, method = 'GET'] of requests) {
    it(what, async () => {
      await compare(`${method} ${paths[file]} HTTP/1.1`, headersOf(file), expected);
    });
  }

  it('HTTP/1.0', async () => {
    await compare(`GET ${paths[file]} HTTP/1.0`, [], 'fast');
  });

  it.each<[string, (path: string) => string, Expected]>([
    ['a slash at its end', (path) => `${path}/`, 'slow'],
    ['a doubled slash', (path) => path.replace('packages/', 'packages//'), 'fast'],
    ['an encoded letter', (path) => path.replace('demo', '%64emo'), 'fast'],
    ['an encoded slash', (path) => path.replace('/demo', '%2Fdemo'), 'slow'],
    ['a query', (path) => `${path}?x=1`, 'fast'],
    ['a fragment, which no client sends', (path) => `${path}#x`, 'slow'],
    ['a whole URL', (path) => `http://localhost${path}`, 'slow'],
  ])('%s', async (_what, change, expected) => {
    await compare(`GET ${change(paths[file] ?? '')} HTTP/1.1`, [], expected);
  });
});

describe('a page through both doors', () => {
  const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';

  it.each<[string, readonly string[], Expected, string?, string?]>([
    ['as HTML', [], 'fast'],
    ['as JSON', [`Accept: ${JSON_TYPE}`], 'fast'],
    ['coded', ['Accept-Encoding: gzip'], 'fast'],
    ['as JSON, coded', [`Accept: ${JSON_TYPE}`, 'Accept-Encoding: gzip, deflate'], 'fast'],
    ['HEAD', [], 'fast', 'HEAD'],
    ['any tag', ['If-None-Match: *'], 'fast'],
    ['another tag', ['If-None-Match: "other"'], 'fast'],
    ['a range, which pages have none of', ['Range: bytes=0-9'], 'fast'],
    ['as nothing that there is', ['Accept: image/png'], 'slow'],
    ['by the wrong method', [], 'slow', 'POST'],
    ['by another name', [], 'slow', 'GET', '/simple/Demo/'],
    ['without its slash', [], 'slow', 'GET', '/simple/demo'],
    ['deeper', [], 'fast', 'GET', '/root/pypi/+simple/demo/'],
    ['of the root', [], 'fast', 'GET', '/simple/'],
    ['of a project that is not there', [], 'slow', 'GET', '/simple/nothing/'],
  ])('%s', async (_what, headers, expected, method = 'GET', target = '/simple/demo/') => {
    await compare(`${method} ${target} HTTP/1.1`, headers, expected);
  });

  it('its own tag, strong and weak', async () => {
    const { headers } = await answerOf(slowOnly, 'GET /simple/demo/ HTTP/1.1');
    const tag = headers.find((line) => line.startsWith('ETag: '))?.slice(6) ?? '';
    expect(tag).toMatch(/^".+"$/);
    await compare('GET /simple/demo/ HTTP/1.1', [`If-None-Match: ${tag}`], 'fast');
    await compare('GET /simple/demo/ HTTP/1.1', [`If-None-Match: W/${tag}`], 'fast');
  });

  it('HTTP/1.0', async () => {
    await compare('GET /simple/demo/ HTTP/1.0', [], 'fast');
  });
});

describe('both doors', () => {
  it('count hits, bytes and uses alike', async () => {
    const countOf = ({ mirror }: Door): unknown[] => {
      const { file_hits: hits, bytes_served: bytes } = mirror.store.catalog.counters();
      return [hits, bytes];
    };
    const growth = async (door: Door): Promise<unknown[]> => {
      const before = countOf(door) as number[];
      await answerOf(door, `GET ${paths['small']} HTTP/1.1`);
      await answerOf(door, `GET ${paths['large']} HTTP/1.1`);
      await answerOf(door, `GET ${paths['large']} HTTP/1.1`, ['Range: bytes=0-99']);
      await answerOf(door, `HEAD ${paths['small']} HTTP/1.1`);
      await answerOf(door, `GET ${paths['small']} HTTP/1.1`, ['If-None-Match: *']);
      const expected = SIZES['small']! + SIZES['large']! + 100;
      await eventually(() => expect((countOf(door)[1] as number) - before[1]!).toBe(expected));
      return (countOf(door) as number[]).map((value, at) => value - before[at]!);
    };
    expect(await growth(both)).toEqual(await growth(slowOnly));
  });
});
