import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ProjectName } from '../packaging/names.ts';
import type { HotPages } from '../repository/hot-pages.ts';
import type { ReadyPage } from '../repository/rendered-pages.ts';
import { noneMatchFails } from './conditional.ts';

/** A page as it goes over the wire: heads as flat lists of names and values, ready for `writeHead`. */
export interface HotAnswer {
  readonly head: readonly string[];
  readonly notModifiedHead: readonly string[];
  readonly body: Buffer;
  readonly etag: string;
}

/** The head of an answer, in order. */
export type HeadFields = readonly (readonly [name: string, value: string | number])[];

/**
 * The door in front of Express: answers what was answered before, byte for byte, from two look-ups. What
 * it does not know goes on to the other door, which leaves here what it answers.
 */
export class FastDoor {
  readonly #pages: HotPages<HotAnswer>;
  readonly #dependsOnUserAgent: boolean;

  /** @param dependsOnUserAgent whether the User-Agent decides what a page lists */
  constructor(pages: HotPages<HotAnswer>, dependsOnUserAgent: boolean) {
    this.#pages = pages;
    this.#dependsOnUserAgent = dependsOnUserAgent;
  }

  /** Counts changes; see HotPages. */
  get changes(): number {
    return this.#pages.changes;
  }

  /** Answers the request if the answer is at hand. Needs the guards in front of it. */
  answers(request: IncomingMessage, response: ServerResponse): boolean {
    const isHead = request.method === 'HEAD';
    if (!isHead && request.method !== 'GET') return false;
    const answer = this.#pages.get(this.#keyOf(request));
    if (answer === undefined) return false;
    if (noneMatchFails(request.headers['if-none-match'], answer.etag)) {
      response.writeHead(304, answer.notModifiedHead as string[]).end();
    } else {
      response.writeHead(200, answer.head as string[]).end(isHead ? undefined : answer.body);
    }
    return true;
  }

  /** Keeps the answer to this request, made of `page`, for requests that say the same. */
  keep(
    request: IncomingMessage,
    project: ProjectName | null,
    page: ReadyPage,
    fields: { readonly head: HeadFields; readonly notModifiedHead: HeadFields },
    changesBefore: number,
  ): void {
    const answer = {
      head: fields.head.flat().map(String),
      notModifiedHead: fields.notModifiedHead.flat().map(String),
      body: page.body,
      etag: page.etag,
    };
    this.#pages.keep(this.#keyOf(request), project, page, answer, changesBefore);
  }

  /** All of a request that a page depends on. */
  #keyOf({ url, headers }: IncomingMessage): string {
    const said = `${url}\n${headers.accept ?? ''}\n${String(headers['accept-encoding'] ?? '')}`;
    return this.#dependsOnUserAgent ? `${said}\n${headers['user-agent'] ?? ''}` : said;
  }
}
