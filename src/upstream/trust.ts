import { readdir, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createSecureContext, rootCertificates } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { EnvironmentRecord } from './proxies.ts';

/** Variables by which users of pip, curl, requests and node name a bundle of certificates. */
const BUNDLE_VARIABLES: readonly string[] = [
  'SSL_CERT_FILE',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'PIP_CERT',
  'NODE_EXTRA_CA_CERTS',
];

/** A folder of certificates has some hundreds of files; more is a mistake such as `/`. */
const MOST_FILES_IN_FOLDER = 2000;

/** Where certificates of authorities are looked for. */
export interface TrustOptions {
  /** A PEM bundle from the configuration. */
  readonly caFile: string | null;
  readonly environment: EnvironmentRecord;
  readonly log: Logger;
}

/** Whom to believe: node's own roots and what the user added. */
export interface Trust {
  /**
   * The one context that all connections share. Made at the first call, since parsing some three
   * hundred certificates takes longer than a handshake.
   */
  context(): Promise<SecureContext>;
}

const CERTIFICATE =
  /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g;

async function readBundle(path: string, log: Logger): Promise<readonly string[]> {
  try {
    return (await readFile(path, 'utf8')).match(CERTIFICATE) ?? [];
  } catch (error) {
    // Going on can only mean that fewer servers are trusted.
    log.warn('certificate bundle not read', { path, cause: messageOf(error) });
    return [];
  }
}

async function bundlesIn(folder: string, log: Logger): Promise<readonly string[]> {
  try {
    const names = await readdir(folder);
    return names
      .filter((name) => /\.(?:pem|crt|cer|\d+)$/.test(name))
      .slice(0, MOST_FILES_IN_FOLDER)
      .map((name) => join(folder, name));
  } catch (error) {
    log.warn('certificate folder not read', { path: folder, cause: messageOf(error) });
    return [];
  }
}

async function addedCertificates(options: TrustOptions): Promise<readonly string[]> {
  const { caFile, environment, log } = options;
  const paths = new Set<string>(caFile === null ? [] : [caFile]);
  for (const variable of BUNDLE_VARIABLES) {
    const path = environment[variable];
    if (path !== undefined && path !== '') paths.add(path);
  }
  for (const folder of (environment['SSL_CERT_DIR'] ?? '').split(delimiter)) {
    if (folder !== '') for (const path of await bundlesIn(folder, log)) paths.add(path);
  }
  const certificates: string[] = [];
  for (const path of paths) {
    // REQUESTS_CA_BUNDLE may name a folder.
    const isFolder = await readdir(path).then(
      () => true,
      () => false,
    );
    for (const file of isFolder ? await bundlesIn(path, log) : [path]) {
      certificates.push(...(await readBundle(file, log)));
    }
  }
  return certificates;
}

async function createContext(options: TrustOptions): Promise<SecureContext> {
  const added = await addedCertificates(options);
  if (added.length === 0) return createSecureContext();
  const usable = added.filter((certificate) => {
    try {
      createSecureContext({ ca: certificate });
      return true;
    } catch (error) {
      options.log.warn('certificate left out', { cause: messageOf(error) });
      return false;
    }
  });
  return createSecureContext({ ca: [...new Set([...rootCertificates, ...usable])] });
}

/** Trust read lazily from files. */
export function createTrust(options: TrustOptions): Trust {
  let context: Promise<SecureContext> | undefined;
  return { context: () => (context ??= createContext(options)) };
}
