import { spawn } from 'node:child_process';
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { once } from 'node:events';

export interface ChildOptions {
  /** The whole environment; nothing of ours is passed on. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly stdio?: StdioOptions;
  /** It is killed after this, whatever happens; twenty minutes by default. */
  readonly deadlineMs?: number;
}

/**
 * Every process that the benchmark starts, each the head of a group of its own, so that workers end with
 * their master. None outlives the benchmark: not its deadline, not an error, not Ctrl-C.
 */
export class Children {
  readonly #running = new Set<ChildProcess>();

  constructor() {
    process.once('exit', () => this.#killAll());
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        this.#killAll();
        process.exit(130);
      });
    }
  }

  /** Starts a program; a failure to start is an `error` event of the child. */
  start(command: string, args: readonly string[], options: ChildOptions = {}): ChildProcess {
    const child = spawn(command, args, {
      stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...(options.env ?? process.env) },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.#running.add(child);
    const deadline = setTimeout(
      () => signalGroup(child, 'SIGKILL'),
      options.deadlineMs ?? 1_200_000,
    );
    deadline.unref();
    child.once('error', () => this.#running.delete(child));
    child.once('exit', () => {
      clearTimeout(deadline);
      // Workers may outlive a master that was killed.
      signalGroup(child, 'SIGKILL');
      this.#running.delete(child);
    });
    return child;
  }

  /** Ends a child with SIGTERM, after five seconds with SIGKILL. */
  async stop(child: ChildProcess): Promise<void> {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), 5_000);
    child.kill('SIGTERM');
    await ended;
    clearTimeout(timer);
  }

  /** Ends all that run. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#running].map((child) => this.stop(child)));
  }

  #killAll(): void {
    for (const child of this.#running) signalGroup(child, 'SIGKILL');
  }
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // All of the group have ended.
  }
}
