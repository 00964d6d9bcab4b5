/**
 * A real index over `node:http` on 127.0.0.1, with counters and faults that can be switched on and off.
 *
 * @example
 * const upstream = await startFakeUpstream({ projects: { demo: [file] } });
 * upstream.fault(upstream.filePath('demo-1.0.tar.gz'), { cutAfter: 1000, times: 1 });
 * …
 * expect(upstream.count('/simple/demo/')).toBe(1);
 * await upstream.close();
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import {
  htmlPage,
  jsonPage,
  legacyJson,
  pathOfFile,
  rootPage,
  sha256Of,
} from './fake-upstream-pages.ts';
import type { FakeFile, FakeProject } from './fake-upstream-pages.ts';
import { sendAnswer } from './fake-upstream-faults.ts';
import type { Answer, Fault } from './fake-upstream-faults.ts';
import type {
  FakeBehaviour,
  FakeUpstream,
  FakeUpstreamOptions,
  RawAnswer,
  SeenRequest,
  Where,
} from './fake-upstream-types.ts';

export type { FakeFile } from './fake-upstream-pages.ts';
export type { Fault } from './fake-upstream-faults.ts';
export type { FakeUpstream, FakeUpstreamOptions } from './fake-upstream-types.ts';
export { sha256Of } from './fake-upstream-pages.ts';

interface ActiveFault {
  readonly where: Where;
  readonly fault: Fault;
  seen: number;
}

const matches = (where: Where, path: string): boolean =>
  where === '*' || (typeof where === 'string' ? where === path : where.test(path));

const normalized = (name: string): string => name.replace(/[-_.]+/g, '-').toLowerCase();

const DEFAULTS: FakeBehaviour = {
  mode: 'negotiate',
  pageEtags: true,
  pageLastModified: false,
  maxAgeSeconds: 600,
  pageCacheControl: null,
  serial: 1,
  gzip: true,
  legacyJson: true,
  fileEtags: true,
  ranges: true,
  filePrefix: '../..',
  credentials: null,
};

class FakeIndex implements FakeUpstream {
  readonly behaviour: FakeBehaviour;
  requests: SeenRequest[] = [];
  connections = 0;
  #server: Server;
  #scheme: string;
  #port = 0;
  #projects = new Map<string, FakeProject>();
  #raw = new Map<string, RawAnswer>();
  #faults: ActiveFault[] = [];
  #sockets = new Set<Socket>();
  #blackholed = false;
  #changedAt: Date = new Date('2024-05-06T07:08:09Z');

  constructor(options: FakeUpstreamOptions) {
    const { projects, tls, port: _port, ...behaviour } = options;
    this.behaviour = { ...DEFAULTS, ...behaviour };
    for (const [name, files] of Object.entries(projects ?? {})) {
      this.#projects.set(name, { name, files, serial: this.behaviour.serial });
    }
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      void this.#handle(request, response);
    };
    this.#scheme = tls === undefined ? 'http' : 'https';
    this.#server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on('connection', (socket: Socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  get port(): number {
    return this.#port;
  }

  get origin(): string {
    return `${this.#scheme}://127.0.0.1:${this.#port}`;
  }

  get indexUrl(): string {
    return `${this.origin}/simple/`;
  }

  get linksUrl(): string {
    return `${this.origin}/links/`;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', () => {
        this.#server.off('error', reject);
        this.#port = (this.#server.address() as AddressInfo).port;
        resolve();
      });
    });
  }

  setProject(name: string, files: readonly FakeFile[] | null): void {
    const old = this.#projects.get(name);
    this.#changedAt = new Date(this.#changedAt.getTime() + 60_000);
    if (files === null) {
      this.#projects.delete(name);
      return;
    }
    const serial = old === undefined ? this.behaviour.serial : old.serial;
    this.#projects.set(name, { ...old, name, files, serial: serial === null ? null : serial + 1 });
  }

  setStatus(name: string, status: string, reason?: string): void {
    const old = this.#projects.get(name) ?? { name, files: [], serial: this.behaviour.serial };
    const statusReason = reason === undefined ? {} : { statusReason: reason };
    this.#projects.set(name, { ...old, status, ...statusReason });
  }

  setRaw(path: string, answer: RawAnswer | null): void {
    if (answer === null) this.#raw.delete(path);
    else this.#raw.set(path, answer);
  }

  filePath(filename: string): string {
    for (const file of this.#files()) if (file.filename === filename) return pathOfFile(file);
    throw new Error(`No project of the fake upstream has a file ${filename}.`);
  }

  fileUrl(filename: string): string {
    return this.origin + this.filePath(filename);
  }

  fault(where: Where, fault: Fault): () => void {
    const active: ActiveFault = { where, fault, seen: 0 };
    this.#faults.push(active);
    return () => {
      this.#faults = this.#faults.filter((other) => other !== active);
    };
  }

  clearFaults(): void {
    this.#faults = [];
  }

  count(where: Where, method?: string): number {
    return this.requests.filter(
      (seen) => matches(where, seen.path) && (method === undefined || seen.method === method),
    ).length;
  }

  bytesSent(where: Where): number {
    return this.requests
      .filter((seen) => matches(where, seen.path))
      .reduce((sum, seen) => sum + seen.bytesSent, 0);
  }

  forget(): void {
    this.requests = [];
    this.connections = 0;
  }

  async down(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async up(): Promise<void> {
    if (!this.#server.listening) await this.listen(this.#port);
  }

  blackhole(on: boolean = true): void {
    this.#blackholed = on;
  }

  async close(): Promise<void> {
    this.#blackholed = false;
    await this.down();
  }

  *#files(): Generator<FakeFile> {
    for (const project of this.#projects.values()) yield* project.files;
  }

  #faultFor(path: string, method: string): Fault {
    let merged: Fault = {};
    for (const active of this.#faults) {
      const { fault } = active;
      if (!matches(active.where, path)) continue;
      if (fault.method !== undefined && fault.method !== method) continue;
      const turn = active.seen++ - (fault.skip ?? 0);
      if (turn >= 0 && turn < (fault.times ?? Infinity)) merged = { ...merged, ...fault };
    }
    return merged;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '/';
    const method = request.method ?? 'GET';
    const seen: SeenRequest = { method, path, headers: request.headers, bytesSent: 0, status: 0 };
    this.requests.push(seen);
    if (this.#blackholed) return;
    const fault = this.#faultFor(path, method);
    await sendAnswer(request, response, this.#answer(request, path, fault), fault, seen);
  }

  #answer(request: IncomingMessage, path: string, fault: Fault): Answer {
    const { credentials } = this.behaviour;
    if (credentials !== null) {
      const pair = Buffer.from(`${credentials.username}:${credentials.password}`);
      if (request.headers.authorization !== `Basic ${pair.toString('base64')}`) {
        return { status: 401, headers: { 'www-authenticate': 'Basic realm="fake"' }, body: 'who?' };
      }
    }
    const raw = this.#raw.get(path);
    if (raw !== undefined) {
      return { status: raw.status ?? 200, headers: { ...raw.headers }, body: raw.body ?? '' };
    }
    const plain = path.replace(/\?.*$/s, '');
    return (
      this.#pageAnswer(request, plain) ??
      this.#legacyAnswer(plain) ??
      this.#fileAnswer(request, plain, fault) ?? { status: 404, headers: {}, body: 'Not Found' }
    );
  }

  #pageAnswer(request: IncomingMessage, path: string): Answer | undefined {
    const asJson = this.#wantsJson(request);
    if (path === '/links/') {
      const all: FakeProject = { name: 'all', files: [...this.#files()], serial: null };
      return this.#conditional(request, htmlPage(all, '..'), 'text/html', null);
    }
    if (path === '/simple/') {
      const body = rootPage([...this.#projects.keys()], asJson);
      const type = asJson ? 'application/vnd.pypi.simple.v1+json' : 'text/html';
      return { status: 200, headers: { 'content-type': type }, body };
    }
    const asked = /^\/simple\/([^/]+)(\/?)$/.exec(path);
    if (asked === null) return undefined;
    const name = normalized(decodeURIComponent(asked[1] ?? ''));
    const project = this.#projects.get(name);
    if (project === undefined) return undefined;
    if (name !== asked[1] || asked[2] === '') {
      return { status: 301, headers: { location: `/simple/${name}/` }, body: '' };
    }
    const { filePrefix } = this.behaviour;
    const body = asJson ? jsonPage(project, filePrefix) : htmlPage(project, filePrefix);
    const type = asJson ? 'application/vnd.pypi.simple.v1+json' : 'text/html; charset=UTF-8';
    return this.#conditional(request, body, type, project.serial);
  }

  #wantsJson(request: IncomingMessage): boolean {
    const { mode } = this.behaviour;
    if (mode !== 'negotiate') return mode === 'json';
    return (request.headers.accept ?? '').includes('application/vnd.pypi.simple.v1+json');
  }

  #conditional(
    request: IncomingMessage,
    body: string,
    contentType: string,
    serial: number | null,
  ): Answer {
    const { behaviour } = this;
    const etag = `"${sha256Of(body).slice(0, 32)}"`;
    const changed = this.#changedAt.toUTCString();
    const headers: Record<string, string> = { 'content-type': contentType, vary: 'Accept' };
    if (behaviour.pageEtags) headers['etag'] = etag;
    if (behaviour.pageLastModified) headers['last-modified'] = changed;
    if (behaviour.pageCacheControl !== null) headers['cache-control'] = behaviour.pageCacheControl;
    else if (behaviour.maxAgeSeconds !== null) {
      headers['cache-control'] = `max-age=${behaviour.maxAgeSeconds}, public`;
    }
    if (serial !== null) headers['x-pypi-last-serial'] = String(serial);
    const same =
      (behaviour.pageEtags && request.headers['if-none-match'] === etag) ||
      (behaviour.pageLastModified && request.headers['if-modified-since'] === changed);
    if (same) return { status: 304, headers, body: '' };
    if (!behaviour.gzip || !/\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))) {
      return { status: 200, headers, body };
    }
    return {
      status: 200,
      headers: { ...headers, 'content-encoding': 'gzip' },
      body: gzipSync(body),
    };
  }

  #legacyAnswer(path: string): Answer | undefined {
    const asked = /^\/pypi\/([^/]+)(?:\/([^/]+))?\/json$/.exec(path);
    const project = this.#projects.get(asked?.[1] ?? '');
    if (asked === null || project === undefined || !this.behaviour.legacyJson) return undefined;
    const body = legacyJson(project, this.origin, asked[2]);
    if (body === undefined) return undefined;
    return { status: 200, headers: { 'content-type': 'application/json' }, body };
  }

  #fileAnswer(request: IncomingMessage, path: string, fault: Fault): Answer | undefined {
    const wanted = decodeURIComponent(path);
    for (const file of this.#files()) {
      const own = decodeURIComponent(pathOfFile(file));
      if (wanted === own) return this.#part(request, file.content, fault);
      if (wanted === `${own}.metadata` && file.metadata !== undefined) {
        if (file.metadataMissing === true) return undefined;
        return this.#part(request, Buffer.from(file.metadata), fault);
      }
    }
    return undefined;
  }

  #part(request: IncomingMessage, content: Buffer, fault: Fault): Answer {
    const etag = `"${sha256Of(content).slice(0, 32)}"`;
    const headers: Record<string, string> = { 'content-type': 'application/octet-stream' };
    if (this.behaviour.fileEtags) headers['etag'] = etag;
    if (!this.behaviour.ranges) return { status: 200, headers, body: content };
    headers['accept-ranges'] = 'bytes';
    const asked = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '');
    const ifRange = request.headers['if-range'];
    const changed = ifRange !== undefined && (ifRange !== etag || !this.behaviour.fileEtags);
    if (asked === null || changed || fault.ignoreRange === true) {
      return { status: 200, headers, body: content };
    }
    const [, first = '', last = ''] = asked;
    const start = first === '' ? Math.max(0, content.length - Number(last)) : Number(first);
    const end =
      first === '' || last === '' ? content.length - 1 : Math.min(Number(last), content.length - 1);
    if (start >= content.length || start > end) {
      return { status: 416, headers: { 'content-range': `bytes */${content.length}` }, body: '' };
    }
    const lie = fault.contentRangeShift ?? 0;
    headers['content-range'] = `bytes ${start + lie}-${end + lie}/${content.length}`;
    return { status: 206, headers, body: content.subarray(start, end + 1), bodyStart: start };
  }
}

/** Starts a fake index on a free port of 127.0.0.1. Close it when the test ends. */
export async function startFakeUpstream(options: FakeUpstreamOptions = {}): Promise<FakeUpstream> {
  const index = new FakeIndex(options);
  await index.listen(options.port ?? 0);
  return index;
}
