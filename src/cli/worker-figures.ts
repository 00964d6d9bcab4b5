import type { Worker } from 'node:cluster';

/** A worker that has not answered by then is left out. */
const ANSWER_WITHIN_MS = 1_000;

/** One worker asks for the figures of all (`figures?`), each is asked (`report`), and all go back. */
export type FigureMessage =
  | { readonly kind: 'figures?'; readonly id: number }
  | { readonly kind: 'report'; readonly round: number }
  | { readonly kind: 'reported'; readonly round: number; readonly figures: unknown }
  | { readonly kind: 'all-figures'; readonly id: number; readonly all: readonly unknown[] };

interface Round {
  readonly all: unknown[];
  readonly wanted: number;
  readonly finish: () => void;
}

/** The primary's part in adding up what its workers count. */
export class FigureExchange {
  readonly #present: () => readonly Worker[];
  readonly #rounds = new Map<number, Round>();
  #last = 0;

  constructor(present: () => readonly Worker[]) {
    this.#present = present;
  }

  /** Takes a worker's message. */
  receive(from: Worker, message: FigureMessage): void {
    if (message.kind === 'figures?') this.#begin(from, message.id);
    if (message.kind !== 'reported') return;
    const round = this.#rounds.get(message.round);
    round?.all.push(message.figures);
    if (round !== undefined && round.all.length >= round.wanted) round.finish();
  }

  #begin(from: Worker, id: number): void {
    const number = ++this.#last;
    const workers = this.#present().filter((worker) => worker.isConnected());
    const all: unknown[] = [];
    const finish = (): void => {
      clearTimeout(timer);
      this.#rounds.delete(number);
      if (from.isConnected()) from.send({ kind: 'all-figures', id, all } satisfies FigureMessage);
    };
    const timer = setTimeout(finish, ANSWER_WITHIN_MS);
    this.#rounds.set(number, { all, wanted: workers.length, finish });
    for (const worker of workers) {
      worker.send({ kind: 'report', round: number } satisfies FigureMessage);
    }
  }
}
