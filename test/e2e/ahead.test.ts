/** Real pip and uv over an upstream that is far, with and without asking ahead of them. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Database } from '../../src/store/database.ts';
import { layoutOf } from '../../src/store/layout.ts';
import { CATALOG_SCHEMA, CATALOG_VERSION } from '../../src/store/schema.ts';
import { askedOf, askedSet, wheelOf } from '../support/ahead-stage.ts';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream, FakeUpstreamOptions } from '../support/fake-upstream.ts';
import { installedIn, makeVirtualEnvironment } from '../support/python-clients.ts';
import { startServer } from '../support/server-process.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { runJson, runVerb } from '../support/verbs.ts';
import { INSTALLERS, wordsOf } from './stage.ts';

const FAR_MS = 40;

const NAMES = Array.from({ length: 8 }, (_, at) => `link${at}`);
/** Each requires the next. */
const CHAIN = NAMES.map((name, at) =>
  wheelOf(name, {
    requires: NAMES.slice(at + 1, at + 2).map((next) => `${next}>=1`),
    paddingBytes: 20_000,
  }),
);
const INSTALLED = NAMES.map((name) => `${name}==1.0`);
const EACH_ONCE = NAMES.flatMap((name) =>
  ['page', 'metadata', 'wheel'].map((what) =>
    what === 'page' ? `page ${name}` : `${what} ${name}-1.0`,
  ),
).toSorted();

interface Stage {
  readonly upstream: FakeUpstream;
  readonly cacheDir: string;
  serve(...flags: readonly string[]): Promise<ServerProcess>;
  freshPython(): Promise<string>;
}

async function setStage(options: FakeUpstreamOptions = {}): Promise<Stage> {
  const folder = await makeTempFolder('wheelcellar-ahead-');
  onTestFinished(() => folder.remove());
  const projects = Object.fromEntries(NAMES.map((name, at) => [name, [CHAIN[at]!]]));
  const upstream = await startFakeUpstream({ projects, ...options });
  onTestFinished(() => upstream.close());
  upstream.fault('*', { delayMs: FAR_MS });
  const cacheDir = join(folder.path, 'cache');
  let environments = 0;
  return {
    upstream,
    cacheDir,
    serve: async (...flags) => {
      const args = ['--index-url', upstream.indexUrl, ...flags];
      const server = await startServer({ cacheDir, args, ahead: true });
      onTestFinished(async () => void (await server.stop()));
      return server;
    },
    freshPython: async () =>
      (await makeVirtualEnvironment(join(folder.path, `venv-${++environments}`))).python,
  };
}

/** Leaves of a cache folder what eviction leaves when all has gone: nothing but what was learned. */
async function forgetAll(cacheDir: string): Promise<void> {
  const layout = layoutOf(cacheDir);
  const db = await Database.open({
    file: layout.catalogFile,
    schema: CATALOG_SCHEMA,
    version: CATALOG_VERSION,
    isDerived: true,
    synchronous: 'NORMAL',
  });
  await db.write(() => {
    for (const table of ['files', 'departed', 'pages', 'projects']) db.run(`DELETE FROM ${table}`);
  });
  await db.close();
  await rm(join(cacheDir, 'mirror'), { recursive: true });
  await rm(join(cacheDir, 'state-v1', 'pages'), { recursive: true });
}

describe.each(INSTALLERS)('$name over a far index', ({ name, install }) => {
  it.each([
    ['with JSON pages', 'negotiate'],
    ['with HTML pages alone', 'html'],
  ] as const)('installs a chain %s, and everything is fetched once', async (_what, mode) => {
    const { upstream, serve, freshPython } = await setStage({ mode });
    const { indexUrl } = await serve();
    const python = await freshPython();
    const result = await install({ python, indexUrl, args: ['link0'] });
    expect(result.code, wordsOf(result)).toBe(0);
    expect(await installedIn(python)).toEqual(INSTALLED);
    expect(askedSet(upstream)).toEqual(EACH_ONCE);
    const asked = askedOf(upstream);
    expect(asked.toSorted()).toEqual([...new Set(asked)].toSorted());
  });

  it('asks for what a chain is known to need at once, after all of it has gone', async () => {
    const { upstream, cacheDir, serve, freshPython } = await setStage({ legacyJson: false });
    const first = await serve();
    const before = await install({
      python: await freshPython(),
      indexUrl: first.indexUrl,
      args: ['link0'],
    });
    expect(before.code, wordsOf(before)).toBe(0);
    await first.stop();
    await forgetAll(cacheDir);

    upstream.forget();
    // Farther still, so that a busy machine does not change the order.
    upstream.fault('*', { delayMs: 400 });
    const { indexUrl } = await serve();
    const python = await freshPython();
    const result = await install({ python, indexUrl, args: ['link0'] });
    expect(result.code, wordsOf(result)).toBe(0);
    expect(await installedIn(python)).toEqual(INSTALLED);
    expect(askedSet(upstream)).toEqual(EACH_ONCE);
    const asked = askedOf(upstream);
    const lastPage = asked.findLastIndex((word) => word.startsWith('page '));
    expect(asked.indexOf('metadata link1-1.0')).toBeGreaterThan(lastPage);
  });

  it('has its requests passed on and no others with --no-ahead', async () => {
    const { upstream, serve, freshPython } = await setStage();
    const { indexUrl } = await serve('--no-ahead');
    const python = await freshPython();
    const result = await install({ python, indexUrl, args: ['link0'] });
    expect(result.code, wordsOf(result)).toBe(0);
    expect(await installedIn(python)).toEqual(INSTALLED);
    const asked = askedOf(upstream);
    expect(asked.slice(0, 16)).toEqual(
      NAMES.flatMap((each) => [`page ${each}`, `metadata ${each}-1.0`]),
    );
    expect(asked.toSorted()).toEqual(EACH_ONCE);
  });

  it('leaves a sound folder when the server is killed in the middle, and installs again', async () => {
    const { upstream, cacheDir, serve, freshPython } = await setStage();
    upstream.fault(/\.whl$/, { delayMs: FAR_MS, bytesPerSecond: 20_000 });
    const first = await serve();
    const env = { PIP_RETRIES: '0', UV_HTTP_RETRIES: '0' };
    const python = await freshPython();
    const broken = install({ python, indexUrl: first.indexUrl, args: ['link0'], env });
    await vi.waitFor(() => expect(upstream.count(/\.whl$/)).toBeGreaterThan(2), {
      timeout: 60_000,
      interval: 5,
    });
    first.kill('SIGKILL');
    await first.ended;
    expect((await broken).code, `${name} did not notice`).not.toBe(0);

    upstream.clearFaults();
    upstream.fault('*', { delayMs: FAR_MS });
    const stage = { cacheDir, indexUrl: upstream.indexUrl };
    const { findings } = await runJson<{ findings: { problem: string }[] }>(stage, 'verify');
    // A page that was to be written when the server died is written by the next one.
    expect(findings.filter(({ problem }) => problem !== 'page-missing')).toEqual([]);
    const { indexUrl } = await serve();
    const result = await install({ python, indexUrl, args: ['link0'] });
    expect(result.code, wordsOf(result)).toBe(0);
    expect(await installedIn(python)).toEqual(INSTALLED);
    const again = await runVerb(stage, 'verify');
    expect(again.code, again.stdout + again.stderr).toBe(0);
  });
});
