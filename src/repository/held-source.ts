import { isMutableFilename } from '../packaging/filenames.ts';
import type { HeldFile } from '../store/catalog.ts';
import type { Store } from '../store/store.ts';
import type { ByteRange, FileSource } from './repository.ts';

/** The entity tag of a file with this sha256 (strong: bytes never change under a digest). */
export function etagOf(sha256: string): string {
  return `"sha256-${sha256}"`;
}

/** A held file, open; `undefined` when its bytes turned out to be gone or damaged. */
export async function openHeldSource(
  store: Store,
  file: HeldFile,
): Promise<FileSource | undefined> {
  const bytes = await store.held.open(file);
  if (bytes === undefined) return undefined;
  store.catalog.noteUse(file);
  const etag = etagOf(file.sha256);
  const isKeepable = file.listed && !isMutableFilename(file.filename);
  return {
    filename: file.filename,
    kind: file.kind,
    sizeBytes: file.sizeBytes,
    etag,
    origin: 'hit',
    // What its index does not list any more may be quarantined, which is asked each time; so is what may change.
    keepable: isKeepable ? { file, inode: bytes.inode } : null,
    learnSize: async () => file.sizeBytes,
    open: async (range: ByteRange | null) => ({
      totalBytes: file.sizeBytes,
      etag,
      body: bytes.pieces(range?.start ?? 0, range?.end ?? file.sizeBytes),
      bytes,
    }),
    keep: async () => bytes.close(),
    close: async () => bytes.close(),
  };
}
