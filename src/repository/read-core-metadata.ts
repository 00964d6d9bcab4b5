import { metadataFacts } from '../packaging/core-metadata.ts';
import type { MetadataFacts } from '../packaging/core-metadata.ts';
import type { Repository, RequestContext } from './repository.ts';

/** Core metadata, and what it took. */
export interface ReadMetadata {
  readonly facts: MetadataFacts;
  /** Length of the document if it had to be fetched, otherwise 0. */
  readonly fetchedBytes: number;
}

/**
 * What the core metadata beside a wheel says, fetched if it is not held.
 *
 * @param path mirror path of the wheel
 * @throws as Repository.file
 */
export async function readCoreMetadata(
  repository: Pick<Repository, 'file'>,
  path: string,
  context: RequestContext,
): Promise<ReadMetadata> {
  const source = await repository.file(`${path}.metadata`, context);
  const { body } = await source.open(null, { signal: context.signal });
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  return {
    facts: metadataFacts(bytes),
    fetchedBytes: source.origin === 'hit' ? 0 : bytes.length,
  };
}
