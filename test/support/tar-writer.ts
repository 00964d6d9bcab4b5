import { gzipSync } from 'node:zlib';
import type { ArchiveMember } from './zip-writer.ts';

const BLOCK = 512;

/** A `.tar.gz` of `members` in ustar form; owner, group and times are zero, so equal input gives equal bytes. */
export function writeTarGz(members: readonly ArchiveMember[]): Buffer {
  const blocks = members.flatMap(({ path, content }) => [
    header(path, content.length),
    content,
    Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK),
  ]);
  // Level 0: deflate's output differs between processors, stored blocks do not.
  const zipped = gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]), { level: 0 });
  zipped[9] = 255; // The "operating system" byte of RFC 1952, which zlib fills in by platform.
  return zipped;
}

function header(path: string, sizeBytes: number): Buffer {
  if (Buffer.byteLength(path) > 100) throw new RangeError(`path too long for ustar: ${path}`);
  const block = Buffer.alloc(BLOCK);
  block.write(path, 0);
  block.write(octal(0o644, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(sizeBytes, 12), 124);
  block.write(octal(0, 12), 136);
  block.write('        ', 148); // The checksum counts its own field as spaces.
  block.write('0', 156);
  block.write('ustar\x0000', 257);
  const checksum = block.reduce((sum, byte) => sum + byte, 0);
  block.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`;
}
