import { createRequire } from 'node:module';
import { pino } from 'pino';
import type { prettyFactory } from 'pino-pretty';

/** Data beside a constant message; values must be safe to print (URLs through `redact`). */
export type LogFields = Readonly<Record<string, unknown>>;

/** What a component needs of a log. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** The least severe line that is written; `silent` for none. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** What is logged, how, and where to. */
export interface LoggerOptions {
  readonly level: LogLevel;
  /** `text` for people, `json` for machines: one object a line. */
  readonly format: 'text' | 'json';
  /** Where lines go; the process's standard error, since standard output is for data. */
  readonly destination: { write(line: string): unknown };
  readonly colour?: boolean;
}

/** A logger over pino. Errors in fields are written as their message and code, never with a stack at info. */
export function createLogger(options: LoggerOptions): Logger {
  const lines = { write: (line: string) => void options.destination.write(line) };
  const sink = pino(
    { level: options.level, base: null },
    options.format === 'json' ? lines : textLines(lines, options.colour ?? false),
  );
  return {
    debug: (message, fields) => sink.debug(fields ?? {}, message),
    info: (message, fields) => sink.info(fields ?? {}, message),
    warn: (message, fields) => sink.warn(fields ?? {}, message),
    error: (message, fields) => sink.error(fields ?? {}, message),
  };
}

/** Lines for people. What makes them is loaded only where people look on. */
function textLines(
  lines: { write(line: string): void },
  colorize: boolean,
): { write(line: string): void } {
  const require = createRequire(import.meta.url);
  const pretty = require('pino-pretty') as { readonly prettyFactory: typeof prettyFactory };
  const format = pretty.prettyFactory({
    colorize,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname',
    singleLine: true,
  });
  return { write: (line) => lines.write(format(line) ?? '') };
}

/** A logger that drops everything. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};
