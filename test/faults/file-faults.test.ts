/** Table B, second half: files, connections and headers of a hostile or broken index. */
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { loadConfig } from '../../src/config/load-config.ts';
import { download } from '../support/download.ts';
import { eventually } from '../support/eventually.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import type { FakeFile, Fault } from '../support/fake-upstream.ts';
import { hold, stageUpstream } from '../support/mirror.ts';
import { writeOddZip } from '../support/odd-zip.ts';
import { makePrivateAuthority } from '../support/private-authority.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { writeWheel } from '../support/wheel-writer.ts';
import { faultTable } from './fault-row.ts';
import { PAGE, WHEEL, blob, expectNothingStored, listed, stage, tryToGet } from './fault-stage.ts';
import type { FaultStage } from './fault-stage.ts';

const BASE = loadConfig({ env: {}, homeDir: '/nonexistent' });
/** Short patience, so that silence is tried in seconds. */
const IMPATIENT = {
  http: {
    ...BASE.http,
    connectTimeoutMs: 500,
    headersTimeoutMs: 700,
    idleTimeoutMs: 700,
    retries: 1,
  },
};

/** No complete body but the right one leaves, and nothing wrong is kept. */
async function neverServesWrong(
  set: FaultStage,
  path: string,
  right: Buffer | null,
): Promise<void> {
  const answer = await tryToGet(set.mirror, path);
  if (answer?.status === 200) {
    expect(right !== null && answer.body.equals(right)).toBe(true);
    return;
  }
  if (answer !== null) expect(answer.status).toBeGreaterThanOrEqual(500);
  await expectNothingStored(set.mirror, path);
}

/** The faulty answers are given for ever: 5xx or a break; gone again: the file comes. */
async function failsHonestly(fault: Fault, settings: object = {}): Promise<void> {
  const set = await stage({}, settings);
  await listed(set.mirror);
  set.upstream.fault(/\.whl$/, fault);
  await neverServesWrong(set, set.wheelPath, WHEEL.content);
  set.upstream.clearFaults();
  expect((await set.mirror.get(set.wheelPath)).body.equals(WHEEL.content)).toBe(true);
}

/** The fault strikes once; the client gets one unbroken right body. */
async function getsOver(fault: Fault, file: FakeFile = WHEEL): Promise<void> {
  const set = await stage({ projects: { demo: [file] } });
  const path = set.upstream.filePath(file.filename);
  set.upstream.fault(/\.(whl|gz)$/, { times: 1, ...fault });
  const got = await download(set.mirror.origin + path);
  expect([got.status, got.isComplete, got.sha256]).toEqual([200, true, sha256Of(file.content)]);
}

/** A wheel with such contents: it is served, and no core metadata of it is advertised. */
async function servesWithoutMetadata(content: Buffer): Promise<void> {
  const set = await stage({ projects: { demo: [{ filename: WHEEL.filename, content }] } });
  const path = set.upstream.filePath(WHEEL.filename);
  await hold(set.mirror, path);
  expect((await set.mirror.get(path)).body.equals(content)).toBe(true);
  expect((await set.mirror.get(PAGE)).text).not.toMatch(
    /data-(core|dist-info)-metadata="(?!false)/,
  );
  expect((await set.mirror.get(`${path}.metadata`)).status).toBe(404);
}

const INFO = 'demo-1.0.dist-info';

faultTable('B: the files and connections of a hostile or broken index', [
  {
    id: 'B3',
    what: 'redirects to other schemes and hosts, loops, too many and broken ones are not followed',
    run: async () => {
      const decoy = await stageUpstream({ projects: { demo: [WHEEL] } });
      for (const redirectTo of [
        `${decoy.origin}${decoy.filePath(WHEEL.filename)}`,
        `http://2130706433:${decoy.port}/x`,
        `http://[::ffff:127.0.0.1]:${decoy.port}/x`,
        'http://169.254.169.254/latest/meta-data/',
        'file:///etc/passwd',
        'ftp://127.0.0.1/x',
        '/loop.whl',
        'http://[',
      ]) {
        const set = await stage();
        await listed(set.mirror);
        set.upstream.fault(/\.whl$/, { redirectTo });
        const answer = await set.mirror.get(set.wheelPath);
        expect([502, 503], redirectTo).toContain(answer.status);
        await expectNothingStored(set.mirror, set.wheelPath);
        expect(set.upstream.count(/\.whl$/)).toBeLessThan(60);
      }
      const bare = await stage();
      bare.upstream.fault(/\.whl$/, { status: 302 });
      expect((await bare.mirror.get(bare.wheelPath)).status).toBe(502);
      const split = await stage();
      split.upstream.fault(/\.whl$/, {
        rawBytes: 'HTTP/1.1 302 Found\r\nLocation: /x\r\n y\r\nContent-Length: 0\r\n\r\n',
      });
      expect((await split.mirror.get(split.wheelPath)).status).toBeGreaterThanOrEqual(500);
      expect([decoy.requests, decoy.connections]).toEqual([[], 0]);
      const good = await stage();
      good.upstream.setRaw('/moved.whl', { body: WHEEL.content });
      good.upstream.fault(good.wheelPath, { redirectTo: '/moved.whl' });
      expect((await good.mirror.get(good.wheelPath)).body.equals(WHEEL.content)).toBe(true);
    },
  },
  {
    id: 'B10',
    what: 'wrong bytes never leave as a whole; nothing of them is kept; one wrong answer is got over',
    run: async () => {
      for (const flipByteAt of [10, 100_000, WHEEL.content.length - 1])
        await failsHonestly({ flipByteAt });
      const small = writeWheel({ name: 'demo', version: '3.0' });
      const set = await stage({ projects: { demo: [small] } });
      set.upstream.fault(/\.whl$/, { flipByteAt: 50 });
      const path = set.upstream.filePath(small.filename);
      expect((await set.mirror.get(path)).status).toBe(502);
      await expectNothingStored(set.mirror, path);
      const once = await stage();
      once.upstream.fault(/\.whl$/, { flipByteAt: WHEEL.content.length - 5, times: 1 });
      await neverServesWrong(once, once.wheelPath, WHEEL.content);
      expect((await once.mirror.get(once.wheelPath)).body.equals(WHEEL.content)).toBe(true);
    },
  },
  {
    id: 'B11',
    what: 'a file without a digest is served, and held to what it was from then on',
    run: async () => {
      const file = { ...WHEEL, hashless: true };
      const set = await stage({ projects: { demo: [file] } });
      const path = set.upstream.filePath(WHEEL.filename);
      await hold(set.mirror, path);
      await eventually(async () =>
        expect((await set.mirror.get(PAGE)).text).toContain(sha256Of(WHEEL.content)),
      );
      const strict = await stage(
        { projects: { demo: [file] } },
        { index: { ...BASE.index, withoutDigest: 'refuse' } },
      );
      expect((await strict.mirror.get(path)).status).toBe(403);
    },
  },
  {
    id: 'B12',
    what: 'a body that is cut is resumed, and the client notices nothing',
    run: async () => {
      const big = blob('demo-1.0.tar.gz', 3_000_000);
      for (const cutWith of ['reset', 'close', 'chunked'] as const) {
        await getsOver({ cutAfter: 50_000, cutWith });
        await getsOver({ cutAfter: 1_000_000, cutWith }, big);
      }
      await getsOver({ chunked: true });
    },
  },
  {
    id: 'B13',
    what: 'a body that is longer than announced or listed is cut off',
    run: async () => {
      const longer = Buffer.concat([WHEEL.content, randomBytes(50_000)]);
      await failsHonestly({ body: longer });
      await failsHonestly({ body: longer, chunked: true });
      await failsHonestly({
        body: longer,
        headers: { 'content-length': String(WHEEL.content.length) },
      });
      const endless = await stage();
      await listed(endless.mirror);
      endless.upstream.fault(/\.whl$/, { body: Buffer.alloc(50_000_000), chunked: true });
      await neverServesWrong(endless, endless.wheelPath, null);
      expect(endless.upstream.bytesSent(/\.whl$/)).toBeLessThan(150_000_000);
    },
  },
  {
    id: 'B14',
    what: 'silence before or within an answer ends; whoever waits is told in time',
    run: async () => {
      for (const fault of [{ hang: true }, { stallAfter: 199_000 }, { stallAfter: 0 }]) {
        const started = performance.now();
        await failsHonestly(fault, IMPATIENT);
        expect(performance.now() - started).toBeLessThan(15_000);
      }
      const drip = await stage({}, IMPATIENT);
      await listed(drip.mirror);
      drip.upstream.fault(/\.whl$/, { stallAfter: 150_000, times: 1 });
      const all = await Promise.all(
        Array.from({ length: 4 }, () => download(drip.mirror.origin + drip.wheelPath)),
      );
      for (const got of all)
        expect([got.isComplete, got.sha256]).toEqual([true, sha256Of(WHEEL.content)]);
    },
  },
  {
    id: 'B15',
    what: 'the page of a captive portal is no file, whatever it says of itself',
    run: async () => {
      const body = '<html><title>Welcome to our hotel</title></html>';
      await failsHonestly({ body, headers: { 'content-type': 'text/html' } });
      await failsHonestly({ body, headers: { 'content-type': 'application/octet-stream' } });
    },
  },
  {
    id: 'B17',
    what: 'bytes of files are never decoded',
    run: () => failsHonestly({ headers: { 'content-encoding': 'br' }, body: 'not brotli at all' }),
  },
  {
    id: 'B18',
    what: 'wheels that are bombs, encrypted, ambiguous or lie are served without core metadata',
    run: async () => {
      const metadata = 'Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n';
      const path = `${INFO}/METADATA`;
      for (const content of [
        writeOddZip([{ path, content: Buffer.alloc(30_000_000, 'a') }]),
        writeOddZip([{ path, content: metadata, flags: 1 }]),
        writeOddZip([
          { path, content: metadata },
          { path: 'demo-2.0.dist-info/METADATA', content: metadata },
        ]),
        writeOddZip([{ path, content: 'Metadata-Version: 2.1\nName: other\nVersion: 1.0\n' }]),
        writeOddZip([{ path, content: metadata }], { claims: { size: 0xfffffff0 } }),
        writeOddZip([{ path, content: metadata }], { claims: { count: 65_535 } }),
        writeOddZip([{ path, content: metadata, claims: { start: 0x7fffffff } }]),
        writeOddZip([{ path, content: metadata, claims: { sizeBytes: 0xfffffff0 } }], {
          isLong: true,
        }),
        randomBytes(5_000),
      ])
        await servesWithoutMetadata(content);
    },
  },
  {
    id: 'B23',
    what: 'core metadata that is missing or wrong at the index is taken out of the wheel',
    run: async () => {
      const { metadata = '' } = WHEEL;
      for (const lie of [{ metadataMissing: true }, {}]) {
        const set = await stage({ projects: { demo: [{ ...WHEEL, ...lie }] } });
        const path = `${set.upstream.filePath(WHEEL.filename)}.metadata`;
        if (!('metadataMissing' in lie)) set.upstream.fault(path, { body: 'Name: evil\n' });
        const answer = await set.mirror.get(path);
        expect([answer.status, answer.text]).toEqual([200, metadata]);
      }
      const wrong = await stage({
        projects: { demo: [{ ...WHEEL, listedMetadataSha256: sha256Of('lies') }] },
      });
      const path = wrong.upstream.filePath(WHEEL.filename);
      expect((await wrong.mirror.get(`${path}.metadata`)).status).toBe(404);
      await hold(wrong.mirror, path);
      await eventually(async () =>
        expect((await wrong.mirror.get(PAGE)).text).not.toContain(sha256Of('lies')),
      );
    },
  },
  {
    id: 'B25',
    what: 'a file whose ETag is reused for other bytes is not patched together from both',
    run: async () => {
      const big = blob('demo-1.0.tar.gz', 2_000_000);
      const set = await stage({ projects: { demo: [big] } });
      const path = set.upstream.filePath(big.filename);
      set.upstream.fault(path, { cutAfter: 1_000_000, times: 1 });
      set.upstream.fault(path, { flipByteAt: 1_500_000, skip: 1, times: 1 });
      await neverServesWrong(set, path, big.content);
      expect((await set.mirror.get(path)).body.equals(big.content)).toBe(true);
    },
  },
  {
    id: 'B33',
    what: 'headers without end, responses in one, HTTP/0.9 and floods of 1xx are no answers',
    run: async () => {
      const many = Array.from({ length: 10_000 }, (_, at) => `x${at}: ${'y'.repeat(20)}\r\n`).join(
        '',
      );
      const length = 'Content-Length: 2\r\n';
      for (const rawBytes of [
        `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(1_000_000)}\r\n${length}\r\nhi`,
        `HTTP/1.1 200 OK\r\n${many}${length}\r\nhi`,
        `HTTP/1.1 200 OK\r\nBad Header\r\n${length}\r\nhi`,
        `HTTP/1.1 200 OK\r\n${length}Content-Length: 7\r\n\r\nhi`,
        `HTTP/1.1 200 OK\r\n${length}\r\nhiHTTP/1.1 200 OK\r\n${length}\r\nho`,
        'just text\n',
        '\x16\x03\x01',
        'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(5_000),
      ]) {
        const set = await stage({}, IMPATIENT);
        set.upstream.fault(PAGE, { rawBytes });
        const page = await set.mirror.get(PAGE);
        expect([502, 503], rawBytes.slice(0, 40)).toContain(page.status);
        set.upstream.clearFaults();
        set.mirror.clock.advance(10_000);
        await listed(set.mirror);
        set.upstream.fault(/\.whl$/, { rawBytes });
        await neverServesWrong(set, set.wheelPath, WHEEL.content);
      }
    },
  },
  {
    id: 'B34',
    what: 'a certificate that nobody vouches for is refused, and http is never tried instead',
    run: async () => {
      const folder = await makeTempFolder();
      onTestFinished(() => folder.remove());
      const { key, cert } = makePrivateAuthority(folder.path);
      const set = await stage({ tls: { key, cert } });
      const page = await set.mirror.get(PAGE);
      expect([502, 503]).toContain(page.status);
      expect(set.upstream.requests).toEqual([]);
    },
  },
]);

faultTable('B: what is left on the disk', [
  {
    id: 'B10',
    what: 'no partial of a refused file is kept',
    run: async () => {
      const set = await stage();
      set.upstream.fault(/\.whl$/, { flipByteAt: 10 });
      await tryToGet(set.mirror, set.wheelPath);
      await eventually(() => {
        const left = readdirSync(join(set.mirror.cacheDir, 'state-v1', 'partial'));
        expect(left.filter((name) => name.endsWith('.part'))).toEqual([]);
      });
    },
  },
]);
