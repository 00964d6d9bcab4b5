/**
 * The one way out to the network. Every request of every upstream goes through one dispatcher, so
 * that proxies, certificates, time limits and "no socket while offline" hold everywhere.
 *
 * https through a proxy is tunnelled (CONNECT); http through a proxy is asked for by its whole URL,
 * since many proxies allow CONNECT to port 443 only.
 */
import { Agent } from 'undici';
import type { Dispatcher } from 'undici';
import { NotHeldOfflineError } from '../core/errors.ts';
import { silentLogger } from '../core/logger.ts';
import type { Logger } from '../core/logger.ts';
import { redact } from '../core/redact.ts';
import { asCallback, directConnector, tryToConnect, tunnelConnector } from './connectors.ts';
import type { Connector, ConnectorOptions } from './connectors.ts';
import type { ResponseHeaders } from './cache-headers.ts';
import { parseProxies } from './proxies.ts';
import type { EnvironmentRecord, Proxies, Proxy } from './proxies.ts';
import { transportFailure } from './transport-failures.ts';
import { createTrust } from './trust.ts';

/** The limits, routes and names with which upstreams are asked. */
export interface TransportOptions {
  /** TCP and TLS together; default 3 s. */
  readonly connectTimeoutMs?: number;
  /** From the request to the answer's headers; default 10 s. */
  readonly headersTimeoutMs?: number;
  /** Between two pieces of a body; default 20 s. */
  readonly idleTimeoutMs?: number;
  /** Default 32. */
  readonly connectionsPerHost?: number;
  /** Largest head of an answer; default 64 KiB. */
  readonly maxHeaderBytes?: number;
  /** PEM bundle that is trusted beside node's roots. */
  readonly caFile?: string | null;
  /** Proxy and certificate variables are taken from here; none by default. */
  readonly environment?: EnvironmentRecord;
  /** Offline by choice: every request is refused before a socket is opened. */
  readonly offline?: boolean;
  /** Value of `User-Agent`; default `wheelcellar`. */
  readonly userAgent?: string;
  readonly log?: Logger;
}

/** One request to an upstream. */
export interface TransportRequest {
  readonly method: 'GET' | 'HEAD';
  readonly url: URL;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** Shorter than the transport's own. */
  readonly headersTimeoutMs?: number | undefined;
}

/** One answer, redirects included: nothing is followed here. */
export interface TransportResponse {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /** As it came over the wire. Fails with the classes that `request` fails with. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Reads a short rest so that the connection can be used again, or closes it. */
  discard(): void;
  /** Closes the connection, wherever the body is. */
  cancel(): void;
}

/** The only way to the network: connections, proxies, trust and redirects are decided here. */
export interface Transport {
  /**
   * Sends one request.
   *
   * @throws UpstreamUnreachableError when no connection comes about
   * @throws UpstreamUnavailableError when it breaks or takes too long
   * @throws InvalidUpstreamAnswerError when TLS fails or the answer is no HTTP
   * @throws NotHeldOfflineError when offline by choice
   */
  request(request: TransportRequest): Promise<TransportResponse>;
  /** Connects to the host of `url`, through its proxy if it has one, and hangs up. Throws as `request`. */
  probe(url: URL): Promise<void>;
  /** Number of TCP connections begun so far, those to proxies included. */
  readonly connectionsOpened: number;
  /** The limit that holds for requests without one of their own. */
  readonly headersTimeoutMs: number;
  /** Breaks off everything that is under way and closes all connections. */
  close(): Promise<void>;
}

/** A rest longer than this costs more to read than a new connection. */
const LONGEST_DISCARDED_BODY = 65_536;
const LONGEST_DISCARD_MS = 2_000;

/** The official index sends about 2 kB of headers; node's own limit of 16 kB is known to be met. */
const LARGEST_HEADERS = 65_536;

function plainHeaders(
  raw: Readonly<Record<string, string | string[] | undefined>>,
): ResponseHeaders {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(raw)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}

async function* readBody(
  body: Dispatcher.ResponseData['body'],
  request: TransportRequest,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) yield chunk as Uint8Array;
  } catch (error) {
    throw failureOf(error, request);
  }
}

/** Whoever aborts knows why: that reason passes unchanged. */
function failureOf(thrown: unknown, request: TransportRequest): unknown {
  const { signal, url } = request;
  return signal?.aborted === true ? signal.reason : transportFailure(thrown, redact(url));
}

function responseOf(data: Dispatcher.ResponseData, request: TransportRequest): TransportResponse {
  const { body } = data;
  // Nobody may be listening when the connection breaks after the answer was given up.
  body.on('error', () => {});
  return {
    status: data.statusCode,
    headers: plainHeaders(data.headers),
    body: readBody(body, request),
    discard: () => {
      const signal = AbortSignal.timeout(LONGEST_DISCARD_MS);
      body.dump({ limit: LONGEST_DISCARDED_BODY, signal }).catch(() => body.destroy());
    },
    cancel: () => {
      body.destroy();
    },
  };
}

class UndiciTransport implements Transport {
  connectionsOpened = 0;
  readonly headersTimeoutMs: number;
  readonly #options: TransportOptions;
  readonly #connectorOptions: ConnectorOptions;
  readonly #direct: Connector;
  readonly #directAgent: Agent;
  readonly #tunnels = new Map<string, { readonly agent: Agent; readonly connect: Connector }>();
  readonly #proxies: Proxies;

  constructor(options: TransportOptions) {
    const environment = options.environment ?? {};
    const log = options.log ?? silentLogger;
    this.#options = options;
    this.headersTimeoutMs = options.headersTimeoutMs ?? 10_000;
    this.#proxies = parseProxies(environment);
    this.#connectorOptions = {
      connectTimeoutMs: options.connectTimeoutMs ?? 3_000,
      trust: createTrust({ caFile: options.caFile ?? null, environment, log }),
      onConnect: () => {
        this.connectionsOpened++;
      },
    };
    this.#direct = directConnector(this.#connectorOptions);
    this.#directAgent = this.#agent(this.#direct);
  }

  async request(request: TransportRequest): Promise<TransportResponse> {
    this.#refuseOffline(request.url);
    const { url, method, signal, headersTimeoutMs } = request;
    const proxy = this.#proxies.proxyFor(url);
    const path = url.pathname + url.search;
    const byWholeUrl = proxy !== undefined && url.protocol === 'http:';
    const agent = proxy === undefined || byWholeUrl ? this.#directAgent : this.#tunnel(proxy).agent;
    const headers: Record<string, string> = {
      'user-agent': this.#options.userAgent ?? 'wheelcellar',
      ...request.headers,
      host: url.host,
    };
    if (byWholeUrl && proxy.authorization !== undefined) {
      headers['proxy-authorization'] = proxy.authorization;
    }
    try {
      const data = await agent.request({
        origin: byWholeUrl ? proxy.url.origin : url.origin,
        path: byWholeUrl ? url.origin + path : path,
        method,
        headers,
        ...(signal === undefined ? {} : { signal }),
        ...(headersTimeoutMs === undefined ? {} : { headersTimeout: headersTimeoutMs }),
      });
      return responseOf(data, request);
    } catch (error) {
      throw failureOf(error, request);
    }
  }

  async probe(url: URL): Promise<void> {
    this.#refuseOffline(url);
    const proxy = this.#proxies.proxyFor(url);
    try {
      if (proxy === undefined) await tryToConnect(url, this.#direct);
      else if (url.protocol === 'http:') await tryToConnect(proxy.url, this.#direct);
      else await tryToConnect(url, this.#tunnel(proxy).connect);
    } catch (error) {
      throw transportFailure(error, redact(url));
    }
  }

  async close(): Promise<void> {
    const agents = [this.#directAgent, ...[...this.#tunnels.values()].map(({ agent }) => agent)];
    await Promise.all(agents.map((agent) => agent.destroy()));
  }

  #refuseOffline(url: URL): void {
    if (this.#options.offline !== true) return;
    throw new NotHeldOfflineError(`Offline by choice: ${redact(url)} is not asked.`);
  }

  #tunnel(proxy: Proxy): { readonly agent: Agent; readonly connect: Connector } {
    const key = proxy.url.origin;
    const present = this.#tunnels.get(key);
    if (present !== undefined) return present;
    const connect = tunnelConnector(proxy, this.#direct, this.#connectorOptions);
    const made = { agent: this.#agent(connect), connect };
    this.#tunnels.set(key, made);
    return made;
  }

  #agent(connect: Connector): Agent {
    const options = this.#options;
    return new Agent({
      connect: asCallback(connect),
      connections: options.connectionsPerHost ?? 32,
      pipelining: 1,
      headersTimeout: this.headersTimeoutMs,
      bodyTimeout: options.idleTimeoutMs ?? 20_000,
      keepAliveTimeout: 20_000,
      maxHeaderSize: options.maxHeaderBytes ?? LARGEST_HEADERS,
    });
  }
}

/**
 * The transport of one process. Opens nothing before the first request.
 *
 * @throws ConfigurationError when a proxy variable names no http or https proxy.
 */
export function createTransport(options: TransportOptions = {}): Transport {
  return new UndiciTransport(options);
}
