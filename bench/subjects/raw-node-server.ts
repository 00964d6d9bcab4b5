/** `node:http` with nothing but a table of answers. Started by `startRawNode`; never by hand. */
import { open, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerQuestions } from '../remote.ts';

/** An answer and where its body lies. */
export interface RawAnswer {
  readonly path: string;
  /** Names and values by turns, without those that Node adds. */
  readonly head: readonly string[];
  readonly bodyPath: string;
  /** Read from the disk for each request, a MiB at a time, instead of held in memory. */
  readonly isLarge: boolean;
}

interface Ready {
  readonly head: string[];
  readonly etag: string;
  readonly body: Buffer | string;
}

const READ_BYTES = 1 << 20;
const answers = new Map<string, Ready>();

const server = createServer((request, response) => {
  const ready = answers.get(request.url ?? '');
  if (ready === undefined) return void response.writeHead(404).end();
  if (request.headers['if-none-match'] === ready.etag) {
    return void response.writeHead(304, ['ETag', ready.etag]).end();
  }
  response.writeHead(200, ready.head);
  if (typeof ready.body === 'string') void pour(ready.body, response);
  else response.end(ready.body);
});

/** One buffer, read into again when its bytes have left. */
async function pour(path: string, response: ServerResponse): Promise<void> {
  const handle = await open(path);
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  try {
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0);
      if (bytesRead === 0 || response.destroyed) break;
      await new Promise<void>((resolve) => {
        response.write(buffer.subarray(0, bytesRead), () => resolve());
      });
    }
    response.end();
  } finally {
    await handle.close();
  }
}

/** What the server can be asked. */
const questions = {
  listen: async (): Promise<number> => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    return (server.address() as AddressInfo).port;
  },
  add: async ({ path, head, bodyPath, isLarge }: RawAnswer): Promise<void> => {
    const etag = head[head.findIndex((field) => field.toLowerCase() === 'etag') + 1] ?? '';
    const body = isLarge ? bodyPath : await readFile(bodyPath);
    answers.set(path, { head: [...head], etag, body });
  },
};
export type RawNodeQuestions = typeof questions;

answerQuestions(questions);
