import { promisify } from 'node:util';
import { crc32, inflateRaw } from 'node:zlib';
import type { LocalFileHeader } from 'yauzl';
import { IntegrityError } from '../core/errors.ts';
import { type OpenZip, readSpan, type ZipEntry } from './zip-directory.ts';

/** How big a member may be. */
export interface ContentLimits {
  /** Inflated. */
  readonly maxBytes: number;
  /** Inflated bytes for each compressed one. */
  readonly maxRatio: number;
}

const inflate = promisify(inflateRaw);

const STORED = 0;
const DEFLATED = 8;
/** Encrypted, patched, strongly encrypted, masked headers (APPNOTE 4.4.4). */
const UNREADABLE_FLAGS = 0x0001 | 0x0020 | 0x0040 | 0x2000;
/** Size and checksum follow the content. */
const DESCRIPTOR_FLAG = 0x0008;
const LEFT_TO_ZIP64 = 0xffffffff;
/** Fixed part and the longest extra field of a local header. */
const LONGEST_LOCAL_HEADER = 30 + 0xffff;

/**
 * The content of one member, with at most one read of the underlying bytes. The size that the directory
 * states is checked against the limits before, and holds while inflating.
 *
 * @throws IntegrityError when the member is encrypted, too large, damaged, or differs from its entry
 */
export async function readZipContent(
  zip: OpenZip,
  entry: ZipEntry,
  limits: ContentLimits,
): Promise<Uint8Array> {
  checkEntry(entry, limits);
  const longest = LONGEST_LOCAL_HEADER + entry.raw.fileNameLength + entry.compressedBytes;
  await readSpan(zip.access, entry.start, Math.min(entry.limit, entry.start + longest));
  const header = await zip.file.readLocalFileHeaderPromise(entry.raw);
  checkHeader(entry, header);
  const data = await readSpan(
    zip.access,
    header.fileDataStart,
    header.fileDataStart + entry.compressedBytes,
  );
  const content = entry.raw.compressionMethod === STORED ? data : await inflateExactly(data, entry);
  if (crc32(content) !== entry.raw.crc32) {
    throw new IntegrityError(`${entry.name} is damaged: its checksum differs.`);
  }
  // A copy, so that the few bytes do not keep a whole directory in memory.
  return Uint8Array.from(content);
}

function checkEntry(
  { name, raw, compressedBytes, sizeBytes }: ZipEntry,
  limits: ContentLimits,
): void {
  if ((raw.generalPurposeBitFlag & UNREADABLE_FLAGS) !== 0) {
    throw new IntegrityError(`${name} is encrypted.`);
  }
  if (raw.compressionMethod !== STORED && raw.compressionMethod !== DEFLATED) {
    throw new IntegrityError(`${name} is compressed by unknown method ${raw.compressionMethod}.`);
  }
  if (Math.max(sizeBytes, compressedBytes) > limits.maxBytes) {
    throw new IntegrityError(
      `${name} has ${sizeBytes} bytes; more than ${limits.maxBytes} are not read.`,
    );
  }
  if (sizeBytes > compressedBytes * limits.maxRatio) {
    throw new IntegrityError(
      `${name} is compressed to less than 1/${limits.maxRatio} of its size, as a zip bomb is.`,
    );
  }
}

/** The local header must say the same as the directory: which of them counts is up to the reader. */
function checkHeader(entry: ZipEntry, header: LocalFileHeader): void {
  const { raw } = entry;
  const hasDescriptor = (header.generalPurposeBitFlag & DESCRIPTOR_FLAG) !== 0;
  const isSame =
    header.fileName.equals(raw.fileNameRaw) &&
    header.compressionMethod === raw.compressionMethod &&
    header.generalPurposeBitFlag === raw.generalPurposeBitFlag &&
    header.fileDataStart + entry.compressedBytes <= entry.limit &&
    (hasDescriptor ||
      (header.crc32 === raw.crc32 &&
        isSize(header.compressedSize, entry.compressedBytes) &&
        isSize(header.uncompressedSize, entry.sizeBytes)));
  if (!isSame) throw new IntegrityError(`${entry.name} differs from its entry in the directory.`);
}

function isSize(field: number, sizeBytes: number): boolean {
  return field === sizeBytes || field === LEFT_TO_ZIP64;
}

async function inflateExactly(data: Buffer, { name, sizeBytes }: ZipEntry): Promise<Buffer> {
  const content = await inflate(data, { maxOutputLength: Math.max(1, sizeBytes) }).catch(
    (cause: unknown) => {
      throw new IntegrityError(
        `${name} does not inflate to the ${sizeBytes} bytes it should have.`,
        {
          cause,
        },
      );
    },
  );
  if (content.length !== sizeBytes) {
    throw new IntegrityError(
      `${name} inflates to ${content.length} bytes instead of ${sizeBytes}.`,
    );
  }
  return content;
}
