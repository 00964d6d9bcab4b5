import { onTestFinished } from 'vitest';
import { silentLogger } from '../../src/core/logger.ts';
import { LegacyDocuments } from '../../src/repository/legacy-documents.ts';
import { ProvenanceSource } from '../../src/repository/provenance.ts';
import { RenderedPages } from '../../src/repository/rendered-pages.ts';
import { createApp } from '../../src/server/app.ts';
import { BufferPool } from '../../src/server/buffer-pool.ts';
import { startHttpServer } from '../../src/server/http-server.ts';
import type { HttpServer, HttpServerOptions } from '../../src/server/http-server.ts';
import { FakeRepository } from './fake-repository.ts';
import { ask } from './http-client.ts';
import { SOME_STATISTICS } from './some-statistics.ts';
import type { Answer, AskOptions } from './http-client.ts';

/** The real server and app over a repository that does as it is told. */
export interface HttpStage {
  readonly repository: FakeRepository;
  readonly server: HttpServer;
  readonly origin: string;
  /** What was told about files that were sent. */
  readonly served: { origin: string; bytes: number }[];
  get(target: string, options?: AskOptions): Promise<Answer>;
}

/** A path for the file of a test. */
export const FILE: string = 'packages/aa/bb/demo-1.0.tar.gz';
/** Enough files for a page that is worth compressing. */
const MANY = Array.from({ length: 60 }, (_, at) => `demo-1.${at}.tar.gz`);

/** A server on a free port of 127.0.0.1 that goes away with the test; it has a project `demo`. */
export async function stage(
  options: Partial<HttpServerOptions> & { basePath?: string } = {},
): Promise<HttpStage> {
  const { basePath = '/', ...rest } = options;
  const repository = new FakeRepository();
  repository.setProject('demo', MANY);
  const served: { origin: string; bytes: number }[] = [];
  const app = createApp({
    pages: new RenderedPages(repository, 10_000_000),
    repository,
    legacy: new LegacyDocuments(repository),
    provenance: new ProvenanceSource(repository, []),
    buffers: new BufferPool(),
    accelRedirect: null,
    basePath,
    networkMode: 'normal',
    trustProxy: options.trustProxy ?? [],
    hideYanked: 'never',
    log: silentLogger,
    stats: () => SOME_STATISTICS,
    isReady: () => true,
    onFileServed: (origin, bytes) => served.push({ origin, bytes }),
  });
  const server = await startHttpServer(
    {
      listen: [{ host: '127.0.0.1', port: 0 }],
      unix: null,
      allowedHosts: [],
      trustProxy: [],
      log: silentLogger,
      ...rest,
    },
    app,
  );
  onTestFinished(() => server.close(0));
  const origin = server.origins[0] ?? '';
  return {
    repository,
    server,
    origin,
    served,
    get: (target, asking) => ask(origin, target, asking),
  };
}
