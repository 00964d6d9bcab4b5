import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { unlinkSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import proxyAddr from 'proxy-addr';
import { ConfigurationError, codeOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { answerText } from './answer-errors.ts';
import { createHostGuard } from './host-guard.ts';

export interface HttpServerOptions {
  readonly listen: readonly { readonly host: string; readonly port: number }[];
  readonly unix: string | null;
  readonly allowedHosts: readonly string[];
  /** Peers whose `X-Forwarded-Host` stands for the Host. */
  readonly trustProxy: readonly string[];
  readonly log: Logger;
}

/** A server that listens on every configured address. */
export interface HttpServer {
  /** Origins, one for each TCP listener: `http://127.0.0.1:3141`. */
  readonly origins: readonly string[];
  /** Stops accepting, lets answers under way finish for `graceMs`, then breaks them. */
  close(graceMs: number): Promise<void>;
}

/** Idle keep-alive connections end after this. Longer than clients keep theirs, so that none is cut. */
const KEEP_ALIVE_MS = 75_000;

/**
 * Listens, with the guards in front of every handler: one valid Host header that is ours, and a target in
 * origin form.
 *
 * @throws ConfigurationError when an address cannot be listened on
 */
export async function startHttpServer(options: HttpServerOptions, handler: RequestListener): Promise<HttpServer> {
  const guard = createGuard(options, handler);
  const servers: Server[] = [];
  const origins: string[] = [];
  try {
    for (const { host, port } of options.listen) {
      const server = newServer(guard);
      await listening(server, { host, port }, `${host}:${port}`);
      servers.push(server);
      origins.push(originOf(server.address() as AddressInfo));
    }
    if (options.unix !== null) {
      const server = newServer(handler);
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

function newServer(listener: RequestListener): Server {
  const server = createServer(
    { keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: 20_000, requestTimeout: 60_000, maxHeaderSize: 32 * 1024 },
    listener,
  );
  server.maxHeadersCount = 200;
  return server;
}

function createGuard(options: HttpServerOptions, handler: RequestListener): RequestListener {
  const isOurs = createHostGuard({
    listenHosts: options.listen.map((address) => address.host),
    allowedHosts: options.allowedHosts,
  });
  const isTrusted = proxyAddr.compile([...options.trustProxy]);
  return (request: IncomingMessage, response: ServerResponse) => {
    if (request.url === undefined || !request.url.startsWith('/')) {
      answerText(request, response, 400, 'The request target must be a path.');
      return;
    }
    const hosts = hostHeaders(request);
    if (hosts.length > 1) {
      answerText(request, response, 400, 'A request has one Host header.');
      return;
    }
    const host = forwardedHost(request, isTrusted) ?? hosts[0];
    // HTTP/1.0 clients may send none; a browser, whose requests are the danger, always does.
    if (host !== undefined && !isOurs(host)) {
      answerText(
        request,
        response,
        421,
        `This mirror does not answer to the name in the Host header.\nIf it should, add the name to allowed_hosts in its configuration (or set WHEELCELLAR_ALLOWED_HOSTS).`,
      );
      return;
    }
    handler(request, response);
  };
}

function hostHeaders(request: IncomingMessage): string[] {
  const { rawHeaders } = request;
  const hosts: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.toLowerCase() === 'host') hosts.push(rawHeaders[at + 1] ?? '');
  }
  return hosts;
}

function forwardedHost(
  request: IncomingMessage,
  isTrusted: (address: string, hop: number) => boolean,
): string | undefined {
  const forwarded = request.headers['x-forwarded-host'];
  if (typeof forwarded !== 'string' || !isTrusted(request.socket.remoteAddress ?? '', 0)) return undefined;
  return forwarded.split(',')[0]?.trim();
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
    EADDRINUSE: 'Another program listens there. Is Wheelcellar running already? Choose another with --listen.',
    EACCES: 'Ports below 1024 need privileges. Choose a higher one with --listen.',
    EADDRNOTAVAIL: 'This machine does not have that address.',
  };
  const hint = hints[code ?? ''];
  return new ConfigurationError([`Cannot listen on ${name}: ${code ?? error.message}.`], {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** A socket file that nobody answers on is left over from a process that was killed. */
async function removeDeadSocket(path: string): Promise<void> {
  const code = await new Promise<string | undefined>((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error) => resolve(codeOf(error)));
  });
  if (code === 'ECONNREFUSED') unlinkSync(path);
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
          server.close(() => {
            clearTimeout(timer);
            resolve();
          });
          server.closeIdleConnections();
        }),
    ),
  );
}
