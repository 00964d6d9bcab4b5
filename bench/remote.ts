/**
 * Questions to a process of ours, so that neither the upstream nor the clients of a measurement share an
 * event loop with anything else.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Children } from './children.ts';

/** What a process can be asked: name → a function of one JSON value. */
export type Questions = Readonly<Record<string, (argument: never) => unknown>>;

interface Call {
  readonly id: number;
  readonly question: string;
  readonly argument: unknown;
}
interface Reply {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

type Argument<Q extends Questions, K extends keyof Q> = Parameters<Q[K]>[0];
type Answer<Q extends Questions, K extends keyof Q> = Awaited<ReturnType<Q[K]>>;

/** Answers the parent's questions until it goes away. Called once, in the process itself. */
export function answerQuestions(questions: Questions): void {
  const answer = async ({ id, question, argument }: Call): Promise<void> => {
    try {
      const value = await questions[question]?.(argument as never);
      process.send?.({ id, value } satisfies Reply);
    } catch (error) {
      process.send?.({ id, error: String(error) } satisfies Reply);
    }
  };
  process.on('message', (call: Call) => void answer(call));
  process.once('disconnect', () => process.exit(0));
  process.send?.({ id: 0 } satisfies Reply);
}

/** The parent's end. */
export class Remote<Q extends Questions> {
  readonly child: ChildProcess;
  readonly #children: Children;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #lastId = 0;

  private constructor(children: Children, child: ChildProcess) {
    this.#children = children;
    this.child = child;
    child.on('message', (reply: Reply) => {
      this.#waiting.get(reply.id)?.(reply);
      this.#waiting.delete(reply.id);
    });
    child.once('exit', () => {
      for (const [id, done] of this.#waiting) done({ id, error: 'the process has ended' });
      this.#waiting.clear();
    });
  }

  /**
   * Starts a TypeScript file that calls `answerQuestions`.
   *
   * @throws Error when it ends instead
   */
  static async start<Q extends Questions>(children: Children, path: string): Promise<Remote<Q>> {
    const child = children.start(process.execPath, ['--import', 'tsx', path], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => {
        throw new Error(`${path} ended instead of getting ready`);
      }),
    ]);
    return new Remote<Q>(children, child);
  }

  /** @throws Error with the words of the other process */
  async ask<K extends keyof Q & string>(
    question: K,
    argument: Argument<Q, K>,
  ): Promise<Answer<Q, K>> {
    const id = ++this.#lastId;
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(id, resolve);
      this.child.send({ id, question, argument } satisfies Call);
    });
    if (reply.error !== undefined) throw new Error(`${question}: ${reply.error}`);
    return reply.value as Answer<Q, K>;
  }

  stop(): Promise<void> {
    return this.#children.stop(this.child);
  }
}
