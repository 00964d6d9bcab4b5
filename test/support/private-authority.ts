import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A certificate authority of our own, and a server's certificate from it. */
export interface PrivateAuthority {
  /** PEM file of the authority's certificate. */
  readonly caFile: string;
  /** PEM texts for a server on 127.0.0.1. */
  readonly key: string;
  readonly cert: string;
}

/** Makes both with openssl, in `folder`. `name` is the server's, by default its address. */
export function makePrivateAuthority(
  folder: string,
  name: string = 'IP:127.0.0.1',
): PrivateAuthority {
  const path = (file: string): string => join(folder, file);
  const openssl = (command: string): void => {
    execFileSync('openssl', command.split(' '), { stdio: 'ignore', cwd: folder });
  };
  const newKey = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes';
  const asAuthority = '-addext basicConstraints=critical,CA:TRUE -days 2 -subj /CN=authority';
  openssl(`req -x509 ${newKey} ${asAuthority} -keyout ca.key -out ca.pem`);
  openssl(`req ${newKey} -subj /CN=server -keyout server.key -out server.csr`);
  writeFileSync(path('server.ext'), `subjectAltName=${name}\n`);
  const signed = '-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile server.ext';
  openssl(`x509 -req -in server.csr ${signed} -out server.pem`);
  return {
    caFile: path('ca.pem'),
    key: readFileSync(path('server.key'), 'utf8'),
    cert: readFileSync(path('server.pem'), 'utf8'),
  };
}
