import { NotHeldOfflineError } from '../core/errors.ts';
import { silentLogger } from '../core/logger.ts';
import { redact } from '../core/redact.ts';
import { parseProxies } from './proxies.ts';
import type {
  ConnectionRules,
  Transport,
  TransportOptions,
  TransportRequest,
  TransportResponse,
} from './transport.ts';
import { createTrust } from './trust.ts';
import type { UndiciTransport } from './undici-transport.ts';

const DEFAULT_HEADERS_TIMEOUT_MS = 10_000;

/** Loads the HTTP client with the first request: a server that answers from its cache needs none. */
class LazyTransport implements Transport {
  readonly headersTimeoutMs: number;
  readonly #options: TransportOptions;
  readonly #rules: ConnectionRules;
  #loading: Promise<UndiciTransport> | null = null;
  #connectionsOpened = 0;

  constructor(options: TransportOptions) {
    const environment = options.environment ?? {};
    const log = options.log ?? silentLogger;
    this.#options = options;
    this.headersTimeoutMs = options.headersTimeoutMs ?? DEFAULT_HEADERS_TIMEOUT_MS;
    this.#rules = {
      headersTimeoutMs: this.headersTimeoutMs,
      proxies: parseProxies(environment),
      trust: createTrust({ caFile: options.caFile ?? null, environment, log }),
      onConnect: () => {
        this.#connectionsOpened++;
      },
    };
  }

  get connectionsOpened(): number {
    return this.#connectionsOpened;
  }

  async request(request: TransportRequest): Promise<TransportResponse> {
    this.#refuseOffline(request.url);
    return await (await this.#transport()).request(request);
  }

  async probe(url: URL): Promise<void> {
    this.#refuseOffline(url);
    await (await this.#transport()).probe(url);
  }

  async prepare(): Promise<void> {
    if (this.#options.offline !== true) await this.#transport();
  }

  async warm(url: URL, connections: number): Promise<void> {
    if (this.#options.offline !== true) await (await this.#transport()).warm(url, connections);
  }

  async close(): Promise<void> {
    await (await this.#loading)?.close();
  }

  #transport(): Promise<UndiciTransport> {
    this.#loading ??= import('./undici-transport.ts').then(
      ({ UndiciTransport }) => new UndiciTransport(this.#options, this.#rules),
    );
    return this.#loading;
  }

  #refuseOffline(url: URL): void {
    if (this.#options.offline !== true) return;
    throw new NotHeldOfflineError(`Offline by choice: ${redact(url)} is not asked.`);
  }
}

/**
 * The transport of one process. Opens nothing before the first request.
 *
 * @throws ConfigurationError when a proxy variable names no http or https proxy.
 */
export function createTransport(options: TransportOptions = {}): Transport {
  return new LazyTransport(options);
}
