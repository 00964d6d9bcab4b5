/** Something like nginx before a mirror: keeps the paths it was asked for; can do TLS and want a password. */
import { createServer, request as askPlain } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { PrivateAuthority } from '../support/private-authority.ts';
import type { ServerProcess } from '../support/server-process.ts';

export interface Front {
  readonly port: number;
  /** Paths in the order they were asked for. */
  readonly paths: string[];
}

export interface FrontOptions {
  readonly authority?: PrivateAuthority;
  /** `user:password`. */
  readonly credentials?: string;
}

/** Starts one on 127.0.0.1, until the test is over. */
export async function startFront(
  server: ServerProcess,
  options: FrontOptions = {},
): Promise<Front> {
  const { authority, credentials } = options;
  const expected =
    credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString('base64')}`;
  const paths: string[] = [];
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    if (expected !== undefined && request.headers.authorization !== expected) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="mirror"' }).end();
      return;
    }
    paths.push(request.url ?? '/');
    passOn(server.baseUrl, request, response);
  };
  const front =
    authority === undefined ? createServer(listener) : createTlsServer(authority, listener);
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    front.closeAllConnections();
    front.close();
  });
  return { port: (front.address() as AddressInfo).port, paths };
}

function passOn(baseUrl: string, request: IncomingMessage, response: ServerResponse): void {
  const { host: _host, authorization: _authorization, ...headers } = request.headers;
  const onward = askPlain(`${baseUrl}${request.url ?? '/'}`, { headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on('error', () => response.destroy());
  onward.end();
}
