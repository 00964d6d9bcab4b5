import type { HeldFile } from '../held-file.ts';
import type { Fill } from './fills.ts';

/** How a fill is waited for. */
export interface AwaitFillOptions {
  /** Ends the waiting, not the fill. */
  readonly signal?: AbortSignal;
  /** Called with the number of bytes that have come since it was called before. */
  readonly onBytes?: (bytes: number) => void;
}

/**
 * Resolves with the file when it is held. Reads none of its bytes.
 *
 * @throws what ended the fill, or the signal's reason
 */
export async function awaitFill(fill: Fill, options: AwaitFillOptions = {}): Promise<HeldFile> {
  const { progress } = fill;
  const { signal, onBytes } = options;
  let toldBytes = 0;
  // An owner that begins anew says nothing before it is farther than the one before.
  const tell = (sizeBytes: number): void => {
    if (sizeBytes > toldBytes) onBytes?.(sizeBytes - toldBytes);
    toldBytes = Math.max(toldBytes, sizeBytes);
  };
  for (;;) {
    const held = await Promise.race([fill.done, progress.changed(signal)]);
    signal?.throwIfAborted();
    tell(held?.sizeBytes ?? progress.file?.sizeBytes ?? 0);
    if (held !== undefined) return held;
  }
}
