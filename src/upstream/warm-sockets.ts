import type { Socket } from 'node:net';
import type { buildConnector } from 'undici';
import type { Connector } from './connectors.ts';

/** One that nobody has taken by then is closed: servers close idle ones soon after. */
const KEPT_MS = 10_000;

/**
 * Connections that were opened before there was anything to ask: whoever needs one takes it, and with it
 * the handshakes that are already done.
 */
export class WarmSockets {
  readonly #connect: Connector;
  readonly #ready = new Map<string, Set<Socket>>();
  readonly #opening = new Map<string, number>();
  #isClosed = false;

  constructor(connect: Connector) {
    this.#connect = connect;
  }

  /** Gives a connection that stands, or opens one. A {@link Connector} for undici. */
  readonly connect: Connector = async (options) => {
    for (const socket of this.#ready.get(keyOf(options)) ?? []) {
      this.#forget(keyOf(options), socket);
      // An answer that came before the question is none.
      const isSilent = socket.readable && socket.writable && socket.readableLength === 0;
      if (isSilent && !socket.destroyed) return socket;
      socket.destroy();
    }
    return await this.#connect(options);
  };

  /** Opens connections until so many stand ready. Failures are nobody's concern: nothing was asked. */
  open(options: buildConnector.Options, count: number): void {
    const key = keyOf(options);
    const have = (this.#ready.get(key)?.size ?? 0) + (this.#opening.get(key) ?? 0);
    for (let more = have; more < count; more++) {
      this.#opening.set(key, (this.#opening.get(key) ?? 0) + 1);
      void this.#connect(options)
        .then((socket) => this.#keep(key, socket))
        .catch(() => {})
        .finally(() => this.#opening.set(key, (this.#opening.get(key) ?? 1) - 1));
    }
  }

  /** Closes what nobody has taken. */
  close(): void {
    this.#isClosed = true;
    for (const sockets of this.#ready.values()) for (const socket of sockets) socket.destroy();
    this.#ready.clear();
  }

  #keep(key: string, socket: Socket): void {
    if (this.#isClosed) return void socket.destroy();
    const sockets = this.#ready.get(key) ?? new Set();
    this.#ready.set(key, sockets.add(socket));
    const drop = (): void => {
      this.#forget(key, socket);
      socket.destroy();
    };
    dropping.set(socket, drop);
    socket.on('error', drop).on('close', drop).on('end', drop).setTimeout(KEPT_MS, drop);
    socket.unref();
  }

  #forget(key: string, socket: Socket): void {
    this.#ready.get(key)?.delete(socket);
    const drop = dropping.get(socket);
    if (drop === undefined) return;
    dropping.delete(socket);
    socket.off('close', drop).off('end', drop).setTimeout(0).off('timeout', drop);
    // Until undici listens for errors itself, one must not end the process.
    process.nextTick(() => socket.off('error', drop));
    socket.ref();
  }
}

const dropping = new WeakMap<Socket, () => void>();

/** The name that TLS is told is always that of the host: no request goes by another one. */
function keyOf({ protocol, hostname, port }: buildConnector.Options): string {
  return `${protocol}//${hostname}:${port}`;
}
