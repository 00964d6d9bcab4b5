import { createWriteStream, existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';

/**
 * The positive control: a mirror that writes what comes straight to its final name, and serves whatever
 * is there. If the torture finds nothing wrong with it, the torture is blind.
 */
export async function startNaiveMirror(
  upstreamOrigin: string,
  folder: string,
): Promise<{ readonly origin: string; close(): void }> {
  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    const file = join(folder, basename(path));
    if (existsSync(file)) {
      void readFile(file).then((bytes) => response.end(bytes));
      return;
    }
    const asked = get(upstreamOrigin + path, (answer) => {
      response.statusCode = answer.statusCode ?? 502;
      if (answer.statusCode === 200) answer.pipe(createWriteStream(file));
      answer.on('error', () => response.destroy());
      answer.pipe(response);
    });
    asked.setTimeout(2_000, () => asked.destroy());
    asked.on('error', () => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, close: () => void server.close() };
}
