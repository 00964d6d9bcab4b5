import { InvalidUpstreamAnswerError } from '../core/errors.ts';
import { HTML_TYPE, JSON_TYPE, LEGACY_HTML_TYPE } from './negotiate.ts';
import type { PageContext, PageReading } from './page-reading.ts';
import { readHtmlSteps } from './read-html.ts';
import { readJsonSteps } from './read-json.ts';
import { finish, finishInSlices, type Steps } from './slices.ts';

/** An index page as it came over the wire, content codings removed. */
export interface PageAnswer extends PageContext {
  readonly body: Uint8Array;
  /** The Content-Type header, parameters and all; `null` when there was none. */
  readonly contentType: string | null | undefined;
}

type PageForm = 'json' | 'html';

/** Types that servers use for either form; the first character decides. */
const VAGUE_TYPES: ReadonlySet<string> = new Set(['', 'application/json', LEGACY_HTML_TYPE]);

/**
 * Reads a project page in whichever form it came. A generic type (`text/html`, `application/json`) or
 * none is not trusted to tell which of the two forms follows; any other type is refused.
 *
 * @throws InvalidUpstreamAnswerError when the type is another one, or the page cannot be read
 */
export function readPage(answer: PageAnswer): PageReading {
  return finish(readPageSteps(answer));
}

/**
 * {@link readPage} in slices of a few milliseconds, so that a page of 30,000 files does not hold up the
 * event loop.
 *
 * @throws InvalidUpstreamAnswerError as {@link readPage}
 */
export function readPageInSlices(answer: PageAnswer): Promise<PageReading> {
  return finishInSlices(readPageSteps(answer));
}

function* readPageSteps(answer: PageAnswer): Steps<PageReading> {
  const form = formOf(answer);
  return yield* form === 'html'
    ? readHtmlSteps(answer.body, answer)
    : readJsonSteps(answer.body, answer);
}

function formOf({ contentType, body }: PageAnswer): PageForm {
  const type = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type === JSON_TYPE) return 'json';
  if (type === HTML_TYPE) return 'html';
  if (!VAGUE_TYPES.has(type)) {
    throw new InvalidUpstreamAnswerError(
      `The index answered with content type ${JSON.stringify(type.slice(0, 80))}, which is no form of the Simple API.`,
    );
  }
  return sniff(body) ?? (type === 'application/json' ? 'json' : 'html');
}

/** By the first character that is neither white space nor part of a byte order mark. */
function sniff(body: Uint8Array): PageForm | undefined {
  const first = /[^\s\ufeff]/.exec(new TextDecoder().decode(body.subarray(0, 1024)))?.[0];
  if (first === '{') return 'json';
  return first === '<' ? 'html' : undefined;
}
