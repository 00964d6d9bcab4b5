import { request as httpRequest } from 'node:http';
import type { Agent, IncomingHttpHeaders } from 'node:http';
import { connect } from 'node:net';

/** An answer, wholly read. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
  /** From sending the request to the last byte, milliseconds. */
  readonly elapsedMs: number;
}

export interface AskOptions {
  readonly method?: string;
  /** Sent as they are. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Keeps connections; without one, each request has its own. */
  readonly agent?: Agent;
  readonly socketPath?: string;
}

/**
 * Sends a request whose target is `target` to the letter: nothing is normalized, as `fetch` would do.
 *
 * @throws Error when the connection breaks before the end of the body
 */
export async function ask(
  origin: string,
  target: string,
  options: AskOptions = {},
): Promise<Answer> {
  const { hostname, port } = new URL(origin);
  const startedAt = performance.now();
  return await new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        ...(options.socketPath === undefined
          ? { host: hostname, port }
          : { socketPath: options.socketPath }),
        path: target,
        method: options.method ?? 'GET',
        headers: { ...options.headers },
        agent: options.agent ?? false,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const body = Buffer.concat(chunks);
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body,
            text: body.toString(),
            elapsedMs: performance.now() - startedAt,
          });
        });
      },
    );
    request.on('error', reject);
    request.end(options.body);
  });
}

/** Writes these bytes to a new connection; resolves with all that came back until it was closed. */
export async function sendRaw(origin: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(origin);
  return await new Promise((resolve) => {
    let received = '';
    const socket = connect(Number(port), hostname, () => socket.write(bytes, 'latin1'));
    socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
    socket.on('error', () => resolve(received));
    socket.on('close', () => resolve(received));
  });
}
