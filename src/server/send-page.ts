import type { IncomingMessage, ServerResponse } from 'node:http';
import { NotAcceptableError } from '../core/errors.ts';
import { PAGE_CODINGS } from '../repository/rendered-pages.ts';
import type { PageForm, ReadyPage } from '../repository/rendered-pages.ts';
import { JSON_TYPE, PAGE_TYPES, negotiate, negotiateCoding } from '../simple/negotiate.ts';
import type { PageType } from '../simple/negotiate.ts';
import { pageCacheStatus } from './cache-status.ts';
import { noneMatchFails } from './conditional.ts';
import type { HeadFields } from './fast-door.ts';

/** Every index answer depends on these request headers, refusals included. */
const VARY = 'Accept, Accept-Encoding';

/**
 * Clients that install what is yanked: setuptools' own reader, which zc.buildout uses, too, and pip
 * before 19.2.
 */
const IGNORES_YANKED = /^(?:setuptools\/|pip\/(?:\d|1[0-8]|19\.[01])(?:[.\s]|$))/;

/** What the client wants of a page: its form and the content type to call it by. */
export interface WantedPage {
  readonly form: PageForm;
  readonly contentType: string;
  /** The request headers that decided. */
  readonly vary: string;
}

/** @throws NotAcceptableError when no representation fits */
export function negotiatePage(
  request: IncomingMessage,
  response: ServerResponse,
  depth: number,
  hideYanked: 'never' | 'setuptools' | 'always',
): WantedPage {
  const vary = hideYanked === 'setuptools' ? `${VARY}, User-Agent` : VARY;
  // Refusals depend on them, too.
  response.setHeader('Vary', vary);
  const type = negotiate(request.headers.accept, formatParameter(request.url ?? ''))?.type;
  if (type === undefined) {
    throw new NotAcceptableError(
      `None of the offered types is acceptable. Offered: ${PAGE_TYPES.join(', ')}.`,
    );
  }
  const coding = negotiateCoding(headerText(request.headers['accept-encoding']), PAGE_CODINGS);
  const isBlindToYanked =
    hideYanked === 'setuptools' && IGNORES_YANKED.test(request.headers['user-agent'] ?? '');
  return {
    form: {
      format: type === JSON_TYPE ? 'json' : 'html',
      coding,
      depth,
      hideYanked: hideYanked === 'always' || isBlindToYanked,
    },
    contentType: contentTypeOf(type),
    vary,
  };
}

/** The two heads that a document can go out with. */
export interface PageHeads {
  readonly head: HeadFields;
  readonly notModifiedHead: HeadFields;
}

/** The heads of a document; an index page names the request headers that it varies by. */
export function pageHeads(page: ReadyPage, contentType: string, vary: string | null): PageHeads {
  const notModifiedHead: HeadFields = [
    ...(vary === null ? [] : [['Vary', vary] as const]),
    ['Cache-Control', 'max-age=0, must-revalidate'],
    ['ETag', page.etag],
    ['Cache-Status', pageCacheStatus(page.freshness)],
    ...(page.lastSerial === null ? [] : [['X-PyPI-Last-Serial', page.lastSerial] as const]),
    ['X-Content-Type-Options', 'nosniff'],
  ];
  return {
    notModifiedHead,
    head: [
      ...notModifiedHead,
      ['Content-Type', contentType],
      ['Content-Length', page.body.length],
      ['Content-Security-Policy', "default-src 'none'; sandbox"],
      ...(page.coding === 'identity' ? [] : [['Content-Encoding', page.coding] as const]),
    ],
  };
}

/** Sends a document, or 304 when the client has it. */
export function sendDocument(
  request: IncomingMessage,
  response: ServerResponse,
  page: ReadyPage,
  { head, notModifiedHead }: PageHeads,
): void {
  const isKnown = noneMatchFails(request.headers['if-none-match'], page.etag);
  response.statusCode = isKnown ? 304 : 200;
  for (const [name, value] of isKnown ? notModifiedHead : head) response.setHeader(name, value);
  response.end(isKnown || request.method === 'HEAD' ? undefined : page.body);
}

function contentTypeOf(type: PageType): string {
  // buildout reads latin-1 where no charset is named; JSON has none (RFC 8259 §11).
  return type === JSON_TYPE ? type : `${type}; charset=utf-8`;
}

function formatParameter(target: string): string | undefined {
  const query = target.indexOf('?');
  return query < 0
    ? undefined
    : (new URLSearchParams(target.slice(query + 1)).get('format') ?? undefined);
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}
