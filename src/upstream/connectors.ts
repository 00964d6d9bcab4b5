import type { Socket } from 'node:net';
import { buildConnector } from 'undici';
import type { Proxy } from './proxies.ts';
import { TunnelRefusedError } from './transport-failures.ts';
import type { Trust } from './trust.ts';

/** Opens one connection: TCP, and TLS for https. */
export type Connector = (options: buildConnector.Options) => Promise<Socket>;

/** How connections to upstreams are made. */
export interface ConnectorOptions {
  /** For TCP and TLS together, and again for each step through a proxy. */
  readonly connectTimeoutMs: number;
  readonly trust: Trust;
  /** Called for every TCP connection that is begun. */
  readonly onConnect: () => void;
}

/** A proxy's answer to CONNECT is a few lines; more is an attack or a mistake. */
const LONGEST_TUNNEL_ANSWER = 16_384;

async function report(
  connecting: Promise<Socket>,
  callback: buildConnector.Callback,
): Promise<void> {
  let socket: Socket;
  try {
    socket = await connecting;
  } catch (error) {
    callback(error instanceof Error ? error : new Error(String(error)), null);
    return;
  }
  callback(null, socket);
}

/** The form that undici wants. */
export function asCallback(connect: Connector): buildConnector.connector {
  return (options, callback) => {
    void report(connect(options), callback);
  };
}

/**
 * One attempt with a deadline of our own: undici's timers come up to a second late, and that second
 * is what every client waits for when the network is gone.
 */
function attempt(
  connect: buildConnector.connector,
  target: buildConnector.Options,
  timeoutMs: number,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      const message = `No connection within ${timeoutMs} ms`;
      reject(Object.assign(new Error(message), { code: 'UND_ERR_CONNECT_TIMEOUT' }));
    }, timeoutMs);
    connect(target, (...[error, socket]) => {
      clearTimeout(timer);
      if (error !== null) reject(error);
      else if (isLate) socket.destroy();
      else resolve(socket);
    });
  });
}

/** Connects straight to the host. With `httpSocket`, only TLS is laid over that socket. */
export function directConnector(options: ConnectorOptions): Connector {
  const { connectTimeoutMs, trust, onConnect } = options;
  const plain = buildConnector({ timeout: connectTimeoutMs });
  let secure: buildConnector.connector | undefined;
  return async (target) => {
    if (target.httpSocket === undefined) onConnect();
    if (target.protocol !== 'https:') return attempt(plain, target, connectTimeoutMs);
    secure ??= buildConnector({
      timeout: connectTimeoutMs,
      secureContext: await trust.context(),
    });
    return attempt(secure, target, connectTimeoutMs);
  };
}

/** Asks the proxy at the other end of `socket` for a tunnel, and waits until it stands. */
function openTunnel(
  socket: Socket,
  authority: string,
  authorization: string | undefined,
  timeoutMs: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const finish = (error: Error | undefined): void => {
      clearTimeout(timer);
      socket.off('data', onData).off('error', finish).off('close', onClose);
      if (error === undefined) resolve();
      else {
        socket.on('error', () => {}).destroy();
        reject(error);
      }
    };
    const onClose = (): void => finish(new TunnelRefusedError(0));
    const onData = (chunk: Buffer): void => {
      answer += chunk.toString('latin1');
      const end = answer.indexOf('\r\n\r\n');
      if (end < 0 && answer.length < LONGEST_TUNNEL_ANSWER) return;
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(answer)?.[1] ?? 0);
      if (end < 0 || status < 200 || status > 299) return finish(new TunnelRefusedError(status));
      socket.pause();
      const rest = answer.slice(end + 4);
      if (rest !== '') socket.unshift(Buffer.from(rest, 'latin1'));
      finish(undefined);
    };
    const timer = setTimeout(
      () => finish(Object.assign(new Error('The proxy did not answer'), { code: 'ETIMEDOUT' })),
      timeoutMs,
    );
    socket.on('data', onData).on('error', finish).on('close', onClose);
    const login = authorization === undefined ? '' : `Proxy-Authorization: ${authorization}\r\n`;
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${login}\r\n`);
  });
}

/** How to reach a host itself. */
export function optionsFor(url: URL): buildConnector.Options {
  return {
    hostname: url.hostname.replace(/^\[|\]$/g, ''),
    host: url.host,
    protocol: url.protocol,
    port: url.port,
  };
}

/** Connects to https hosts through a proxy's CONNECT tunnel (RFC 9110 §9.3.6). */
export function tunnelConnector(
  proxy: Proxy,
  direct: Connector,
  options: ConnectorOptions,
): Connector {
  return async (target) => {
    const socket = await direct(optionsFor(proxy.url));
    const host = target.hostname.includes(':') ? `[${target.hostname}]` : target.hostname;
    const authority = `${host}:${target.port === '' ? '443' : target.port}`;
    await openTunnel(socket, authority, proxy.authorization, options.connectTimeoutMs);
    return direct({ ...target, httpSocket: socket });
  };
}

/** Connects to where `url` lives and hangs up at once. */
export async function tryToConnect(url: URL, connect: Connector): Promise<void> {
  const socket = await connect(optionsFor(url));
  socket.on('error', () => {}).destroy();
}
