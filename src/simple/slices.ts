import { setImmediate } from 'node:timers/promises';

/**
 * Work in small steps: each `yield` marks a place where other work may come in between. No step takes
 * more than a few milliseconds.
 */
export type Steps<T> = Generator<undefined, T, undefined>;

/** A text in the pieces in which it is written; `undefined` for a step that brings no text. */
export type Pieces = Generator<string | undefined, void, undefined>;

/** How many files one step handles; 64 take about 1 ms. Several pages may be at work in one turn of the loop. */
export const FILES_IN_STEP = 64;

/** Does all steps at once. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Does one step per turn of the event loop, so that a huge page does not hold up other requests. */
export async function finishInSlices<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await setImmediate();
  }
}

/** The whole text at once. */
export function joinPieces(pieces: Pieces): string {
  return [...pieces].join('');
}

/** One piece per turn of the event loop. */
export async function* piecesInSlices(pieces: Pieces): AsyncGenerator<string, void, undefined> {
  let isFirst = true;
  for (const piece of pieces) {
    if (!isFirst) await setImmediate();
    isFirst = false;
    if (piece !== undefined) yield piece;
  }
}
