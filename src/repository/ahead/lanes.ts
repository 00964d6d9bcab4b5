/** `wanted`: something that was asked for leads to it; `guessed`: it may well be asked for. */
export type Urgency = 'wanted' | 'guessed';

interface Task {
  readonly key: string;
  readonly work: () => Promise<void>;
}

/**
 * Runs work that nobody waits for: so many at a time, what is wanted before what is guessed, and nothing
 * twice at once. Clients' own requests do not come this way, so they never queue behind it.
 */
export class Lanes {
  readonly #width: number;
  readonly #queues: Readonly<Record<Urgency, Map<string, Task>>> = {
    wanted: new Map(),
    guessed: new Map(),
  };
  readonly #running = new Map<string, Promise<void>>();
  #isClosed = false;

  /** @param width tasks that run at a time */
  constructor(width: number) {
    this.#width = width;
  }

  /** Does the work when there is room. Its failures are its own affair. */
  run(key: string, urgency: Urgency, work: () => Promise<void>): void {
    if (this.#isClosed || this.#running.has(key) || this.#queues.wanted.has(key)) return;
    if (urgency === 'guessed' && this.#queues.guessed.has(key)) return;
    this.#queues.guessed.delete(key);
    this.#queues[urgency].set(key, { key, work });
    this.#fill();
  }

  /** Begins a queued task at once: somebody waits for the same, and what follows from it is wanted now. */
  promote(key: string): void {
    const task = this.#queues.wanted.get(key) ?? this.#queues.guessed.get(key);
    if (task !== undefined) this.#start(task);
  }

  /** Drops what has not begun, and begins nothing any more. What runs ends with what it works on. */
  close(): void {
    this.#isClosed = true;
    this.#queues.wanted.clear();
    this.#queues.guessed.clear();
  }

  /** Resolves when nothing is running or queued. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  #fill(): void {
    while (this.#running.size < this.#width) {
      const [task] = [...firstOf(this.#queues.wanted), ...firstOf(this.#queues.guessed)];
      if (task === undefined) return;
      this.#start(task);
    }
  }

  #start(task: Task): void {
    this.#queues.wanted.delete(task.key);
    this.#queues.guessed.delete(task.key);
    const running = task
      .work()
      .catch(() => {})
      .finally(() => {
        this.#running.delete(task.key);
        this.#fill();
      });
    this.#running.set(task.key, running);
  }
}

function firstOf(queue: ReadonlyMap<string, Task>): Task[] {
  for (const task of queue.values()) return [task];
  return [];
}
