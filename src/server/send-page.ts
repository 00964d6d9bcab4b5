import type { IncomingMessage, ServerResponse } from 'node:http';
import { NotAcceptableError } from '../core/errors.ts';
import { PAGE_CODINGS } from '../repository/rendered-pages.ts';
import type { PageForm, ReadyPage } from '../repository/rendered-pages.ts';
import { JSON_TYPE, PAGE_TYPES, negotiate, negotiateCoding } from '../simple/negotiate.ts';
import type { PageType } from '../simple/negotiate.ts';
import { pageCacheStatus } from './cache-status.ts';
import { noneMatchFails } from './conditional.ts';

/** Every index answer depends on these request headers, refusals included. */
const VARY = 'Accept, Accept-Encoding';

/** Clients that install what is yanked: setuptools' own reader, which zc.buildout uses, too. */
const IGNORES_YANKED = /^setuptools\//;

/** What the client wants of a page: its form and the content type to call it by. */
export interface WantedPage {
  readonly form: PageForm;
  readonly contentType: string;
}

/** @throws NotAcceptableError when no representation fits */
export function negotiatePage(
  request: IncomingMessage,
  response: ServerResponse,
  depth: number,
  hideYanked: 'never' | 'setuptools' | 'always',
): WantedPage {
  response.setHeader('Vary', hideYanked === 'setuptools' ? `${VARY}, User-Agent` : VARY);
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
  };
}

/** Sends a ready index page, or 304 when the client has it. */
export function sendPage(
  request: IncomingMessage,
  response: ServerResponse,
  page: ReadyPage,
  wanted: WantedPage,
): void {
  sendDocument(request, response, page, wanted.contentType);
}

/** Sends any ready document likewise. */
export function sendDocument(
  request: IncomingMessage,
  response: ServerResponse,
  page: ReadyPage,
  contentType: string,
): void {
  response.setHeader('Cache-Control', 'max-age=0, must-revalidate');
  response.setHeader('ETag', page.etag);
  response.setHeader('Cache-Status', pageCacheStatus(page.freshness));
  if (page.lastSerial !== null) response.setHeader('X-PyPI-Last-Serial', page.lastSerial);
  if (noneMatchFails(request.headers['if-none-match'], page.etag)) {
    response.statusCode = 304;
    response.end();
    return;
  }
  response.setHeader('Content-Type', contentType);
  response.setHeader('Content-Length', page.body.length);
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('Content-Security-Policy', "default-src 'none'; sandbox");
  if (page.coding !== 'identity') response.setHeader('Content-Encoding', page.coding);
  response.end(request.method === 'HEAD' ? undefined : page.body);
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
