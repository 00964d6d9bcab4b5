import { crc32, deflateRawSync } from 'node:zlib';

/** A member that may say something untrue about itself. */
export interface OddMember {
  readonly path: string;
  readonly content: Buffer | string;
  readonly isStored?: boolean;
  /** Size and checksum behind the content, zeroes in the local header (as streaming writers do). */
  readonly hasDescriptor?: boolean;
  /** All sizes and offsets in zip64 extra fields. */
  readonly isLong?: boolean;
  /** Further bits of the general purpose flag, in both headers. */
  readonly flags?: number;
  readonly method?: number;
  /** What the directory says instead of the truth. */
  readonly claims?: {
    readonly sizeBytes?: number;
    readonly compressedBytes?: number;
    readonly crc32?: number;
    readonly start?: number;
    readonly path?: string;
    readonly extra?: Buffer;
  };
}

/** What the end of the archive says. */
export interface OddEnd {
  readonly comment?: string;
  /** With a zip64 end record. */
  readonly isLong?: boolean;
  /** Bytes between directory and end record. */
  readonly gap?: Buffer;
  /** Instead of the truth, in the record that counts. */
  readonly claims?: { readonly count?: number; readonly size?: number; readonly start?: number };
}

const SATURATED = 0xffffffff;

/** A zip archive as no ordinary archiver would write it. */
export function writeOddZip(members: readonly OddMember[], end: OddEnd = {}): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const member of members) {
    const { local, entry } = writeMember(member, offset);
    locals.push(local);
    directory.push(entry);
    offset += local.length;
  }
  const listing = Buffer.concat(directory);
  const { claims = {} } = end;
  const truth = { count: members.length, size: listing.length, start: offset, ...claims };
  const gap = end.gap ?? Buffer.alloc(0);
  const longEnd =
    end.isLong === true
      ? writeLongEnd(truth, offset + listing.length + gap.length)
      : Buffer.alloc(0);
  return Buffer.concat([...locals, listing, gap, longEnd, writeEnd(truth, end)]);
}

function writeMember(member: OddMember, offset: number): { local: Buffer; entry: Buffer } {
  const content = Buffer.from(member.content as string);
  const data = member.isStored === true ? content : deflateRawSync(content);
  const method = member.method ?? (member.isStored === true ? 0 : 8);
  const flags = (member.flags ?? 0) | (member.hasDescriptor === true ? 8 : 0);
  const name = Buffer.from(member.path);
  const truth = { crc: crc32(content), compressed: data.length, size: content.length };
  const common = (facts: typeof truth, nameBytes: number, extraBytes: number): Buffer => {
    const header = Buffer.alloc(26);
    header.writeUInt16LE(20, 0);
    header.writeUInt16LE(flags, 2);
    header.writeUInt16LE(method, 4);
    header.writeUInt32LE(facts.crc, 10);
    header.writeUInt32LE(member.isLong === true ? SATURATED : facts.compressed, 14);
    header.writeUInt32LE(member.isLong === true ? SATURATED : facts.size, 18);
    header.writeUInt16LE(nameBytes, 22);
    header.writeUInt16LE(extraBytes, 24);
    return header;
  };
  const inLocal = member.hasDescriptor === true ? { crc: 0, compressed: 0, size: 0 } : truth;
  const localExtra =
    member.isLong === true ? longExtra([truth.size, truth.compressed]) : Buffer.alloc(0);
  const descriptor = Buffer.alloc(member.hasDescriptor === true ? 16 : 0);
  if (descriptor.length > 0) {
    descriptor.write('PK\x07\x08', 'latin1');
    descriptor.writeUInt32LE(truth.crc, 4);
    descriptor.writeUInt32LE(truth.compressed, 8);
    descriptor.writeUInt32LE(truth.size, 12);
  }
  const local = Buffer.concat([
    Buffer.from('PK\x03\x04', 'latin1'),
    common(inLocal, name.length, localExtra.length),
    name,
    localExtra,
    data,
    descriptor,
  ]);

  const { claims = {} } = member;
  const told = {
    crc: claims.crc32 ?? truth.crc,
    compressed: claims.compressedBytes ?? truth.compressed,
    size: claims.sizeBytes ?? truth.size,
  };
  const start = claims.start ?? offset;
  const toldName = Buffer.from(claims.path ?? member.path);
  const extra =
    claims.extra ??
    (member.isLong === true ? longExtra([told.size, told.compressed, start]) : Buffer.alloc(0));
  const rest = Buffer.alloc(14);
  rest.writeUInt32LE(member.isLong === true ? SATURATED : start, 10);
  const entry = Buffer.concat([
    Buffer.from('PK\x01\x02\x14\x03', 'latin1'),
    common(told, toldName.length, extra.length),
    rest,
    toldName,
    extra,
  ]);
  return { local, entry };
}

function longExtra(values: readonly number[]): Buffer {
  const extra = Buffer.alloc(4 + 8 * values.length);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(8 * values.length, 2);
  for (const [index, value] of values.entries())
    extra.writeBigUInt64LE(BigInt(value), 4 + 8 * index);
  return extra;
}

interface Told {
  readonly count: number;
  readonly size: number;
  readonly start: number;
}

function writeLongEnd({ count, size, start }: Told, at: number): Buffer {
  const record = Buffer.alloc(56 + 20);
  record.write('PK\x06\x06', 'latin1');
  record.writeBigUInt64LE(44n, 4);
  record.writeBigUInt64LE(BigInt(count), 24);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(size), 40);
  record.writeBigUInt64LE(BigInt(start), 48);
  record.write('PK\x06\x07', 56, 'latin1');
  record.writeBigUInt64LE(BigInt(at), 64);
  record.writeUInt32LE(1, 72);
  return record;
}

function writeEnd({ count, size, start }: Told, { isLong = false, comment = '' }: OddEnd): Buffer {
  const record = Buffer.alloc(22);
  record.write('PK\x05\x06', 'latin1');
  record.writeUInt16LE(isLong ? 0xffff : count, 8);
  record.writeUInt16LE(isLong ? 0xffff : count, 10);
  record.writeUInt32LE(isLong ? SATURATED : size, 12);
  record.writeUInt32LE(isLong ? SATURATED : start, 16);
  record.writeUInt16LE(comment.length, 20);
  return Buffer.concat([record, Buffer.from(comment, 'latin1')]);
}
