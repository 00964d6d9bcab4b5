import { createHash } from 'node:crypto';
import { IntegrityError, NotFoundError, WheelcellarError, messageOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { describesFile } from '../packaging/core-metadata.ts';
import { gathered } from '../packaging/random-access.ts';
import { readWheelMetadata } from '../packaging/wheel-metadata.ts';
import type { RandomAccess } from '../packaging/random-access.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { ByteSource, SourceAnswer } from '../store/fill/byte-source.ts';
import type { Store } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** Which rung a document came from. */
export type MetadataRung = 'stored-wheel' | 'upstream' | 'ranges';

/** The wheel whose core metadata is wanted. */
export interface MetadataRequest {
  /** Mirror path of the wheel. */
  readonly path: string;
  readonly entry: DistributionFile;
  /** The listed digest, `null` when there is none. */
  readonly sha256: string | null;
}

/**
 * Core metadata (PEP 658) from wherever it can be had, cheapest first: out of the wheel if that is stored,
 * from beside the wheel at the upstream (many have it without saying so), out of the wheel's central
 * directory by ranges. A document that does not have the listed digest, or is not about this wheel, is
 * passed over: to installers a wrong one is fatal.
 */
export class MetadataLadder {
  readonly #upstream: Upstream;
  readonly #store: Store;
  readonly #maxBytes: number;
  readonly #log: Logger;

  constructor(upstream: Upstream, store: Store, maxBytes: number, log: Logger) {
    this.#upstream = upstream;
    this.#store = store;
    this.#maxBytes = maxBytes;
    this.#log = log;
  }

  /** The document as a source of bytes for a fill, which verifies and stores it like any file. */
  source(request: MetadataRequest): ByteSource {
    return {
      open: async ({ signal }) => wholeAnswer((await this.find(request, signal)).bytes),
    };
  }

  /** @throws NotFoundError when no rung has it; what the upstream throws when it cannot be asked */
  async find(
    request: MetadataRequest,
    signal: AbortSignal,
  ): Promise<{ bytes: Uint8Array; rung: MetadataRung }> {
    const rungs: readonly [MetadataRung, () => Promise<Uint8Array | undefined>][] = [
      ['stored-wheel', () => this.#fromStoredWheel(request)],
      ['upstream', () => this.#fromUpstream(request, signal)],
      ['ranges', () => this.#fromRanges(request, signal)],
    ];
    let failure: unknown;
    for (const [rung, climb] of rungs) {
      try {
        const bytes = await climb();
        if (bytes === undefined) continue;
        if (this.#isRight(request, bytes)) {
          this.#store.catalog.count(`metadata_from_${rung.replace('-', '_')}`);
          return { bytes, rung };
        }
        failure = new IntegrityError(
          `Core metadata of ${request.entry.filename} from ${rung} is not what the index lists.`,
        );
      } catch (error) {
        failure ??= error;
      }
      this.#log.debug('no core metadata on this rung', {
        filename: request.entry.filename,
        rung,
        reason: messageOf(failure),
      });
    }
    if (
      failure instanceof WheelcellarError &&
      !(failure instanceof NotFoundError) &&
      !(failure instanceof IntegrityError)
    )
      throw failure;
    throw new NotFoundError(`Core metadata of ${request.entry.filename} cannot be had.`, {
      cause: failure,
    });
  }

  #isRight({ sha256, entry }: MetadataRequest, bytes: Uint8Array): boolean {
    if (sha256 !== null) return createHash('sha256').update(bytes).digest('hex') === sha256;
    return describesFile(bytes, entry.filename);
  }

  async #fromStoredWheel({ path, entry }: MetadataRequest): Promise<Uint8Array | undefined> {
    const held = this.#store.catalog.findFile(this.#upstream.name, path);
    if (held === undefined) return undefined;
    return await this.#store.held.readIn(held, (access) => this.#extract(entry, access));
  }

  async #fromUpstream(
    { entry }: MetadataRequest,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const answer = await this.#upstream.fetchSmall(`${entry.url}.metadata`, {
      maxBytes: this.#maxBytes,
      signal,
    });
    return answer.status === 200 ? answer.body : undefined;
  }

  async #fromRanges(
    { entry }: MetadataRequest,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const facts =
      entry.sizeBytes === null ? await this.#upstream.headFile(entry.url, signal) : null;
    const sizeBytes = entry.sizeBytes ?? facts?.totalBytes ?? null;
    if (sizeBytes === null || facts?.acceptsRanges === false) return undefined;
    const read = async (start: number, end: number): Promise<Uint8Array> => {
      const answer = await this.#upstream.openFile(entry.url, {
        firstByte: start,
        lastByte: end - 1,
        signal,
      });
      try {
        if (
          answer.kind !== 'part' ||
          answer.offset !== start ||
          (answer.totalBytes ?? sizeBytes) !== sizeBytes
        ) {
          throw new IntegrityError(`${entry.filename} cannot be read in parts at the upstream.`);
        }
        return await collect(answer.body, end - start);
      } finally {
        answer.cancel();
      }
    };
    return await this.#extract(entry, gathered({ sizeBytes, read }));
  }

  async #extract(entry: DistributionFile, access: RandomAccess): Promise<Uint8Array> {
    return await readWheelMetadata(entry.filename, access, { maxMetadataBytes: this.#maxBytes });
  }
}

async function collect(body: AsyncIterable<Uint8Array>, length: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(length);
  let at = 0;
  for await (const chunk of body) {
    if (at + chunk.length > length)
      throw new IntegrityError('The upstream sent more than the range that was asked for.');
    bytes.set(chunk, at);
    at += chunk.length;
  }
  if (at !== length)
    throw new IntegrityError('The upstream sent less than the range that was asked for.');
  return bytes;
}

function wholeAnswer(bytes: Uint8Array): SourceAnswer {
  return {
    kind: 'whole',
    offset: 0,
    totalBytes: bytes.length,
    etag: null,
    body: (async function* () {
      yield bytes;
    })(),
    cancel: () => {},
  };
}
