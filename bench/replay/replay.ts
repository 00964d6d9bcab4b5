/** The upstream of the benchmark, a process of its own. Started by `Replay`; never by hand. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { rootPage } from '../../test/support/fake-upstream-pages.ts';
import { answerQuestions } from '../remote.ts';
import { bytesOf } from './big-wheel.ts';
import type { BigWheel } from './big-wheel.ts';
import { makeProject, rootNames } from './projects.ts';
import type { ReadyBody, ReplayProject } from './projects.ts';
import { QUIET } from './weather.ts';
import type { Counts, Weather } from './weather.ts';

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';
/** Longer than any run, so that no page goes stale while it is measured. */
const PAGE_CACHING = 'max-age=7200, public';

const projects = new Map<string, ReplayProject>();
const files = new Map<string, Buffer | BigWheel>();
/** When each connection was accepted, by `performance.now()`. */
const acceptedAt = new WeakMap<Socket, number>();
let weather: Weather = QUIET;
let counts = new Map<string, number>();
let bytesSent = 0;
let faultsLeft = 0;
/** When the link has carried everything that was given to it, by `performance.now()`. */
let linkFreeAt = 0;

function projectOf(name: string): ReplayProject | undefined {
  const known = projects.get(name);
  if (known !== undefined) return known;
  const made = makeProject(name);
  if (made === undefined) return undefined;
  projects.set(name, made);
  for (const [path, content] of made.files) files.set(path, content);
  return made;
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = (request.url ?? '/').replace(/\?.*$/s, '');
  counts.set(path, (counts.get(path) ?? 0) + (request.method === 'GET' ? 1 : 0));
  response.on('error', () => {});
  const readyAt = (acceptedAt.get(request.socket) ?? 0) + weather.handshakeMs;
  const waitMs = weather.latencyMs + Math.max(0, readyAt - performance.now());
  if (waitMs > 0) await pause(waitMs);
  if (strikes(path)) {
    if (weather.fault?.kind === 'status') return end(response, 503, {}, Buffer.from('fault'));
    if (weather.fault?.kind === 'reset') return void request.socket.resetAndDestroy();
    return; // A stall: silence, with the connection open.
  }
  await answer(request, response, path);
}

function strikes(path: string): boolean {
  const { fault } = weather;
  if (fault === null || faultsLeft <= 0 || !new RegExp(fault.path).test(path)) return false;
  faultsLeft--;
  return true;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
): Promise<void> {
  const wantsJson = (request.headers.accept ?? '').includes(JSON_TYPE);
  if (path === '/simple/') {
    const body = Buffer.from(rootPage(rootNames(), wantsJson));
    return end(response, 200, { 'content-type': wantsJson ? JSON_TYPE : 'text/html' }, body);
  }
  const [, page] = /^\/simple\/([^/]+)\/$/.exec(path) ?? [];
  if (page !== undefined) {
    const project = projectOf(page);
    if (project === undefined) return end(response, 404, {}, Buffer.from('Not Found'));
    return sendPage(request, response, wantsJson ? project.json : project.html, wantsJson);
  }
  const [, legacy] = /^\/pypi\/([^/]+)\/json$/.exec(path) ?? [];
  const document = legacy === undefined ? undefined : projectOf(legacy)?.legacy;
  if (document !== undefined) {
    return end(response, 200, { 'content-type': 'application/json' }, document);
  }
  const content = files.get(decodeURIComponent(path));
  if (content === undefined) return end(response, 404, {}, Buffer.from('Not Found'));
  await sendFile(request, response, content);
}

function sendPage(
  request: IncomingMessage,
  response: ServerResponse,
  body: ReadyBody,
  isJson: boolean,
): void {
  const headers: Record<string, string> = {
    'content-type': isJson ? JSON_TYPE : 'text/html; charset=UTF-8',
    'cache-control': PAGE_CACHING,
    vary: 'Accept, Accept-Encoding',
    etag: body.etag,
    'x-pypi-last-serial': '1',
  };
  if (request.headers['if-none-match'] === body.etag) {
    response.writeHead(304, headers).end();
    return;
  }
  const zips = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''));
  if (zips) headers['content-encoding'] = 'gzip';
  end(response, 200, headers, zips ? body.gzip : body.plain);
}

async function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  content: Buffer | BigWheel,
): Promise<void> {
  const total = Buffer.isBuffer(content) ? content.length : content.sizeBytes;
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  const isRange = first !== '' || last !== '';
  const start =
    first === '' ? (last === '' ? 0 : Math.max(0, total - Number(last))) : Number(first);
  const stop = first === '' || last === '' ? total : Math.min(total, Number(last) + 1);
  if (start >= stop) {
    return end(response, 416, { 'content-range': `bytes */${total}` }, Buffer.alloc(0));
  }
  response.writeHead(isRange ? 206 : 200, {
    'content-type': 'application/octet-stream',
    'content-length': stop - start,
    'accept-ranges': 'bytes',
    'cache-control': 'max-age=365000000, immutable, public',
    etag: Buffer.isBuffer(content) ? `"${total}"` : `"${content.sha256.slice(0, 32)}"`,
    ...(isRange ? { 'content-range': `bytes ${start}-${stop - 1}/${total}` } : {}),
  });
  if (request.method === 'HEAD') return void response.end();
  const pieces = Buffer.isBuffer(content)
    ? [content.subarray(start, stop)]
    : bytesOf(content, start, stop);
  const startedAt = performance.now();
  let sent = 0;
  for (const piece of pieces) {
    for (const slice of slicesOf(piece)) {
      if (response.destroyed) return;
      sent += slice.length;
      bytesSent += slice.length;
      await overLink(slice.length);
      if (!response.write(slice)) await drained(response);
      const rate = weather.bytesPerSecond;
      const early = rate === null ? 0 : startedAt + (sent / rate) * 1000 - performance.now();
      if (early > 0) await pause(early);
    }
  }
  response.end();
}

/** Small slices when there is a rate to be kept, all of it otherwise. */
function* slicesOf(piece: Buffer): Generator<Buffer> {
  const rate = weather.bytesPerSecond ?? weather.linkBytesPerSecond;
  const step = rate === null ? piece.length : Math.max(1_024, Math.round(rate / 100));
  for (let at = 0; at < piece.length; at += step) yield piece.subarray(at, at + step);
}

/** Resolves when a link that all answers share has carried so many bytes more. */
async function overLink(bytes: number): Promise<void> {
  if (weather.linkBytesPerSecond === null) return;
  const now = performance.now();
  linkFreeAt = Math.max(now, linkFreeAt) + (bytes / weather.linkBytesPerSecond) * 1000;
  await pause(linkFreeAt - now);
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (response.destroyed || !response.writableNeedDrain) return resolve();
    const go = (): void => {
      response.off('drain', go).off('close', go);
      resolve();
    };
    response.on('drain', go).on('close', go);
  });
}

function end(
  response: ServerResponse,
  status: number,
  headers: Record<string, string>,
  body: Buffer,
): void {
  bytesSent += body.length;
  void overLink(body.length).then(() =>
    response.writeHead(status, { ...headers, 'content-length': body.length }).end(body),
  );
}

/** What the replay can be asked. */
const questions = {
  /** Its port, once it listens. */
  listen: async (): Promise<number> => {
    if (!server.listening) {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    }
    return (server.address() as AddressInfo).port;
  },
  /** Makes projects beforehand, so that nobody waits for it while being measured. */
  prepare: (names: readonly string[]): void => names.forEach((name) => void projectOf(name)),
  setWeather: (next: Weather): void => {
    weather = next;
    faultsLeft = next.fault?.times ?? 0;
  },
  forget: (): void => {
    counts = new Map();
    bytesSent = 0;
  },
  counts: (): Counts => ({ gets: Object.fromEntries(counts), bytesSent }),
};
export type ReplayQuestions = typeof questions;

const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
  void handle(request, response);
});
server.on('connection', (socket) => acceptedAt.set(socket, performance.now()));
answerQuestions(questions);
