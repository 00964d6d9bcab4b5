import { pino } from 'pino';
import type { DestinationStream } from 'pino';
import pretty from 'pino-pretty';

/** Data beside a constant message; values must be safe to print (URLs through `redact`). */
export type LogFields = Readonly<Record<string, unknown>>;

/** What a component needs of a log. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface LoggerOptions {
  readonly level: LogLevel;
  /** `text` for people, `json` for machines: one object a line. */
  readonly format: 'text' | 'json';
  /** Where lines go; standard error by default, since standard output is for data. */
  readonly destination?: DestinationStream;
  readonly colour?: boolean;
}

/** A logger over pino. Errors in fields are written as their message and code, never with a stack at info. */
export function createLogger(options: LoggerOptions): Logger {
  const destination =
    options.format === 'json'
      ? (options.destination ?? pino.destination({ dest: 2, sync: true }))
      : pretty({
          destination: options.destination ?? 2,
          sync: true,
          colorize: options.colour ?? false,
          translateTime: 'SYS:HH:MM:ss',
          ignore: 'pid,hostname',
        });
  const sink = pino({ level: options.level, base: null }, destination);
  return {
    debug: (message, fields) => sink.debug(fields ?? {}, message),
    info: (message, fields) => sink.info(fields ?? {}, message),
    warn: (message, fields) => sink.warn(fields ?? {}, message),
    error: (message, fields) => sink.error(fields ?? {}, message),
  };
}

/** A logger that drops everything. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};
