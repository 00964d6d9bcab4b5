import { describe, it } from 'vitest';

/** One line of a fault table: what comes in, and a test that holds the answer to what it should be. */
export interface FaultRow {
  /** Letter of the table and number, such as `B10`. */
  readonly id: string;
  /** The fault and the expected answer, as one sentence. */
  readonly what: string;
  readonly run: () => Promise<void>;
  /** Why this line cannot be tried here. */
  readonly skipped?: string;
}

/** Runs a table, one test a row. */
export function faultTable(name: string, rows: readonly FaultRow[]): void {
  describe(name, () => {
    for (const { id, what, run, skipped } of rows) {
      if (skipped === undefined) it(`${id} ${what}`, run);
      else it.skip(`${id} ${what} (not here: ${skipped})`, run);
    }
  });
}
