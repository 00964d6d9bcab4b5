import { createServer, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

/** A small HTTP proxy on 127.0.0.1, for whole URLs and for CONNECT, that notes what it is asked. */
export interface FakeProxy {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** Authorities of CONNECT requests. */
  readonly tunnels: string[];
  /** Whole URLs of plain requests. */
  readonly forwarded: string[];
  /** `Proxy-Authorization` values, in order of requests. */
  readonly authorizations: (string | undefined)[];
  /** Answer every request with this status instead; `null`: work. */
  refusal: number | null;
  close(): Promise<void>;
}

export async function startFakeProxy(): Promise<FakeProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    proxy.forwarded.push(request.url ?? '');
    proxy.authorizations.push(request.headers['proxy-authorization']);
    if (proxy.refusal !== null) {
      response.writeHead(proxy.refusal).end();
      return;
    }
    const { 'proxy-authorization': _login, ...headers } = request.headers;
    const onward = httpRequest(request.url ?? '', { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(response);
    });
    onward.on('error', () => response.writeHead(502).end());
    request.pipe(onward);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.on('connect', (request, client: Socket, head: Buffer) => {
    proxy.tunnels.push(request.url ?? '');
    proxy.authorizations.push(request.headers['proxy-authorization']);
    if (proxy.refusal !== null) {
      client.end(`HTTP/1.1 ${proxy.refusal} No\r\n\r\n`);
      return;
    }
    const target = new URL(`http://${request.url ?? ''}`);
    const onward = connect(Number(target.port), target.hostname, () => {
      client.write('HTTP/1.1 200 Connection established\r\nVia: fake\r\n\r\n');
      onward.write(head);
      onward.pipe(client).pipe(onward);
    });
    sockets.add(onward);
    onward.on('close', () => sockets.delete(onward));
    onward.on('error', () => client.end('HTTP/1.1 502 No\r\n\r\n'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: FakeProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tunnels: [],
    forwarded: [],
    authorizations: [],
    refusal: null,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return proxy;
}
