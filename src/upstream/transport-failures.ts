import {
  codeOf,
  InvalidUpstreamAnswerError,
  messageOf,
  UpstreamUnavailableError,
  UpstreamUnreachableError,
  WheelcellarError,
} from '../core/errors.ts';

/** A proxy did not open the tunnel it was asked for. */
export class TunnelRefusedError extends Error {
  /** HTTP status of the proxy's answer; 0 when it was no HTTP answer. */
  readonly status: number;

  constructor(status: number) {
    super(status === 0 ? 'The proxy gave no HTTP answer' : `The proxy answered ${status}`);
    this.name = 'TunnelRefusedError';
    this.status = status;
  }
}

/** No connection came about. `ETIMEDOUT` is the kernel's own, shorter patience. */
const UNREACHABLE: ReadonlySet<string> = new Set([
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EAI_NODATA',
  'EAI_NONAME',
  'ECONNREFUSED',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const TLS_FAILURE =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|EPROTO$)/;

/** An answer that came, but not in HTTP's grammar or beyond the limits. */
const MALFORMED = /^(?:HPE_|UND_ERR_HEADERS_OVERFLOW$|UND_ERR_RES_EXCEEDED_MAX_SIZE$)/;

function messageFor(what: string, thrown: unknown): string {
  return `${what}: ${messageOf(thrown) || (codeOf(thrown) ?? 'unknown failure')}`;
}

function tunnelFailure(error: TunnelRefusedError, url: string): WheelcellarError {
  const message = messageFor(`The proxy does not let ${url} through`, error);
  return error.status >= 500 || error.status === 429
    ? new UpstreamUnavailableError(message, { cause: error })
    : new InvalidUpstreamAnswerError(message, { cause: error });
}

/**
 * The error class for what went wrong on the way to `url` (redacted). Errors of ours pass unchanged.
 * Only a failure to connect is UpstreamUnreachableError; TLS that fails is an invalid answer, since
 * someone did answer, and it must never look like an outage.
 */
export function transportFailure(thrown: unknown, url: string): WheelcellarError {
  if (thrown instanceof WheelcellarError) return thrown;
  if (thrown instanceof TunnelRefusedError) return tunnelFailure(thrown, url);
  const code = codeOf(thrown) ?? '';
  const details = { cause: thrown };
  const isKernelTimeout =
    code === 'ETIMEDOUT' && (thrown as NodeJS.ErrnoException).syscall !== 'read';
  if (UNREACHABLE.has(code) || isKernelTimeout) {
    return new UpstreamUnreachableError(messageFor(`No connection to ${url}`, thrown), details);
  }
  if (TLS_FAILURE.test(code)) {
    return new InvalidUpstreamAnswerError(messageFor(`TLS with ${url} failed`, thrown), {
      ...details,
      hint: 'If a proxy or a private authority is in between, name its certificate in http.ca_file or SSL_CERT_FILE.',
    });
  }
  // The parser has no code for an answer that does not even begin like HTTP.
  const isParserError = thrown instanceof Error && thrown.name === 'HTTPParserError';
  if (isParserError || MALFORMED.test(code)) {
    return new InvalidUpstreamAnswerError(messageFor(`No valid HTTP from ${url}`, thrown), details);
  }
  return new UpstreamUnavailableError(
    messageFor(`The exchange with ${url} broke`, thrown),
    details,
  );
}
