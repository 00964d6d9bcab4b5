import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { lstatSync, unlinkSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import proxyAddr from 'proxy-addr';
import { ConfigurationError, codeOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { answerText } from './answer-errors.ts';
import { hasTooManyRanges } from './byte-ranges.ts';
import { careForClient } from './client-care.ts';
import { ClientSockets } from './client-sockets.ts';
import type { FastDoor } from './fast-door.ts';
import { createHostGuard } from './host-guard.ts';

/** Where a server listens, to whom it answers, and its bounds. */
export interface HttpServerOptions {
  readonly listen: readonly { readonly host: string; readonly port: number }[];
  readonly unix: string | null;
  readonly allowedHosts: readonly string[];
  /** Peers whose `X-Forwarded-Host` is held against the same rules as the Host. */
  readonly trustProxy: readonly string[];
  readonly log: Logger;
  /** Answers what it has at hand, behind the guards and before everything else. */
  readonly fastDoor?: Pick<FastDoor, 'answers'>;
  /** A client that takes nothing of what is ready for it is let go after this; 90 s by default. */
  readonly stalledClientMs?: number;
  /** A client that has not sent the whole head of its request is let go after this; 20 s by default. */
  readonly headersWithinMs?: number;
  /** Largest head of a request, bytes; 32 KiB by default. */
  readonly maxHeadBytes?: number;
  /** Ranges of one request that are looked at; 16 by default. */
  readonly maxRanges?: number;
  /** Connections of one address at a time; none by default. */
  readonly connectionsPerClient?: number;
}

/** A server that listens on every configured address. */
export interface HttpServer {
  /** Origins, one for each TCP listener: `http://127.0.0.1:3141`. */
  readonly origins: readonly string[];
  /** Stops accepting, lets answers under way finish for `graceMs`, then breaks them. */
  close(graceMs: number): Promise<void>;
}

/** A client that takes nothing of what is ready for it is let go after this. */
const STALLED_CLIENT_MS = 90_000;

/** Whoever has not sent the head of a request by then is let go. */
const HEADERS_WITHIN_MS = 20_000;

/** Ample for any installer: cookies and long Accept lists are not theirs. */
const LARGEST_HEAD_BYTES = 32 * 1024;

/** Installers ask for one at a time. */
const MOST_RANGES = 16;

/** Idle keep-alive connections end after this. Longer than clients keep theirs, so that none is cut. */
const KEEP_ALIVE_MS = 75_000;

/**
 * Listens, with the guards in front of every handler: a target in origin form and, on TCP, one valid Host
 * header that is ours.
 *
 * @throws ConfigurationError when an address cannot be listened on
 */
export async function startHttpServer(
  options: HttpServerOptions,
  handler: RequestListener,
): Promise<HttpServer> {
  const sockets = new ClientSockets(options);
  const prepared = boundingRanges(options.maxRanges, preparing(handler, options.fastDoor));
  const guarded = guardingHost(options, prepared);
  const servers: Server[] = [];
  const origins: string[] = [];
  try {
    for (const { host, port } of options.listen) {
      const server = newServer(guarded, options, sockets);
      await listening(server, { host, port }, `${host}:${port}`);
      servers.push(server);
      origins.push(originOf(server.address() as AddressInfo));
    }
    if (options.unix !== null) {
      // No browser can be led to a socket file, so its Host needs no guard.
      const server = newServer(prepared, options, null);
      await removeDeadSocket(options.unix);
      await listening(server, { path: options.unix }, options.unix);
      servers.push(server);
    }
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }
  return { origins, close: (graceMs) => closeAll(servers, graceMs) };
}

/** @param sockets counts the connections of each address; `null` where there are no addresses */
function newServer(
  listener: RequestListener,
  options: HttpServerOptions,
  sockets: ClientSockets | null,
): Server {
  const headersTimeout = options.headersWithinMs ?? HEADERS_WITHIN_MS;
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout,
      requestTimeout: Math.max(60_000, headersTimeout),
      connectionsCheckingInterval: Math.min(5_000, headersTimeout),
      maxHeaderSize: options.maxHeadBytes ?? LARGEST_HEAD_BYTES,
    },
    listener,
  );
  server.maxHeadersCount = 200;
  server.setTimeout(options.stalledClientMs ?? STALLED_CLIENT_MS);
  // No "100 Continue": who asks before sending a body gets the answer instead.
  server.on('checkContinue', listener);
  if (sockets !== null) server.on('connection', (socket: Socket) => sockets.admit(socket));
  return server;
}

/**
 * More ranges than any honest client asks for are not looked at: the answer is the whole file, as if there
 * were no `Range` (RFC 9110 §14.2). A 416 would say that the file is shorter than the client thinks.
 */
function boundingRanges(most: number = MOST_RANGES, handler: RequestListener): RequestListener {
  return (request, response) => {
    if (hasTooManyRanges(request.headers.range, most)) delete request.headers.range;
    handler(request, response);
  };
}

/** What holds for every answer, whoever gives it. */
function preparing(
  handler: RequestListener,
  fastDoor: HttpServerOptions['fastDoor'],
): RequestListener {
  const otherDoor: RequestListener = (request, response) => {
    response.setHeader('X-Content-Type-Options', 'nosniff');
    careForClient(response);
    if (request.url === undefined || !request.url.startsWith('/')) {
      answerText(request, response, 400, 'The request target must be a path.');
      return;
    }
    handler(request, response);
  };
  if (fastDoor === undefined) return otherDoor;
  return (request, response) => {
    if (!fastDoor.answers(request, response, otherDoor)) otherDoor(request, response);
  };
}

function guardingHost(options: HttpServerOptions, handler: RequestListener): RequestListener {
  const isOurs = createHostGuard({
    listenHosts: options.listen.map((address) => address.host),
    allowedHosts: options.allowedHosts,
  });
  const isTrusted =
    options.trustProxy.length === 0 ? null : proxyAddr.compile([...options.trustProxy]);
  return (request: IncomingMessage, response: ServerResponse) => {
    const hosts = headerValues(request, 'host');
    if (hosts.length > 1) {
      answerText(request, response, 400, 'A request has one Host header.');
      return;
    }
    // A page in a browser cannot choose the Host, but it can add the other: both must be ours.
    if (isTrusted?.(request.socket.remoteAddress ?? '', 0) === true) {
      const forwarded = headerValues(request, 'x-forwarded-host').join(',');
      if (forwarded !== '') hosts.push(...forwarded.split(',').map((host) => host.trim()));
    }
    // HTTP/1.0 clients may send none; a browser, whose requests are the danger, always does.
    if (!hosts.every(isOurs)) {
      answerText(request, response, 421, NOT_OUR_HOST);
      return;
    }
    handler(request, response);
  };
}

const NOT_OUR_HOST = `This mirror does not answer to the name in the Host header.
If it should, add the name to allowed_hosts in its configuration (or set WHEELCELLAR_ALLOWED_HOSTS).`;

/** All values of a header, each by itself: `headers` keeps the first Host only. */
function headerValues(request: IncomingMessage, wanted: string): string[] {
  const { rawHeaders } = request;
  const values: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.length === wanted.length && name.toLowerCase() === wanted)
      values.push(rawHeaders[at + 1] ?? '');
  }
  return values;
}

async function listening(
  server: Server,
  where: { host: string; port: number } | { path: string },
  name: string,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(explainListenFailure(name, error)));
    server.listen(where, () => resolve());
  });
}

function explainListenFailure(name: string, error: Error): ConfigurationError {
  const code = codeOf(error);
  const hints: Record<string, string> = {
    EADDRINUSE:
      'Another program listens there. Is Wheelcellar running already? Choose another with --listen.',
    EACCES: 'Ports below 1024 need privileges. Choose a higher one with --listen.',
    EADDRNOTAVAIL: 'This machine does not have that address.',
  };
  const hint = hints[code ?? ''];
  return new ConfigurationError([`Cannot listen on ${name}: ${code ?? error.message}.`], {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** A socket file on which nobody answers is left over from a process that was killed. */
async function removeDeadSocket(path: string): Promise<void> {
  const code = await new Promise<string | undefined>((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error) => resolve(codeOf(error)));
  });
  // Connecting to an ordinary file is refused, too: that one is somebody's.
  if (code === 'ECONNREFUSED' && lstatSync(path).isSocket()) unlinkSync(path);
}

function originOf({ address, family, port }: AddressInfo): string {
  const host = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address;
  return `http://${family === 'IPv6' && host === address ? `[${host}]` : host}:${port}`;
}

async function closeAll(servers: readonly Server[], graceMs: number): Promise<void> {
  await Promise.all(
    servers.map(
      (server) =>
        new Promise<void>((resolve) => {
          const timer = setTimeout(() => server.closeAllConnections(), graceMs);
          // Connections that were busy become idle one by one.
          const sweep = setInterval(() => server.closeIdleConnections(), 50);
          server.close(() => {
            clearTimeout(timer);
            clearInterval(sweep);
            resolve();
          });
          server.closeIdleConnections();
        }),
    ),
  );
}
