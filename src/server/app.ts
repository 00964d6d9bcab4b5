import type { RequestListener } from 'node:http';
import express from 'express';
import type { Express, Request, Response } from 'express';
import { NotFoundError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { ProjectName } from '../packaging/names.ts';
import type { Asked, AskedListener } from '../repository/ahead/ahead.ts';
import type { LegacyDocuments } from '../repository/legacy-documents.ts';
import type { ProvenanceSource } from '../repository/provenance.ts';
import type { RenderedPages } from '../repository/rendered-pages.ts';
import type { Repository, RequestContext } from '../repository/repository.ts';
import type { Statistics } from '../repository/statistics.ts';
import { answerError, answerText } from './answer-errors.ts';
import type { BufferPool } from './buffer-pool.ts';
import type { FastDoor } from './fast-door.ts';
import { redirectField, wantsRedirect } from './file-heads.ts';
import { metricsText } from './metrics.ts';
import { parseRoute } from './route.ts';
import type { Route } from './route.ts';
import { sendFile } from './send-file.ts';
import { negotiatePage, pageHeads, sendDocument } from './send-page.ts';

/** What the HTTP side asks and tells. */
export interface AppOptions {
  readonly pages: RenderedPages;
  /** The door in front of this one, which keeps what is answered here. */
  readonly fastDoor?: FastDoor;
  /** For the bytes of held files. */
  readonly buffers: BufferPool;
  /** Prefix under which a front finds the files of `mirror/`; `null` sends their bytes from here. */
  readonly accelRedirect: string | null;
  readonly repository: Repository;
  readonly legacy: LegacyDocuments;
  readonly provenance: ProvenanceSource;
  /** `/`, or the prefix all routes share. */
  readonly basePath: string;
  readonly networkMode: RequestContext['networkMode'];
  /** Peers whose `X-Forwarded-*` headers are believed. */
  readonly trustProxy: readonly string[];
  /** Whose pages leave out yanked files. */
  readonly hideYanked: 'never' | 'setuptools' | 'always';
  readonly log: Logger;
  /** The numbers behind `/-/stats` and `/-/metrics`, or a promise of them. */
  readonly stats: () => Statistics | Promise<Statistics>;
  readonly isReady: () => boolean;
  /** Called after each file answer with the bytes that went to the client. */
  readonly onFileServed: (origin: 'hit' | 'miss', sentBytes: number) => void;
  /** Called before each page or file is looked for. */
  readonly onAsked?: AskedListener;
}

const READ_METHODS = new Set(['GET', 'HEAD']);

/** All routes. Needs the guards of `http-server.ts` in front of it. */
export function createApp(options: AppOptions): RequestListener {
  const app = routes(options);
  // Express's own last word would be a page of HTML: for targets that it cannot parse, too.
  return (request, response) =>
    app(request as Request, response as Response, (error?: unknown) => {
      const reason = error ?? new NotFoundError('There is nothing at this address.');
      answerError(reason, request, response, options.log);
    });
}

function routes(options: AppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', [...options.trustProxy]);
  app.use(async (request: Request, response: Response) => {
    const route = parseRoute(request.url, options.basePath);
    if (!READ_METHODS.has(request.method)) {
      response.setHeader('Allow', 'GET, HEAD');
      // Nobody reads its body; closing spares both sides the rest of it.
      if (hasBody(request)) response.setHeader('Connection', 'close');
      answerText(request, response, 405, `${request.method} is not possible here.`);
      return;
    }
    await answer(options, route, request, response);
  });
  return app;
}

function hasBody({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

async function answer(
  options: AppOptions,
  route: Route,
  request: Request,
  response: Response,
): Promise<void> {
  const context: RequestContext = {
    networkMode: options.networkMode,
    signal: goneSignal(response),
  };
  switch (route.kind) {
    case 'root':
    case 'project': {
      if (route.kind === 'project')
        tell(options, request, { kind: 'page', project: route.project });
      const project = route.kind === 'root' ? null : route.project;
      await answerPage(options, project, route.depth, context, request, response);
      return;
    }
    case 'file': {
      tell(options, request, { kind: 'file', path: route.path });
      const changesBefore = options.fastDoor?.fileChanges ?? 0;
      const source = await options.repository.file(route.path, context);
      const redirect =
        options.accelRedirect === null ? null : redirectField(options.accelRedirect, route.path);
      options.fastDoor?.keepFile(request, source, redirect, changesBefore);
      const sent = await sendFile(request, response, source, {
        signal: context.signal,
        buffers: options.buffers,
        redirect: wantsRedirect(request.headers) ? redirect : null,
      });
      if (request.method === 'GET') options.onFileServed(source.origin, sent);
      return;
    }
    case 'legacy-json': {
      const { project, version } = route;
      const root = `${originOf(request)}${options.basePath === '/' ? '' : options.basePath}/`;
      const page = await options.legacy.document(project, version, root, context);
      sendDocument(request, response, page, pageHeads(page, 'application/json', null));
      return;
    }
    case 'provenance': {
      const found = await options.provenance.provenance(route.project, route.filename, context);
      response.setHeader('Cache-Control', 'public, max-age=3600');
      response.setHeader('Content-Type', found.contentType);
      response.setHeader('Content-Length', found.body.length);
      response.setHeader('X-Content-Type-Options', 'nosniff');
      response.end(request.method === 'HEAD' ? undefined : found.body);
      return;
    }
    case 'redirect':
      response.setHeader('Location', route.location);
      answerText(request, response, 301, `See ${route.location}`);
      return;
    case 'own':
      await answerOwn(options, route.path, request, response);
      return;
    case 'unknown':
      throw new NotFoundError('There is nothing at this address.', {
        hint: 'The index is at simple/, a project at simple/<name>/.',
      });
  }
}

function tell({ onAsked }: AppOptions, request: Request, asked: Asked): void {
  if (onAsked === undefined || request.method !== 'GET') return;
  const userAgent = request.headers['user-agent'];
  if (userAgent !== undefined) onAsked({ address: request.ip ?? '', userAgent }, asked);
}

async function answerPage(
  options: AppOptions,
  project: ProjectName | null,
  depth: number,
  context: RequestContext,
  request: Request,
  response: Response,
): Promise<void> {
  const wanted = negotiatePage(request, response, depth, options.hideYanked);
  const changesBefore = options.fastDoor?.changes ?? 0;
  const page =
    project === null
      ? await options.pages.root(wanted.form, context)
      : await options.pages.project(project, wanted.form, context);
  sendDocument(request, response, page, pageHeads(page, wanted.contentType, wanted.vary));
  if (options.fastDoor === undefined) return;
  // What was fetched for this client is a hit for the next one.
  const { freshness } = page;
  const next =
    freshness.status === 'fetched' ? { ...freshness, status: 'hit' as const } : freshness;
  const heads = pageHeads({ ...page, freshness: next }, wanted.contentType, wanted.vary);
  options.fastDoor.keep(request, project, page, heads, changesBefore);
}

async function answerOwn(
  options: AppOptions,
  path: string,
  request: Request,
  response: Response,
): Promise<void> {
  switch (path) {
    case 'health':
      answerText(request, response, 200, 'ok');
      return;
    case 'ready':
      answerText(
        request,
        response,
        options.isReady() ? 200 : 503,
        options.isReady() ? 'ready' : 'stopping',
      );
      return;
    case 'stats': {
      response.setHeader('Cache-Control', 'no-store');
      response.setHeader('X-Content-Type-Options', 'nosniff');
      response.json(await options.stats());
      return;
    }
    case 'metrics': {
      const { body, contentType } = await metricsText(await options.stats());
      response.setHeader('Cache-Control', 'no-store');
      response.setHeader('Content-Type', contentType);
      response.setHeader('Content-Length', Buffer.byteLength(body));
      response.setHeader('X-Content-Type-Options', 'nosniff');
      response.end(request.method === 'HEAD' ? undefined : body);
      return;
    }
    default:
      throw new NotFoundError(`There is no page /-/${path}.`, {
        hint: 'Try /-/stats, /-/metrics, /-/health or /-/ready.',
      });
  }
}

/**
 * How the client reached us. The Host is one of ours: the guard has seen it. Only the legacy JSON needs
 * absolute URLs; links in pages are relative.
 */
function originOf(request: Request): string {
  const forwarded = request.app.get('trust proxy fn') as
    | ((address: string, hop: number) => boolean)
    | undefined;
  const isTrusted = forwarded?.(request.socket.remoteAddress ?? '', 0) === true;
  const forwardedHost = isTrusted ? request.headers['x-forwarded-host'] : undefined;
  // Of several proxies the first one is the client's.
  const host = String(forwardedHost ?? request.headers.host ?? 'localhost')
    .split(',')[0]
    ?.trim();
  const scheme = isTrusted && request.headers['x-forwarded-proto'] === 'https' ? 'https' : 'http';
  return `${scheme}://${host}`;
}

/** Aborts when the client has left before its answer was complete. */
function goneSignal(response: Response): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}
