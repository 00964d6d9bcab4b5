import { createServer, request as startRequest } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request of a client and what it got. */
export interface Exchange {
  readonly method: string;
  /** As sent: neither decoded nor cleaned. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** 0 when there was no answer. */
  status: number;
  answerHeaders: IncomingHttpHeaders;
  bodyBytes: number;
}

/** A proxy between clients and the mirror that writes everything down. */
export interface Recorder {
  /** `http://127.0.0.1:<port>` */
  readonly baseUrl: string;
  readonly indexUrl: string;
  /** Since the start or the last `forget()`, oldest first. */
  readonly exchanges: readonly Exchange[];
  /** Everything goes here from now on: to a mirror that was started again, on another port. */
  pointAt(targetUrl: string): void;
  forget(): void;
  close(): Promise<void>;
}

export interface RecorderOptions {
  readonly targetUrl: string;
  /** What requests must carry, like a reverse proxy that guards the mirror; without it 401. */
  readonly credentials?: { readonly username: string; readonly password: string };
}

/** Starts a recorder on a free port of 127.0.0.1. */
export async function startRecorder(options: RecorderOptions): Promise<Recorder> {
  let target = new URL(options.targetUrl);
  let exchanges: Exchange[] = [];
  const wanted = authorizationOf(options);
  const server = createServer((incoming, outgoing) => {
    const exchange: Exchange = {
      method: incoming.method ?? 'GET',
      path: incoming.url ?? '/',
      headers: incoming.headers,
      status: 0,
      answerHeaders: {},
      bodyBytes: 0,
    };
    exchanges.push(exchange);
    if (wanted !== null && incoming.headers.authorization !== wanted) {
      exchange.status = 401;
      outgoing.writeHead(401, { 'www-authenticate': 'Basic realm="recorder"' }).end('who?');
      return;
    }
    forward(target, incoming, outgoing, exchange);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    baseUrl,
    indexUrl: `${baseUrl}/simple/`,
    get exchanges() {
      return exchanges;
    },
    pointAt: (targetUrl) => void (target = new URL(targetUrl)),
    forget: () => void (exchanges = []),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function authorizationOf({ credentials }: RecorderOptions): string | null {
  if (credentials === undefined) return null;
  const pair = Buffer.from(`${credentials.username}:${credentials.password}`);
  return `Basic ${pair.toString('base64')}`;
}

function forward(
  target: URL,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  exchange: Exchange,
): void {
  const forwarded = startRequest({
    host: target.hostname,
    port: target.port,
    method: exchange.method,
    path: exchange.path,
    headers: incoming.headers,
  });
  forwarded.on('response', (answer) => {
    exchange.status = answer.statusCode ?? 0;
    exchange.answerHeaders = answer.headers;
    answer.on('data', (chunk: Buffer) => (exchange.bodyBytes += chunk.length));
    answer.on('error', () => outgoing.destroy());
    outgoing.writeHead(exchange.status, answer.headers);
    answer.pipe(outgoing);
  });
  forwarded.on('error', () => outgoing.destroy());
  outgoing.on('close', () => forwarded.destroy());
  incoming.pipe(forwarded);
}
