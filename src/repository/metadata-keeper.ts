import { createHash } from 'node:crypto';
import { messageOf } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { readWheelMetadata } from '../packaging/wheel-metadata.ts';
import type { FillRequest } from '../store/fill/byte-source.ts';
import type { Store } from '../store/store.ts';

/**
 * Looks at every wheel that was just stored: its core metadata is taken out and kept beside it; what
 * was advertised or made from ranges before is held against it, and withdrawn on a difference.
 */
export class MetadataKeeper {
  readonly #store: Store;
  readonly #maxBytes: number;
  readonly #log: Logger;
  readonly #underWay = new Set<Promise<void>>();

  constructor(store: Store, maxBytes: number, log: Logger) {
    this.#store = store;
    this.#maxBytes = maxBytes;
    this.#log = log;
  }

  /** Starts the look behind the client's back. `metadata` is the request for the document of that wheel. */
  wheelStored(wheel: FillRequest, metadata: FillRequest): void {
    const work = this.#look(wheel, metadata)
      .catch((error: unknown) => {
        this.#log.debug('no core metadata in a wheel', {
          filename: wheel.filename,
          reason: messageOf(error),
        });
      })
      .finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }

  /** Resolves when every look under way has ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  async #look(wheel: FillRequest, metadata: FillRequest): Promise<void> {
    const { catalog, held, records } = this.#store;
    const file = catalog.findFile(wheel.upstream, wheel.path);
    if (file === undefined) return;
    const bytes = await held.readIn(file, (access) =>
      readWheelMetadata(file.filename, access, { maxMetadataBytes: this.#maxBytes }),
    );
    if (bytes === undefined) return;
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const listed = metadata.hashes['sha256'];
    const sidecar = catalog.findFile(wheel.upstream, metadata.path);
    const wrong = [listed, sidecar?.sha256].find(
      (digest) => digest !== undefined && digest !== sha256,
    );
    if (wrong !== undefined) {
      const message = `core metadata of ${wheel.filename} had sha256 ${wrong}, but the wheel holds ${sha256}`;
      this.#log.warn('core metadata was wrong and is withdrawn', {
        filename: wheel.filename,
        message,
      });
      await records.raise({
        kind: 'wrong-metadata',
        upstream: wheel.upstream,
        project: wheel.project,
        message,
      });
      if (listed !== undefined && listed !== sha256) {
        await records.withdrawMetadata(wheel.upstream, wheel.path, message);
      }
      if (sidecar !== undefined) await catalog.removeFiles([sidecar], 0);
      await catalog.touch(wheel.project);
      return;
    }
    if (sidecar === undefined) await this.#store.fills.fetch(metadata).done;
  }
}
