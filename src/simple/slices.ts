import { setImmediate } from 'node:timers/promises';

/**
 * Work in small steps: each `yield` marks a place where other work may come in between. No step takes
 * more than a few milliseconds.
 */
export type Steps<T> = Generator<undefined, T, undefined>;

/** How many files one step handles; 256 take about 3 ms. */
export const FILES_IN_STEP = 256;

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
