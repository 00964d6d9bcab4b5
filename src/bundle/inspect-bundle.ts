/** Reads a bundle from beginning to end and believes nothing. */
import { createHash } from 'node:crypto';
import { IntegrityError } from '../core/errors.ts';
import { checkPages, INDEX_FOLDER } from './bundle-pages.ts';
import { bundleEntries, gather, readManifestEntry } from './bundle-source.ts';
import type { BundleEntry } from './bundle-source.ts';
import { bundleDigest, MOST_PAGE_BYTES, readManifest } from './manifest.ts';
import type { BundledFile, BundledPart, Manifest } from './manifest.ts';

/** What hears of a bundle while it is read. */
export interface InspectOptions {
  readonly signal: AbortSignal;
  /** Bytes of packages that were read, of so many. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Hears the manifest before anything else is read; may refuse the bundle by throwing. */
  readonly onManifest?: (manifest: Manifest) => Promise<void>;
  /**
   * Takes the bytes of one package, which are only trusted when `onFile` returns: it reads `content` to its
   * end, and what it has kept is good when the call resolves and the whole inspection does.
   */
  readonly onFile?: (file: BundledFile, content: AsyncIterable<Uint8Array>) => Promise<void>;
}

/** A bundle that holds what it says. */
export interface InspectedBundle {
  readonly manifest: Manifest;
  /** sha256 of its manifest, hexadecimal: tells it from every other one. */
  readonly digest: string;
  /** Bytes of its packages. */
  readonly sizeBytes: number;
}

/**
 * Reads all of a bundle: every file is one that the manifest names, there once, of its length and its
 * sha256; pages and manifest agree; nothing is missing.
 *
 * @throws IntegrityError at the first thing that is wrong
 */
export async function inspectBundle(
  path: string,
  options: InspectOptions,
): Promise<InspectedBundle> {
  const entries = bundleEntries(path);
  try {
    return await inspect(entries, options);
  } finally {
    await entries.return(undefined).catch(() => {});
  }
}

/** The manifest alone, unproven. @throws as {@link inspectBundle} */
export async function manifestOf(path: string): Promise<{ manifest: Manifest; digest: string }> {
  const entries = bundleEntries(path);
  try {
    const first = await entries.next();
    const bytes = await readManifestEntry(first.done === true ? undefined : first.value);
    return { manifest: readManifest(bytes), digest: bundleDigest(bytes) };
  } finally {
    await entries.return(undefined).catch(() => {});
  }
}

async function inspect(
  entries: AsyncGenerator<BundleEntry, void, void>,
  { signal, onProgress, onManifest, onFile }: InspectOptions,
): Promise<InspectedBundle> {
  const first = await entries.next();
  const bytes = await readManifestEntry(first.done === true ? undefined : first.value);
  const manifest = readManifest(bytes);
  await onManifest?.(manifest);
  const files = new Map(manifest.files.map((file) => [file.path, file]));
  const parts = new Map(manifest.parts.map((part) => [part.path, part]));
  const totalBytes = manifest.files.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  const pages = new Map<string, Uint8Array>();
  const seen = new Set<string>();
  let doneBytes = 0;
  for await (const entry of entries) {
    signal.throwIfAborted();
    const file = files.get(entry.path);
    const part = file ?? parts.get(entry.path);
    if (part === undefined) {
      throw new IntegrityError(`${entry.path} is in the bundle, but not in its manifest.`);
    }
    if (seen.has(entry.path)) throw new IntegrityError(`${entry.path} is in the bundle twice.`);
    seen.add(entry.path);
    if (entry.sizeBytes !== part.sizeBytes) {
      throw new IntegrityError(
        `${entry.path} has ${entry.sizeBytes} bytes; the manifest says ${part.sizeBytes}.`,
      );
    }
    if (file === undefined) {
      const page = await takePart(part, entry);
      if (part.path.startsWith(`${INDEX_FOLDER}/`)) pages.set(part.path, page);
      continue;
    }
    const content = proven(file, entry.content, (length) => {
      signal.throwIfAborted();
      doneBytes += length;
      onProgress?.(doneBytes, totalBytes);
    });
    if (onFile === undefined) for await (const _ of content);
    else await onFile(file, content);
  }
  for (const path of [...parts.keys(), ...files.keys()])
    if (!seen.has(path)) throw new IntegrityError(`${path} is missing from the bundle.`);
  checkPages(manifest, pages);
  return { manifest, digest: bundleDigest(bytes), sizeBytes: totalBytes };
}

async function takePart(part: BundledPart, entry: BundleEntry): Promise<Buffer> {
  if (part.sizeBytes > MOST_PAGE_BYTES) throw new IntegrityError(`${part.path} is too long.`);
  return await gather(proven(part, entry.content, () => {}));
}

/** The same pieces; throws at their end unless length and digest are those of the manifest. */
async function* proven(
  part: BundledPart,
  content: AsyncIterable<Uint8Array>,
  onPiece: (length: number) => void,
): AsyncGenerator<Uint8Array, void, void> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const piece of content) {
    sizeBytes += piece.length;
    if (sizeBytes > part.sizeBytes) break;
    hash.update(piece);
    onPiece(piece.length);
    yield piece;
  }
  if (sizeBytes !== part.sizeBytes)
    throw new IntegrityError(`${part.path} has another length than the manifest says.`);
  const sha256 = hash.digest('hex');
  if (sha256 !== part.sha256) {
    throw new IntegrityError(
      `${part.path} has the sha256 ${sha256}; the manifest says ${part.sha256}.`,
    );
  }
}
