import { createHash } from 'node:crypto';
import {
  IntegrityError,
  InvalidUpstreamAnswerError,
  NotFoundError,
  messageOf,
} from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { describesFile } from '../packaging/core-metadata.ts';
import type { ProjectName } from '../packaging/names.ts';
import { gathered } from '../packaging/random-access.ts';
import { readWheelMetadata } from '../packaging/wheel-metadata.ts';
import type { RandomAccess } from '../packaging/random-access.ts';
import type { DistributionFile } from '../simple/model.ts';
import type { HeldFile } from '../store/catalog.ts';
import type { ByteSource, SourceAnswer } from '../store/fill/byte-source.ts';
import type { Store } from '../store/store.ts';
import type { Upstream } from '../upstream/upstream.ts';

/** Which rung a document came from. */
export type MetadataRung = 'stored-wheel' | 'upstream' | 'ranges' | 'whole-wheel';

/** A larger wheel is not fetched for its core metadata alone: installers give up sooner. */
const LARGEST_FETCHED_BYTES = 64 * 1024 * 1024;

/** The wheel whose core metadata is wanted. */
export interface MetadataRequest {
  readonly project: ProjectName;
  /** Mirror path of the wheel. */
  readonly path: string;
  readonly entry: DistributionFile;
  /** The listed digest, `null` when there is none. */
  readonly sha256: string | null;
  /** Resolves when the whole wheel is stored. */
  readonly fetchWheel: () => Promise<unknown>;
}

/**
 * Core metadata (PEP 658) from wherever it can be had, cheapest first: out of the wheel if that is stored,
 * from beside the wheel at the upstream (many have it without saying so), out of the wheel's central
 * directory by ranges, out of the wheel after fetching all of it. A document that does not have the
 * listed digest, or is not about this wheel, is passed over: to installers a wrong one is fatal, and so is a missing one. What no rung has is no longer
 * advertised.
 */
export class MetadataLadder {
  readonly #upstream: Upstream;
  readonly #store: Store;
  readonly #maxBytes: number;
  readonly #log: Logger;
  /** Rungs that documents came from in this run. */
  readonly #climbed = new Set<MetadataRung>();

  constructor(upstream: Upstream, store: Store, maxBytes: number, log: Logger) {
    this.#upstream = upstream;
    this.#store = store;
    this.#maxBytes = maxBytes;
    this.#log = log;
  }

  /** Whether the upstream gave documents without the wheel around them so far, and some. */
  get isShort(): boolean {
    const gave = this.#climbed.has('upstream') || this.#climbed.has('ranges');
    return gave && !this.#climbed.has('whole-wheel');
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
      ['whole-wheel', () => this.#fromWholeWheel(request)],
    ];
    const failures: Error[] = [];
    for (const [rung, climb] of rungs) {
      try {
        const bytes = await climb();
        if (bytes === undefined) continue;
        if (this.#isRight(request, bytes)) {
          this.#climbed.add(rung);
          this.#store.catalog.count(`metadata_from_${rung.replace('-', '_')}`);
          return { bytes, rung };
        }
        failures.push(
          new IntegrityError(
            `Core metadata of ${request.entry.filename} from ${rung} is not what the index lists.`,
          ),
        );
      } catch (error) {
        signal.throwIfAborted();
        failures.push(error instanceof Error ? error : new Error(messageOf(error)));
      }
      this.#log.debug('no core metadata on this rung', {
        filename: request.entry.filename,
        rung,
        reason: messageOf(failures.at(-1)),
      });
    }
    // Another time it may be there.
    const isHeld = this.#findWheel(request) !== undefined;
    const passing = failures.find((failure) => !isFinal(failure, isHeld));
    if (passing !== undefined) throw passing;
    await this.#withdraw(request);
    throw new NotFoundError(`Core metadata of ${request.entry.filename} cannot be had.`, {
      cause: failures[0],
    });
  }

  async #withdraw({ project, path, entry }: MetadataRequest): Promise<void> {
    const { records, catalog } = this.#store;
    const message = `core metadata of ${entry.filename} is listed but cannot be had`;
    this.#log.warn('core metadata cannot be had and is no longer advertised', {
      filename: entry.filename,
      upstream: this.#upstream.name,
    });
    await records.withdrawMetadata(this.#upstream.name, path, message);
    await records.raise({
      kind: 'wrong-metadata',
      upstream: this.#upstream.name,
      project,
      message,
    });
    await catalog.touch(project);
  }

  #isRight({ sha256, entry }: MetadataRequest, bytes: Uint8Array): boolean {
    if (sha256 !== null) return createHash('sha256').update(bytes).digest('hex') === sha256;
    return describesFile(bytes, entry.filename);
  }

  #findWheel({ path }: MetadataRequest): HeldFile | undefined {
    return this.#store.catalog.findFile(this.#upstream.name, path);
  }

  async #fromStoredWheel(request: MetadataRequest): Promise<Uint8Array | undefined> {
    const held = this.#findWheel(request);
    if (held === undefined) return undefined;
    return await this.#store.held.readIn(held, (access) => this.#extract(request.entry, access));
  }

  /** For upstreams without ranges; the installer wants the wheel next anyway. */
  async #fromWholeWheel(request: MetadataRequest): Promise<Uint8Array | undefined> {
    const { entry, fetchWheel } = request;
    if (this.#findWheel(request) !== undefined || (entry.sizeBytes ?? 0) > LARGEST_FETCHED_BYTES)
      return undefined;
    await fetchWheel();
    return await this.#fromStoredWheel(request);
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

/**
 * Whether asking again would end the same way. Some indexes answer 403 for what is not there; who gave
 * us the wheel has nothing against our password.
 */
function isFinal(failure: unknown, isHeld: boolean): boolean {
  if (failure instanceof NotFoundError || failure instanceof IntegrityError) return true;
  return isHeld && failure instanceof InvalidUpstreamAnswerError;
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
