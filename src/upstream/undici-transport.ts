import { Agent } from 'undici';
import type { Dispatcher } from 'undici';
import { redact } from '../core/redact.ts';
import type { ResponseHeaders } from './cache-headers.ts';
import {
  asCallback,
  directConnector,
  optionsFor,
  tryToConnect,
  tunnelConnector,
} from './connectors.ts';
import type { Connector, ConnectorOptions } from './connectors.ts';
import type { Proxies, Proxy } from './proxies.ts';
import type {
  ConnectionRules,
  Transport,
  TransportOptions,
  TransportRequest,
  TransportResponse,
} from './transport.ts';
import { transportFailure } from './transport-failures.ts';
import { WarmSockets } from './warm-sockets.ts';

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

/** A transport over undici. */
export class UndiciTransport implements Pick<Transport, 'request' | 'probe' | 'warm' | 'close'> {
  readonly #headersTimeoutMs: number;
  readonly #options: TransportOptions;
  readonly #connectorOptions: ConnectorOptions;
  readonly #direct: Connector;
  readonly #directAgent: Agent;
  readonly #warm: WarmSockets;
  readonly #tunnels = new Map<string, { readonly agent: Agent; readonly connect: Connector }>();
  readonly #proxies: Proxies;

  /** @param rules what was found out before: they name the proxies and the certificates */
  constructor(options: TransportOptions, rules: ConnectionRules) {
    this.#options = options;
    this.#headersTimeoutMs = rules.headersTimeoutMs;
    this.#proxies = rules.proxies;
    this.#connectorOptions = {
      connectTimeoutMs: options.connectTimeoutMs ?? 3_000,
      trust: rules.trust,
      onConnect: rules.onConnect,
    };
    this.#direct = directConnector(this.#connectorOptions);
    this.#warm = new WarmSockets(this.#direct);
    this.#directAgent = this.#agent(this.#warm.connect);
  }

  async request(request: TransportRequest): Promise<TransportResponse> {
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
    const proxy = this.#proxies.proxyFor(url);
    try {
      if (proxy === undefined) await tryToConnect(url, this.#direct);
      else if (url.protocol === 'http:') await tryToConnect(proxy.url, this.#direct);
      else await tryToConnect(url, this.#tunnel(proxy).connect);
    } catch (error) {
      throw transportFailure(error, redact(url));
    }
  }

  async warm(url: URL, connections: number): Promise<void> {
    if (this.#proxies.proxyFor(url) === undefined) this.#warm.open(optionsFor(url), connections);
  }

  async close(): Promise<void> {
    this.#warm.close();
    const agents = [this.#directAgent, ...[...this.#tunnels.values()].map(({ agent }) => agent)];
    await Promise.all(agents.map((agent) => agent.destroy()));
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
      headersTimeout: this.#headersTimeoutMs,
      bodyTimeout: options.idleTimeoutMs ?? 20_000,
      keepAliveTimeout: 20_000,
      maxHeaderSize: options.maxHeaderBytes ?? LARGEST_HEADERS,
    });
  }
}
