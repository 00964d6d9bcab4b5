/**
 * The one way out to the network. Every request of every upstream goes through one dispatcher, so
 * that proxies, certificates, time limits and "no socket while offline" hold everywhere.
 *
 * https through a proxy is tunnelled (CONNECT); http through a proxy is asked for by its whole URL,
 * since many proxies allow CONNECT to port 443 only.
 */
import type { Logger } from '../core/logger.ts';
import type { ResponseHeaders } from './cache-headers.ts';
import type { EnvironmentRecord, Proxies } from './proxies.ts';
import type { Trust } from './trust.ts';

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
  /** Makes ready what the first request needs: it need not wait for it then. */
  prepare(): Promise<void>;
  /**
   * Opens connections to the host of `url` until so many stand ready for the requests to come, unless they go
   * through a proxy. Says nothing of how that went.
   */
  warm(url: URL, connections: number): Promise<void>;
  /** Number of TCP connections begun so far, those to proxies included. */
  readonly connectionsOpened: number;
  /** The limit that holds for requests without one of their own. */
  readonly headersTimeoutMs: number;
  /** Breaks off everything that is under way and closes all connections. */
  close(): Promise<void>;
}

/** How connections are made, all of it checked. */
export interface ConnectionRules {
  readonly headersTimeoutMs: number;
  readonly proxies: Proxies;
  readonly trust: Trust;
  /** Called for every TCP connection that is begun. */
  readonly onConnect: () => void;
}
