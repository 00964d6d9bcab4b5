/**
 * One class per meaning. Only two files translate them: `server/answer-errors.ts` into HTTP statuses
 * and `cli/exit-status.ts` into exit codes.
 */

/** What every error of ours may carry beside its message. */
export interface ErrorDetails {
  /** The error that led to this one. */
  readonly cause?: unknown;
  /** What the reader can do next, as a sentence. */
  readonly hint?: string;
}

/** The base of all errors that Wheelcellar throws on purpose. */
export class WheelcellarError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.hint = details.hint;
  }
}

/** No index that was asked knows this project or file. HTTP 404, exit 3. */
export class NotFoundError extends WheelcellarError {}

/** A rule refuses this file or request. HTTP 403, exit 3. */
export class RefusedError extends WheelcellarError {}

/** None of our representations fits the Accept header. HTTP 406. */
export class NotAcceptableError extends WheelcellarError {}

/** The byte range lies outside the file. HTTP 416. */
export class RangeNotSatisfiableError extends WheelcellarError {
  /** Length of the whole file in bytes. */
  readonly sizeBytes: number;

  constructor(sizeBytes: number) {
    super(`The requested range lies outside the file of ${sizeBytes} bytes.`);
    this.sizeBytes = sizeBytes;
  }
}

/**
 * Offline by choice, and this is not in the cache. HTTP 404 (uv stops its search at 403 and 5xx),
 * exit 4.
 */
export class NotHeldOfflineError extends WheelcellarError {}

/** The upstream cannot be asked now and nothing is stored that could stand in. HTTP 503, exit 4. */
export class UpstreamUnavailableError extends WheelcellarError {
  /** When a client may try again, in seconds. */
  readonly retryAfterSeconds: number;

  constructor(
    message: string,
    details: ErrorDetails & { readonly retryAfterSeconds?: number } = {},
  ) {
    super(message, details);
    this.retryAfterSeconds = details.retryAfterSeconds ?? 2;
  }
}

/**
 * No connection to the upstream could be made (DNS, no route, refused, connect timeout). The only
 * failure that counts towards being cut off.
 */
export class UpstreamUnreachableError extends UpstreamUnavailableError {}

/** The upstream answered, but with something that cannot be used. HTTP 502, exit 5. */
export class InvalidUpstreamAnswerError extends WheelcellarError {}

/** Bytes do not have the digest or length they were listed with. HTTP 502, exit 5. */
export class IntegrityError extends WheelcellarError {}

/** Another process holds what this one needs, or the server is stopping. HTTP 503, exit 6. */
export class BusyError extends WheelcellarError {}

/** The cache folder cannot take the bytes (disk full, read-only, input/output error). */
export class StorageError extends WheelcellarError {}

/** The command line, the environment or the configuration file is wrong. Exit 2. */
export class ConfigurationError extends WheelcellarError {
  /** Every problem that was found, one sentence each. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[], details: ErrorDetails = {}) {
    super(problems.join('\n'), details);
    this.problems = problems;
  }
}

/** The message of anything that was thrown, for logs and for the `cause` line of an answer. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The system's error code (`ENOENT`, `ECONNREFUSED`), searched through the chain of causes. */
export function codeOf(thrown: unknown): string | undefined {
  for (
    let error = thrown, depth = 0;
    error instanceof Error && depth < 5;
    error = error.cause, depth++
  ) {
    const code = (error as NodeJS.ErrnoException).code;
    if (typeof code === 'string') return code;
  }
  return undefined;
}
