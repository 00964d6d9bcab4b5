import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';

/** The end-of-central-directory record: 22 bytes and a comment of at most 65,535 (APPNOTE.TXT §4.3.16). */
const ZIP_END = Buffer.from('504b0506', 'hex');
const ZIP_END_REACH = 22 + 65_535;

/**
 * Whether a file that no index vouches for by a digest at least ends as its kind must: a zip (wheel,
 * egg) with an end record that fits the length, a gzip with a trailer that fits the contents. Kinds
 * that cannot be judged are accepted.
 */
export async function hasReadableEnd(path: string, filename: string): Promise<boolean> {
  if (/\.(?:whl|zip|egg)$/i.test(filename)) return hasZipEnd(path);
  if (/\.(?:tar\.gz|tgz)$/i.test(filename)) return unpacksAsGzip(path);
  return true;
}

async function hasZipEnd(path: string): Promise<boolean> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const length = Math.min(size, ZIP_END_REACH);
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    const at = buffer.lastIndexOf(ZIP_END);
    return at >= 0 && at + 22 <= length && at + 22 + buffer.readUInt16LE(at + 20) === length;
  } finally {
    await handle.close();
  }
}

async function unpacksAsGzip(path: string): Promise<boolean> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  try {
    await pipeline(createReadStream(path), createGunzip(), nowhere);
    return true;
  } catch {
    return false;
  }
}
