import { createHash } from 'node:crypto';

/** Something that one worker has heard and another one deals with. */
export interface Parcel {
  readonly kind: 'parcel';
  /** The worker's place. */
  readonly to: number;
  readonly content: unknown;
}

/**
 * The place of the worker that deals with all that concerns `key`, whichever worker hears of it. The same
 * everywhere as long as the number of workers is.
 */
export function placeInCharge(key: string, workers: number): number {
  return createHash('sha256').update(key).digest().readUInt32BE(0) % workers;
}
