import type { Socket } from 'node:net';
import proxyAddr from 'proxy-addr';
import type { Logger } from '../core/logger.ts';

/** What bounds the connections of one client. */
export interface ClientSocketsOptions {
  /** At a time, for each address; absent: no bound. */
  readonly connectionsPerClient?: number;
  /** Peers that stand for many clients are not bounded. */
  readonly trustProxy: readonly string[];
  readonly log: Logger;
}

const BODY = 'Too many connections at a time from this address.\n';

/** The whole answer: no request needs to be read to give it. */
const REFUSAL = [
  'HTTP/1.1 503 Service Unavailable',
  'Retry-After: 1',
  'Content-Type: text/plain; charset=utf-8',
  'X-Content-Type-Options: nosniff',
  'Cache-Control: no-store',
  `Content-Length: ${Buffer.byteLength(BODY)}`,
  'Connection: close',
  '',
  BODY,
].join('\r\n');

/**
 * Counts the connections of each address. One client can then not take all descriptors of this process,
 * by accident or on purpose; who has too many is told to come again in a second.
 */
export class ClientSockets {
  readonly #most: number;
  readonly #isProxy: (address: string, hop: number) => boolean;
  readonly #log: Logger;
  readonly #open = new Map<string, number>();

  constructor(options: ClientSocketsOptions) {
    this.#most = options.connectionsPerClient ?? Infinity;
    this.#isProxy = proxyAddr.compile([...options.trustProxy]);
    this.#log = options.log;
  }

  /** Takes a new connection into account, or answers 503 and ends it. */
  admit(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    if (this.#isProxy(address, 0)) return;
    const open = this.#open.get(address) ?? 0;
    if (open >= this.#most) return this.#refuse(socket, address);
    this.#open.set(address, open + 1);
    socket.once('close', () => {
      const left = (this.#open.get(address) ?? 1) - 1;
      if (left > 0) this.#open.set(address, left);
      else this.#open.delete(address);
    });
  }

  #refuse(socket: Socket, address: string): void {
    this.#log.debug('a client has too many connections', { address, most: this.#most });
    // Read and thrown away: unread bytes would turn the end into a reset that takes the answer along.
    socket.resume();
    socket.end(REFUSAL);
    socket.setTimeout(2_000, () => socket.destroy());
  }
}
