/** A stand-in for the official index: the decoy, under the official names, on an address of loopback. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { request as askPlain } from 'node:http';
import { onTestFinished } from 'vitest';
import { makeOverlay } from '../images/image-stage.ts';
import type { ImageStage } from '../images/image-stage.ts';
import { makePrivateAuthority } from '../support/private-authority.ts';

/** Both names that the two pairs of elements write into the settings of pip. */
const NAMES = ['pypi.org', 'pypi.python.org'];

/** Not 127.0.0.1, whose port 443 may be somebody's. */
const ADDRESS = '127.0.0.92';

/** Starts it until the test is over; `env` lets an image find it and believe its certificate. */
export async function officialIndex(
  stage: ImageStage,
): Promise<{ readonly env: Readonly<Record<string, string>> }> {
  const authority = makePrivateAuthority(
    stage.folder,
    NAMES.map((name) => `DNS:${name}`).join(','),
  );
  const server = createServer(authority, (request, response) => {
    const { host: _host, ...headers } = request.headers;
    const url = `${stage.decoy.origin}${request.url ?? '/'}`;
    const onward = askPlain(url, { headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    onward.end();
  });
  await new Promise<void>((resolve) => server.listen(443, ADDRESS, resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const certificates = '/etc/ssl/certs/ca-certificates.crt';
  const overlay = await makeOverlay(stage.folder, {
    [certificates.slice(1)]: await readFile(authority.caFile, 'utf8'),
  });
  const env = {
    PROBE_OVERLAY: overlay,
    PROBE_HOSTS: `${ADDRESS} ${NAMES.join(' ')}`,
    // uv brings certificates of its own otherwise, and knows those of the real index only.
    SSL_CERT_FILE: certificates,
  };
  return { env };
}
