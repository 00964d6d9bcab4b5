import { createHash } from 'node:crypto';
import { piecesInSlices } from '../simple/slices.ts';
import type { Pieces } from '../simple/slices.ts';

/** A page as bytes. */
export interface PageBytes {
  readonly body: Buffer;
  /** A strong entity tag (RFC 9110 §8.8.3), made of the sha256. */
  readonly etag: string;
}

/** Writes a page in slices of a few milliseconds: its bytes and their digest grow piece by piece. */
export async function gatherPage(pieces: Pieces): Promise<PageBytes> {
  const hash = createHash('sha256');
  const parts: Buffer[] = [];
  for await (const piece of piecesInSlices(pieces)) {
    const part = Buffer.from(piece);
    hash.update(part);
    parts.push(part);
  }
  return { body: Buffer.concat(parts), etag: tagOf(hash.digest()) };
}

/** A short page at once. */
export function pageOf(text: string): PageBytes {
  const body = Buffer.from(text);
  return { body, etag: tagOf(createHash('sha256').update(body).digest()) };
}

function tagOf(digest: Buffer): string {
  return `"${digest.toString('base64url').slice(0, 22)}"`;
}
