/** Bundles on their way to the disk: a folder or an archive, the same bytes for the same content. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { chmod, mkdir, open, readdir, rename, rm, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { IntegrityError, RefusedError, StorageError, codeOf } from '../core/errors.ts';
import { tarEnd, tarFileHead, tarPadding } from '../packaging/tar-archive.ts';
import { temporaryName, writeFully } from '../store/atomic-file.ts';
import type { BundledPart } from './manifest.ts';

const PIECE_BYTES = 1 << 20;

/** Wheels are compressed already: more would take minutes and save nothing. */
const GZIP_LEVEL = 1;

/** Which form a bundle has, by its name. */
type BundleForm = 'folder' | 'tar' | 'tar.gz';

/** `….tar.gz`, `….tgz` and `….tar` are archives, everything else is a folder. */
function formOf(path: string): BundleForm {
  if (/\.(?:tar\.gz|tgz)$/i.test(path)) return 'tar.gz';
  return /\.tar$/i.test(path) ? 'tar' : 'folder';
}

/** Where the bytes of a part come from. */
export type PartSource = Buffer | { readonly file: string };

/** Takes the parts of a bundle one after the other; nothing has its name before `finish`. */
export interface BundleWriter {
  /** @throws IntegrityError when the bytes are not what `part` says */
  add(part: BundledPart, source: PartSource): Promise<void>;
  /** Gives the bundle its name; the bytes are on the disk. Resolves with its size in bytes. */
  finish(): Promise<number>;
  /** Leaves nothing behind. */
  abandon(): Promise<void>;
}

/**
 * Begins a bundle at `path`.
 *
 * @param mtimeSeconds the time that every file gets, since the epoch
 * @throws RefusedError when a folder with something in it is there already
 */
export async function openBundleWriter(path: string, mtimeSeconds: number): Promise<BundleWriter> {
  await mkdir(dirname(path), { recursive: true });
  const form = formOf(path);
  if (form === 'folder') return await FolderWriter.begin(path, mtimeSeconds);
  return new ArchiveWriter(path, mtimeSeconds, form === 'tar.gz');
}

class FolderWriter implements BundleWriter {
  readonly #path: string;
  readonly #temporary: string;
  readonly #mtimeSeconds: number;
  readonly #folders = new Set<string>();
  #sizeBytes = 0;

  private constructor(path: string, mtimeSeconds: number) {
    this.#path = path;
    this.#temporary = temporaryName(dirname(path));
    this.#mtimeSeconds = mtimeSeconds;
  }

  static async begin(path: string, mtimeSeconds: number): Promise<FolderWriter> {
    const entries = await readdir(path).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return [];
      throw new RefusedError(`${path} is no folder.`, { cause: error });
    });
    if (entries.length > 0) {
      throw new RefusedError(`There is something in ${path} already.`, {
        hint: 'Name a folder that is empty or not there yet, or an archive: -o bundle.tar.gz',
      });
    }
    const writer = new FolderWriter(path, mtimeSeconds);
    await writer.#makeFolder('');
    return writer;
  }

  async add(part: BundledPart, source: PartSource): Promise<void> {
    const path = join(this.#temporary, part.path);
    await this.#makeFolder(dirname(part.path));
    const handle = await open(path, 'wx', 0o644);
    try {
      let position = 0;
      for await (const piece of checkedPieces(part, source)) {
        await writeFully(handle, piece, position);
        position += piece.length;
      }
      await handle.chmod(0o644);
      await handle.utimes(this.#mtimeSeconds, this.#mtimeSeconds);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    this.#sizeBytes += part.sizeBytes;
  }

  async finish(): Promise<number> {
    // The deepest first: making an entry changes the time of its folder.
    for (const folder of [...this.#folders].toSorted().reverse())
      await utimes(join(this.#temporary, folder), this.#mtimeSeconds, this.#mtimeSeconds);
    await rename(this.#temporary, this.#path);
    return this.#sizeBytes;
  }

  async abandon(): Promise<void> {
    await rm(this.#temporary, { recursive: true, force: true });
  }

  /** 0755 whatever the umask says. */
  async #makeFolder(folder: string): Promise<void> {
    const name = folder === '.' ? '' : folder;
    if (this.#folders.has(name)) return;
    if (name !== '') await this.#makeFolder(dirname(name));
    await mkdir(join(this.#temporary, name), { recursive: true });
    await chmod(join(this.#temporary, name), 0o755);
    this.#folders.add(name);
  }
}

class ArchiveWriter implements BundleWriter {
  readonly #path: string;
  readonly #temporary: string;
  readonly #mtimeSeconds: number;
  readonly #input: PassThrough | ReturnType<typeof createGzip>;
  readonly #written: Promise<void>;
  #sizeBytes = 0;
  #failure: Error | null = null;

  constructor(path: string, mtimeSeconds: number, isGzip: boolean) {
    this.#path = path;
    this.#temporary = temporaryName(dirname(path));
    this.#mtimeSeconds = mtimeSeconds;
    // zlib writes neither name nor time into the gzip header (RFC 1952).
    this.#input = isGzip ? createGzip({ level: GZIP_LEVEL }) : new PassThrough();
    const output = createWriteStream(this.#temporary, { flags: 'wx', mode: 0o644, flush: true });
    const pass = new PassThrough();
    pass.on('data', (piece: Buffer) => (this.#sizeBytes += piece.length));
    this.#input.pipe(pass).pipe(output);
    this.#written = finished(output);
    const fail = (error: Error): void => {
      this.#failure ??= error;
      this.#input.destroy();
    };
    output.on('error', fail);
    this.#input.on('error', fail);
    this.#written.catch(() => {});
  }

  async add(part: BundledPart, source: PartSource): Promise<void> {
    await this.#write(tarFileHead(part.path, part.sizeBytes, this.#mtimeSeconds));
    for await (const piece of checkedPieces(part, source)) await this.#write(piece);
    await this.#write(tarPadding(part.sizeBytes));
  }

  async finish(): Promise<number> {
    await this.#write(tarEnd());
    this.#input.end();
    await this.#written;
    await chmod(this.#temporary, 0o644);
    await rename(this.#temporary, this.#path);
    return this.#sizeBytes;
  }

  async abandon(): Promise<void> {
    this.#input.destroy();
    await rm(this.#temporary, { force: true });
  }

  async #write(piece: Uint8Array): Promise<void> {
    if (this.#failure !== null) throw this.#storageError(this.#failure);
    if (piece.length === 0) return;
    await new Promise<void>((resolve, reject) => {
      // Calls back when the piece is taken, so that no more than one waits in memory.
      this.#input.write(piece, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(this.#storageError(this.#failure ?? error));
      });
    });
  }

  #storageError(cause: Error): StorageError {
    return new StorageError(`${basename(this.#path)} cannot be written: ${codeOf(cause)}.`, {
      cause,
    });
  }
}

/** The bytes of a part, held to its length and digest before the last of them counts. */
async function* checkedPieces(
  part: BundledPart,
  source: PartSource,
): AsyncGenerator<Buffer, void, void> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const pieces = Buffer.isBuffer(source)
    ? [source]
    : createReadStream(source.file, { highWaterMark: PIECE_BYTES });
  for await (const piece of pieces as AsyncIterable<Buffer>) {
    hash.update(piece);
    sizeBytes += piece.length;
    if (sizeBytes > part.sizeBytes) break;
    yield piece;
  }
  if (sizeBytes === part.sizeBytes && hash.digest('hex') === part.sha256) return;
  throw new IntegrityError(`${part.path} is not what the catalog says.`, {
    hint: 'wheelcellar verify --repair takes damaged files out and fetches them again.',
  });
}
