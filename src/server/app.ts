import express from 'express';
import type { Express, NextFunction, Request, Response } from 'express';
import { NotFoundError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { RenderedPages } from '../repository/rendered-pages.ts';
import type { Repository, RequestContext } from '../repository/repository.ts';
import { answerError, answerText } from './answer-errors.ts';
import { parseRoute } from './route.ts';
import type { Route } from './route.ts';
import { sendFile } from './send-file.ts';
import { negotiatePage, sendPage } from './send-page.ts';

/** What the HTTP side asks and tells. */
export interface AppOptions {
  readonly pages: RenderedPages;
  readonly repository: Repository;
  /** `/`, or the prefix all routes share. */
  readonly basePath: string;
  readonly networkMode: RequestContext['networkMode'];
  /** Whose pages leave out yanked files. */
  readonly hideYanked: 'never' | 'setuptools' | 'always';
  readonly log: Logger;
  /** The numbers behind `/-/stats`. */
  readonly stats: () => unknown;
  readonly isReady: () => boolean;
  /** Called after each file answer with the bytes that went to the client. */
  readonly onFileServed: (origin: 'hit' | 'miss', sentBytes: number) => void;
}

const READ_METHODS = new Set(['GET', 'HEAD']);

/** All routes. Needs the guards of `http-server.ts` in front of it. */
export function createApp(options: AppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(async (request: Request, response: Response) => {
    const route = parseRoute(request.url, options.basePath);
    if (!READ_METHODS.has(request.method)) {
      response.setHeader('Allow', 'GET, HEAD');
      answerText(request, response, 405, `${request.method} is not possible here.`);
      return;
    }
    await answer(options, route, request, response);
  });
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    answerError(error, request, response, options.log);
  });
  return app;
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
    case 'root': {
      const wanted = negotiatePage(request, response, route.depth, options.hideYanked);
      sendPage(request, response, await options.pages.root(wanted.form, context), wanted);
      return;
    }
    case 'project': {
      const wanted = negotiatePage(request, response, route.depth, options.hideYanked);
      sendPage(
        request,
        response,
        await options.pages.project(route.project, wanted.form, context),
        wanted,
      );
      return;
    }
    case 'file': {
      const source = await options.repository.file(route.path, context);
      const sent = await sendFile(request, response, source, context.signal);
      if (request.method === 'GET') options.onFileServed(source.origin, sent);
      return;
    }
    case 'redirect':
      response.setHeader('Location', route.location);
      answerText(request, response, 301, `See ${route.location}`);
      return;
    case 'own':
      answerOwn(options, route.path, request, response);
      return;
    case 'unknown':
      throw new NotFoundError('There is nothing at this address.', {
        hint: 'The index is at simple/, a project at simple/<name>/.',
      });
  }
}

function answerOwn(options: AppOptions, path: string, request: Request, response: Response): void {
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
      response.json(options.stats());
      return;
    }
    default:
      throw new NotFoundError(`There is no page /-/${path}.`, {
        hint: 'Try /-/stats, /-/health or /-/ready.',
      });
  }
}

/** Aborts when the client has left before its answer was complete. */
function goneSignal(response: Response): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}
