/** Bundles as somebody has brought them: their entries, one after the other, the manifest first. */
import { createReadStream } from 'node:fs';
import { lstat, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ConfigurationError, IntegrityError, WheelcellarError, codeOf } from '../core/errors.ts';
import { tarEntries } from '../packaging/tar-archive.ts';
import { MANIFEST_NAME, MOST_MANIFEST_BYTES, isSafePath } from './manifest.ts';

const PIECE_BYTES = 1 << 20;

/** One file of a bundle. */
export interface BundleEntry {
  readonly path: string;
  readonly sizeBytes: number;
  readonly content: AsyncIterable<Uint8Array>;
}

/**
 * The files of a bundle. Folders are passed over; every other kind of entry, unsafe paths and damage end it.
 *
 * @throws IntegrityError that names the entry; ConfigurationError when there is no bundle
 */
export async function* bundleEntries(path: string): AsyncGenerator<BundleEntry, void, void> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new ConfigurationError([`There is no bundle ${path} (${codeOf(cause)}).`], { cause });
  });
  yield* found.isDirectory() ? folderEntries(path) : archiveEntries(path);
}

/** The bytes of the manifest. @throws as {@link bundleEntries}, and when it does not come first */
export async function readManifestEntry(entry: BundleEntry | undefined): Promise<Buffer> {
  if (entry?.path !== MANIFEST_NAME) {
    throw new IntegrityError(
      `This is no bundle: it begins with ${entry?.path ?? 'nothing'} instead of ${MANIFEST_NAME}.`,
      {
        hint: 'An archive that was packed again by hand can be unpacked, and the folder imported.',
      },
    );
  }
  if (entry.sizeBytes > MOST_MANIFEST_BYTES)
    throw new IntegrityError(`${MANIFEST_NAME} is too long.`);
  return await gather(entry.content);
}

/** All bytes of an entry whose length has been judged. */
export async function gather(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* archiveEntries(path: string): AsyncGenerator<BundleEntry, void, void> {
  const file = createReadStream(path, { highWaterMark: PIECE_BYTES });
  try {
    for await (const { path: name, kind, typeName, sizeBytes, content } of tarEntries(
      unzipped(file),
    )) {
      const where = kind === 'folder' ? name.replace(/\/$/, '') : name;
      if (!isSafePath(where)) throw unsafe(name);
      if (kind === 'other')
        throw new IntegrityError(`${name} is a ${typeName}: bundles hold plain files only.`);
      if (kind === 'file') yield { path: name, sizeBytes, content };
    }
  } finally {
    file.destroy();
  }
}

/** As its first bytes say, not its name. */
async function* unzipped(
  file: AsyncIterable<Buffer> & NodeJS.ReadableStream,
): AsyncGenerator<Uint8Array, void, void> {
  const pieces = file[Symbol.asyncIterator]();
  const first = await pieces.next();
  const head: Buffer = first.done === true ? Buffer.alloc(0) : first.value;
  async function* all(): AsyncGenerator<Uint8Array, void, void> {
    yield head;
    yield* { [Symbol.asyncIterator]: () => pieces };
  }
  if (head[0] !== 0x1f || head[1] !== 0x8b) return yield* all();
  const gunzip = createGunzip({ chunkSize: PIECE_BYTES });
  const source = Readable.from(all(), { objectMode: false });
  source.on('error', (error) => gunzip.destroy(error));
  try {
    yield* source.pipe(gunzip) as AsyncIterable<Uint8Array>;
  } catch (cause) {
    if (cause instanceof WheelcellarError) throw cause;
    throw new IntegrityError(`The archive is damaged: ${String(codeOf(cause) ?? cause)}.`, {
      cause,
    });
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

async function* folderEntries(folder: string): AsyncGenerator<BundleEntry, void, void> {
  const names = await filesBelow(folder, '');
  const first = names.filter((name) => name === MANIFEST_NAME);
  for (const path of [...first, ...names.filter((name) => name !== MANIFEST_NAME)]) {
    const place = join(folder, path);
    const { size } = await lstat(place);
    const content = createReadStream(place, { highWaterMark: PIECE_BYTES });
    try {
      yield { path, sizeBytes: size, content };
    } finally {
      content.destroy();
    }
  }
}

/** Paths of all plain files, sorted. */
async function filesBelow(folder: string, below: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (!isSafePath(path)) throw unsafe(path);
    if (entry.isDirectory()) found.push(...(await filesBelow(folder, path)));
    else if (entry.isFile()) found.push(path);
    else throw new IntegrityError(`${path} is no plain file: bundles hold nothing else.`);
  }
  return found.toSorted();
}

function unsafe(path: string): IntegrityError {
  return new IntegrityError(`${JSON.stringify(path.slice(0, 200))} is no path inside a bundle.`);
}
