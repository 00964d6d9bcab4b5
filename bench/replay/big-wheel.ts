import { createCipheriv, createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { writeZip } from '../../test/support/zip-writer.ts';

const BLOCK_BYTES = 1 << 20;
const VERSION_NEEDED = 20;

/** A large wheel that is never in memory as a whole: its middle is one block again and again. */
export interface BigWheel {
  readonly filename: string;
  readonly head: Buffer;
  readonly block: Buffer;
  readonly blocks: number;
  readonly tail: Buffer;
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly metadata: string;
}

interface Padding {
  readonly crc: number;
  readonly digest: string;
}

let noise: Buffer | null = null;
const paddings = new Map<number, Padding>();

/** A valid wheel of about `megabytes` MiB; equal arguments give equal bytes. */
export function bigWheel(name: string, megabytes: number): BigWheel {
  noise ??= makeNoise();
  const block = noise;
  const padding = paddingOf(block, megabytes);
  const stem = `${name.replaceAll('-', '_')}-1.0`;
  const metadata = `Metadata-Version: 2.1\nName: ${name}\nVersion: 1.0\n\n`;
  const path = Buffer.from(`${stem.replace(/-1\.0$/, '')}/padding.bin`);
  const bytes = megabytes * BLOCK_BYTES;
  const common = commonHeader(padding.crc, bytes, path.length);
  const head = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, path]);
  const paddingEnd = head.length + bytes;
  const tail = tailOf(stem, metadata, common, path, paddingEnd, padding, bytes);
  const hash = createHash('sha256').update(head);
  for (let at = 0; at < megabytes; at++) hash.update(block);
  const sha256 = hash.update(tail).digest('hex');
  const filename = `${stem}-py3-none-any.whl`;
  const sizeBytes = paddingEnd + tail.length;
  return { filename, head, block, blocks: megabytes, tail, sizeBytes, sha256, metadata };
}

/** The bytes of a big wheel between two offsets, in pieces of at most a MiB. */
export function* bytesOf(wheel: BigWheel, start: number, end: number): Generator<Buffer> {
  let at = start;
  const middleEnd = wheel.head.length + wheel.blocks * BLOCK_BYTES;
  while (at < end) {
    let piece: Buffer;
    if (at < wheel.head.length) piece = wheel.head.subarray(at);
    else if (at >= middleEnd) piece = wheel.tail.subarray(at - middleEnd);
    else piece = wheel.block.subarray((at - wheel.head.length) % BLOCK_BYTES);
    piece = piece.subarray(0, end - at);
    at += piece.length;
    yield piece;
  }
}

function makeNoise(): Buffer {
  const key = createHash('sha256').update('big wheel').digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(BLOCK_BYTES));
}

function paddingOf(block: Buffer, blocks: number): Padding {
  const known = paddings.get(blocks);
  if (known !== undefined) return known;
  const hash = createHash('sha256');
  let crc = 0;
  for (let at = 0; at < blocks; at++) {
    hash.update(block);
    crc = crc32(block, crc);
  }
  const padding = { crc, digest: hash.digest('base64url') };
  paddings.set(blocks, padding);
  return padding;
}

/** The small members, then the directory: that of a small archive, moved, with our entry before it. */
function tailOf(
  stem: string,
  metadata: string,
  common: Buffer,
  path: Buffer,
  offset: number,
  padding: Padding,
  bytes: number,
): Buffer {
  const info = `${stem}.dist-info`;
  const wheel = 'Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n';
  const record = `${path.toString()},sha256=${padding.digest},${bytes}\n${info}/METADATA,,\n${info}/WHEEL,,\n${info}/RECORD,,\n`;
  const members = [
    { path: `${info}/METADATA`, content: Buffer.from(metadata) },
    { path: `${info}/WHEEL`, content: Buffer.from(wheel) },
    { path: `${info}/RECORD`, content: Buffer.from(record) },
  ];
  const small = writeZip(members);
  const end = Buffer.from(small.subarray(small.length - 22));
  const listingAt = end.readUInt32LE(16);
  const listing = Buffer.from(small.subarray(listingAt, small.length - 22));
  for (let at = 0; at < listing.length; at += 46 + listing.readUInt16LE(at + 28)) {
    listing.writeUInt32LE(listing.readUInt32LE(at + 42) + offset, at + 42);
  }
  const own = ownEntry(common, path);
  end.writeUInt16LE(members.length + 1, 8);
  end.writeUInt16LE(members.length + 1, 10);
  end.writeUInt32LE(listing.length + own.length, 12);
  end.writeUInt32LE(listingAt + offset, 16);
  return Buffer.concat([small.subarray(0, listingAt), own, listing, end]);
}

/** What a local header and a directory entry share (APPNOTE 4.3.7, 4.3.12); the member is stored. */
function commonHeader(crc: number, bytes: number, pathBytes: number): Buffer {
  const header = Buffer.alloc(26);
  header.writeUInt16LE(VERSION_NEEDED, 0);
  header.writeUInt16LE(0x0021, 8);
  header.writeUInt32LE(crc, 10);
  header.writeUInt32LE(bytes, 14);
  header.writeUInt32LE(bytes, 18);
  header.writeUInt16LE(pathBytes, 22);
  return header;
}

function ownEntry(common: Buffer, path: Buffer): Buffer {
  const start = Buffer.from('PK\x01\x02\x14\x03', 'latin1');
  const rest = Buffer.alloc(14);
  rest.writeUInt32LE((0o100644 << 16) >>> 0, 6);
  return Buffer.concat([start, common, rest, path]);
}
