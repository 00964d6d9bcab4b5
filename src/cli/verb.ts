import type { Command } from 'commander';
import type { Config, ConfigInput } from '../config/config.ts';

/** A stream that text is written to. */
export interface TextSink {
  write(text: string): unknown;
}

/** Signals that ask the program to end, or (SIGHUP) to look at its surroundings anew. */
export type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** All that a verb may know of the process around it, so that tests run verbs in their own process. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** For data. */
  readonly stdout: TextSink;
  /** For messages and logs. */
  readonly stderr: TextSink;
  /** Whether standard error is a terminal, so that logs are for people. */
  readonly isTty: boolean;
  /** Shows long text page by page; absent when standard output is no terminal. */
  readonly page?: (text: string) => Promise<void>;
  readonly homeDir: string;
  readonly cwd: string;
  /** Calls `listener` on every such signal until the returned function is called. */
  readonly onSignal: (listener: (signal: Signal) => void) => () => void;
}

/** What a verb is given to run. */
export interface VerbContext {
  readonly io: Io;
  /** Positional arguments, in order; a repeatable one is flattened into the list. */
  readonly args: readonly string[];
  /** Flags by commander's camel-case name; only those that were given or have a default. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What `config` is made from; for verbs that want more than the result. */
  readonly configInput: ConfigInput;
  /**
   * The checked settings (loaded once).
   *
   * @throws ConfigurationError with every problem at once
   */
  readonly config: () => Config;
}

/**
 * One verb of the command line. Its file exports it as `verb` and is imported only when the verb is
 * called, so `serve`'s weight costs `version` nothing.
 */
export interface Verb {
  readonly name: string;
  /** One line for `--help`, without a full stop. */
  readonly summary: string;
  /** Adds arguments and flags (see `flags.ts`); runs before parsing and must do nothing else. */
  configure(command: Command): void;
  /** Does the work; the number is the exit status (`exit-status.ts`). Errors are thrown, not printed. */
  run(context: VerbContext): Promise<number>;
}

/** Prints one JSON document to standard output, for `--json`. */
export function printJson(io: Io, value: unknown): void {
  io.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** Prints one line to standard output. */
export function printLine(io: Io, line: string): void {
  io.stdout.write(`${line}\n`);
}

/** Prints many lines, and on a terminal through a pager with a last line that a pipe does without. */
export async function printPaged(io: Io, lines: readonly string[], footer: string): Promise<void> {
  if (io.page === undefined) {
    if (lines.length > 0) io.stdout.write(`${lines.join('\n')}\n`);
    else if (footer !== '') printLine(io, footer);
    return;
  }
  const all = footer === '' ? lines : [...lines, '', footer];
  await io.page(`${all.join('\n').trimStart()}\n`);
}
