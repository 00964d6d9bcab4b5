import { Readable } from 'node:stream';
import { Parser } from 'tar';
import { IntegrityError, messageOf, WheelcellarError } from '../core/errors.ts';
import type { RandomAccess } from './random-access.ts';
import { readZipContent } from './zip-content.ts';
import { withZip } from './zip-directory.ts';

/** Longer documents are not read; expanding stops at the second bound. */
const MOST_DOCUMENT_BYTES = 4 * 1024 * 1024;
const MOST_EXPANDED_BYTES = 4 * 1024 ** 3;
const PIECE_BYTES = 256 * 1024;

/**
 * A document at the top of an sdist (`<name>-<version>/<document>`, PEP 625), such as `pyproject.toml`;
 * `undefined` when the archive has none.
 *
 * @throws IntegrityError when the archive cannot be read or is of a form that is not understood
 */
export async function readSdistDocument(
  filename: string,
  access: RandomAccess,
  document: string,
): Promise<string | undefined> {
  if (/\.zip$/i.test(filename)) return await fromZip(access, document);
  if (/\.(?:tar|tar\.gz|tgz)$/i.test(filename)) return await fromTar(filename, access, document);
  throw new IntegrityError(`${filename} is an archive of a kind that is not read.`);
}

async function fromZip(access: RandomAccess, document: string): Promise<string | undefined> {
  const limits = { wanted: document, maxDirectoryBytes: 64 * 1024 * 1024, maxEntries: 1_000_000 };
  return await withZip(access, limits, async (zip) => {
    const entry = zip.entries.find(({ name }) => isAtTop(name, document));
    if (entry === undefined) return undefined;
    const bounds = { maxBytes: MOST_DOCUMENT_BYTES, maxRatio: 1_000 };
    return new TextDecoder().decode(await readZipContent(zip, entry, bounds));
  });
}

async function fromTar(
  filename: string,
  access: RandomAccess,
  document: string,
): Promise<string | undefined> {
  let expandedBytes = 0;
  const source = Readable.from(pieces(access));
  return await new Promise<string | undefined>((resolve, reject) => {
    const refuse = (reason: unknown): void => {
      source.destroy();
      reject(
        reason instanceof WheelcellarError
          ? reason
          : new IntegrityError(`${filename} cannot be read: ${messageOf(reason)}.`),
      );
    };
    const parser = new Parser({
      strict: true,
      onReadEntry: (entry) => {
        expandedBytes += entry.size;
        if (expandedBytes > MOST_EXPANDED_BYTES) refuse(new Error('it expands to too much'));
        const isWanted = isAtTop(entry.path, document) && entry.size <= MOST_DOCUMENT_BYTES;
        if (!isWanted) {
          entry.resume();
          return;
        }
        entry.concat().then((bytes) => {
          source.destroy();
          resolve(bytes.toString('utf8'));
        }, refuse);
      },
    });
    parser.on('error', refuse);
    parser.on('end', () => resolve(undefined));
    source.on('error', refuse);
    source.pipe(parser as unknown as NodeJS.WritableStream);
  });
}

async function* pieces(access: RandomAccess): AsyncGenerator<Buffer, void, void> {
  for (let at = 0; at < access.sizeBytes; at += PIECE_BYTES) {
    const bytes = await access.read(at, Math.min(access.sizeBytes, at + PIECE_BYTES));
    // A copy, since the reader may be done with its buffer before the archive is.
    yield Buffer.from(bytes);
  }
}

/** `./` before the folder is left by some tools. */
function isAtTop(path: string, document: string): boolean {
  const segments = path.split('/').filter((segment) => segment !== '' && segment !== '.');
  return segments.length === 2 && segments[1] === document;
}
