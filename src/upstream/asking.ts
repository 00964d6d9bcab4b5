import { InvalidUpstreamAnswerError } from '../core/errors.ts';
import { redact } from '../core/redact.ts';
import type { Credentials } from './credentials.ts';
import type { Transport, TransportResponse } from './transport.ts';

/** A question that may be redirected on its way. */
export interface Question {
  readonly method: 'GET' | 'HEAD';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  readonly headersTimeoutMs?: number | undefined;
}

/** The answer at the end of the redirects. */
export interface Reply extends TransportResponse {
  /** Where it came from, without credentials and fragment. */
  readonly url: URL;
}

/** How often and how patiently an upstream is asked. */
export interface AskingOptions {
  readonly transport: Transport;
  readonly credentials: Credentials;
  readonly maxRedirects: number;
  /** Throws when this URL must not be asked. Called for the question and for each redirect. */
  readonly check: (url: URL) => void;
  /** Runs a request under the breaker of its host. */
  readonly guard: <T>(url: URL, work: () => Promise<T>) => Promise<T>;
  /** Hears how long the head of each answer took. */
  readonly onAnswered?: (ms: number) => void;
}

/** Sends a question and follows its redirects. */
export type Ask = (question: Question) => Promise<Reply>;

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** The URL without what must never be sent or kept: credentials and fragment. */
export function bareUrl(url: URL): URL {
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  bare.hash = '';
  return bare;
}

function redirectTarget(reply: TransportResponse, from: URL): URL {
  const location = reply.headers['location'];
  if (location === undefined || !URL.canParse(location, from.href)) {
    throw new InvalidUpstreamAnswerError(
      `${redact(from)} redirects, but not to a readable address.`,
    );
  }
  const target = bareUrl(new URL(location, from));
  if (from.protocol === 'https:' && target.protocol !== 'https:') {
    throw new InvalidUpstreamAnswerError(
      `${redact(from)} redirects from https to ${redact(target)}; refused.`,
    );
  }
  return target;
}

/**
 * The way all requests of an upstream go: each hop is checked, carries only the credentials of its
 * own origin, and is run under its host's breaker.
 */
export function createAsk(options: AskingOptions): Ask {
  const { transport, credentials, maxRedirects, check, guard, onAnswered } = options;
  return async (question) => {
    let url = bareUrl(question.url);
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const target = url;
      check(target);
      const authorization = await credentials.headerFor(target);
      const headers =
        authorization === undefined ? question.headers : { ...question.headers, authorization };
      const askedAt = performance.now();
      const response = await guard(target, () =>
        transport.request({ ...question, url: target, headers }),
      );
      onAnswered?.(performance.now() - askedAt);
      if (!REDIRECTS.has(response.status)) return { ...response, url: target };
      response.discard();
      url = redirectTarget(response, target);
    }
    throw new InvalidUpstreamAnswerError(
      `${redact(question.url)} redirects more than ${maxRedirects} times.`,
    );
  };
}
