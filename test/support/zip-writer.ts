import { crc32, deflateRawSync } from 'node:zlib';

/** One member of an archive. */
export interface ArchiveMember {
  /** With `/` between folders. */
  readonly path: string;
  readonly content: Buffer;
}

/** 1980-01-01 00:00, the first moment a zip file can name: the same bytes on every day. */
const DOS_DATE = 0x0021;
const VERSION_NEEDED = 20;
const UTF8_NAMES = 0x0800;
/** `-rw-r--r--` of a regular file in the upper half, as Unix archivers write it. */
const FILE_MODE = (0o100644 << 16) >>> 0;
const MADE_BY_UNIX = (3 << 8) | VERSION_NEEDED;

/**
 * A zip archive of `members`, in their order. Members are stored as they are unless `isCompressed`:
 * deflate's output differs between processors, stored bytes do not.
 */
export function writeZip(members: readonly ArchiveMember[], isCompressed = false): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const member of members) {
    const name = Buffer.from(member.path, 'utf8');
    const data = isCompressed ? deflateRawSync(member.content) : member.content;
    const common = commonHeader(member.content, data, name, isCompressed);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, name, data]);
    directory.push(directoryEntry(common, name, offset));
    locals.push(local);
    offset += local.length;
  }
  const listing = Buffer.concat(directory);
  return Buffer.concat([...locals, listing, endRecord(members.length, listing.length, offset)]);
}

/** The 26 bytes that a local header and a directory entry share (APPNOTE 4.3.7, 4.3.12). */
function commonHeader(content: Buffer, data: Buffer, name: Buffer, isCompressed: boolean): Buffer {
  const header = Buffer.alloc(26);
  header.writeUInt16LE(VERSION_NEEDED, 0);
  header.writeUInt16LE(UTF8_NAMES, 2);
  header.writeUInt16LE(isCompressed ? 8 : 0, 4);
  header.writeUInt16LE(DOS_DATE, 8);
  header.writeUInt32LE(crc32(content), 10);
  header.writeUInt32LE(data.length, 14);
  header.writeUInt32LE(content.length, 18);
  header.writeUInt16LE(name.length, 22);
  return header;
}

function directoryEntry(common: Buffer, name: Buffer, offset: number): Buffer {
  const start = Buffer.from('PK\x01\x02\0\0', 'latin1');
  start.writeUInt16LE(MADE_BY_UNIX, 4);
  const rest = Buffer.alloc(14);
  rest.writeUInt32LE(FILE_MODE, 6);
  rest.writeUInt32LE(offset, 10);
  return Buffer.concat([start, common, rest, name]);
}

function endRecord(count: number, listingBytes: number, listingOffset: number): Buffer {
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 0, 'latin1');
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(listingBytes, 12);
  end.writeUInt32LE(listingOffset, 16);
  return end;
}
