/** The clients of the benchmark, a process of its own. Started by `Client`; never by hand. */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { answerQuestions } from '../remote.ts';
import { quantile } from '../report/statistics.ts';

/** A request: where to, and with which headers. */
export interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** One answer, looked at but not kept. */
export interface Download {
  readonly status: number;
  /** Of the body, from connecting on; milliseconds. */
  readonly firstByteMs: number;
  readonly totalMs: number;
  readonly bodyBytes: number;
}

/** A time of load. */
export interface Hammered {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const READ_BYTES = 1 << 20;
const HEAD_END = Buffer.from('\r\n\r\n');
const LONGEST_MS = 120_000;

function requestBytes({ url, headers }: Target, connection: string): string {
  const { host, pathname, search } = new URL(url);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${pathname}${search} HTTP/1.1\r\nHost: ${host}\r\nConnection: ${connection}\r\n${lines.join('')}\r\n`;
}

/** A socket that reads into one buffer again and again: as cheap as a client can be in Node. */
function open(url: string, onBytes: (bytes: Buffer) => void): Socket {
  const { hostname, port } = new URL(url);
  return connect({
    host: hostname,
    port: Number(port),
    noDelay: true,
    onread: {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback: (length, buffer) => {
        onBytes((buffer as Buffer).subarray(0, length));
        return true;
      },
    },
  });
}

const LAST_CHUNK = '\r\n0\r\n\r\n';

/** Status and announced length; `null` for a body that ends with the connection. */
function readHead(head: string): { status: number; length: number | null } {
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0);
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  if (status === 304) return { status, length: 0 };
  return { status, length: length === undefined ? null : Number(length) };
}

function download(target: Target): Promise<Download> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    let head: Buffer | null = Buffer.alloc(0);
    let [status, bodyBytes, firstByteMs] = [0, 0, Number.NaN];
    let length: number | null = null;
    const socket = open(target.url, (bytes) => {
      let body = bytes;
      if (head !== null) {
        head = Buffer.concat([head, bytes]);
        const end = head.indexOf(HEAD_END);
        if (end < 0) return;
        ({ status, length } = readHead(head.toString('latin1', 0, end)));
        body = head.subarray(end + 4);
        head = null;
      }
      if (body.length > 0 && bodyBytes === 0) firstByteMs = performance.now() - startedAt;
      bodyBytes += body.length;
      if (length !== null && bodyBytes >= length) finish();
    });
    const timer = setTimeout(() => fail(new Error(`${target.url}: not all in time`)), LONGEST_MS);
    const finish = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ status, firstByteMs, totalMs: performance.now() - startedAt, bodyBytes });
    };
    const fail = (error: Error): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    socket.once('connect', () => socket.write(requestBytes(target, 'close')));
    socket.once('error', fail);
    socket.once('close', () => {
      if (length === null && status !== 0) return finish();
      fail(new Error(`${target.url}: ${bodyBytes} of ${length ?? '?'} bytes, then the end`));
    });
  });
}

/** Keeps `connections` busy. All answers must be of the first one's length, as those to equal requests are. */
async function hammer(options: {
  readonly target: Target;
  readonly connections: number;
  readonly durationMs: number;
}): Promise<Hammered> {
  const { target, connections, durationMs } = options;
  const startedAt = performance.now();
  const latencies: number[] = [];
  const isOver = (): boolean => performance.now() - startedAt >= durationMs;
  await Promise.all(
    Array.from({ length: connections }, () => hammerOne(target, latencies, isOver)),
  );
  const elapsedMs = performance.now() - startedAt;
  const [p50Ms, p99Ms] = [quantile(latencies, 0.5), quantile(latencies, 0.99)];
  return { requests: latencies.length, elapsedMs, p50Ms, p99Ms };
}

function hammerOne(target: Target, latencies: number[], isOver: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = Buffer.from(requestBytes(target, 'keep-alive'));
    let head: Buffer | null = Buffer.alloc(0);
    let [answerBytes, received, askedAt] = [0, 0, 0];
    /** Ends with an empty chunk, wherever that is (RFC 9112 §7.1). */
    let isChunked = false;
    let tail = '';
    const ask = (): void => {
      askedAt = performance.now();
      socket.write(request);
    };
    const socket = open(target.url, (bytes) => {
      received += bytes.length;
      if (head !== null) {
        head = Buffer.concat([head, bytes]);
        const end = head.indexOf(HEAD_END);
        if (end < 0) return;
        const text = head.toString('latin1', 0, end);
        const { status, length } = readHead(text);
        isChunked = length === null && /^transfer-encoding: *chunked/im.test(text);
        if ((length === null && !isChunked) || (status !== 200 && status !== 304)) {
          return void socket.destroy(
            new Error(`${target.url}: status ${status}, length ${length}`),
          );
        }
        answerBytes = end + 4 + (length ?? 0);
        head = null;
      }
      if (isChunked) {
        tail = (tail + bytes.toString('latin1')).slice(-LAST_CHUNK.length);
        if (tail !== LAST_CHUNK) return;
        answerBytes = received;
      }
      if (received < answerBytes) return;
      if (received > answerBytes) {
        return void socket.destroy(new Error(`${target.url}: answers differ in length`));
      }
      latencies.push(performance.now() - askedAt);
      received = 0;
      if (isChunked) [head, tail] = [Buffer.alloc(0), ''];
      if (isOver()) socket.end();
      else ask();
    });
    const timer = setTimeout(() => socket.destroy(new Error('no end of the load')), LONGEST_MS);
    socket.once('connect', ask);
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once('close', () => {
      clearTimeout(timer);
      if (isOver()) resolve();
      else reject(new Error(`${target.url}: the connection was closed`));
    });
  });
}

/** What the clients can be asked. */
const questions = {
  /** All at once, each on a connection of its own. */
  download: (targets: readonly Target[]): Promise<Download[]> => Promise.all(targets.map(download)),
  hammer: (options: Parameters<typeof hammer>[0]): Promise<Hammered> => hammer(options),
  /** One after the other on one connection each, so many times; the whole time in milliseconds. */
  repeat: async (options: {
    readonly target: Target;
    readonly clients: number;
    readonly times: number;
  }): Promise<{ readonly elapsedMs: number; readonly bodyBytes: number }> => {
    const startedAt = performance.now();
    let bodyBytes = 0;
    const client = async (): Promise<void> => {
      for (let at = 0; at < options.times; at++) {
        const { status, bodyBytes: got } = await download(options.target);
        if (status !== 200) throw new Error(`${options.target.url}: status ${status}`);
        bodyBytes += got;
      }
    };
    await Promise.all(Array.from({ length: options.clients }, client));
    return { elapsedMs: performance.now() - startedAt, bodyBytes };
  },
};
export type ClientQuestions = typeof questions;

answerQuestions(questions);
