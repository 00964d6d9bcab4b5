import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { createMirror, serveMirror } from '../../src/compose.ts';
import type { Environment, Mirror } from '../../src/compose.ts';
import type { Config, UpstreamConfig } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load-config.ts';
import type { LogFields, Logger } from '../../src/core/logger.ts';
import type { HttpServer } from '../../src/server/http-server.ts';
import { eventually } from './eventually.ts';
import { startFakeUpstream } from './fake-upstream.ts';
import type { FakeUpstream, FakeUpstreamOptions } from './fake-upstream.ts';
import { ask } from './http-client.ts';
import type { Answer, AskOptions } from './http-client.ts';
import { ShiftedClock } from './shifted-clock.ts';
import { makeTempFolder } from './temp-folder.ts';

/** The Accept header of pip, which wants JSON. */
export const JSON_PAGE = 'application/vnd.pypi.simple.v1+json';

export interface MirrorOptions {
  /** `pypi` is the first one's name, the others are called `second`, `third`. */
  readonly upstreams: readonly FakeUpstream[];
  /** Changes to the settings of a mirror on a free port of 127.0.0.1. */
  readonly settings?: Partial<Config>;
  /** An existing folder; by default a new one. */
  readonly cacheDir?: string;
  readonly clock?: ShiftedClock;
  /** Every request takes the long way. */
  readonly withoutFastDoor?: boolean;
}

/** A line of the log. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

/** The real program in this process, as the composition root puts it together. */
export interface TestMirror {
  readonly origin: string;
  readonly cacheDir: string;
  readonly config: Config;
  readonly mirror: Mirror;
  readonly server: HttpServer;
  readonly clock: ShiftedClock;
  readonly log: readonly LogLine[];
  /** Asks it. */
  get(target: string, options?: AskOptions): Promise<Answer>;
  /** The JSON page of a project. */
  page(project: string): Promise<JsonPage>;
  /** Ends it; the cache folder stays until the test is over. */
  stop(): Promise<void>;
}

/** What tests look at in a project's JSON page. */
export interface JsonPage {
  readonly status: number;
  readonly versions: readonly string[];
  readonly filenames: readonly string[];
  /** Path below the origin by filename, as a client resolves the links. */
  readonly urls: Readonly<Record<string, string>>;
  readonly cacheStatus: string;
  readonly elapsedMs: number;
}

const NAMES = ['pypi', 'second', 'third'];

/** The settings of a mirror that nobody has configured. */
export const DEFAULTS: Config = loadConfig({ env: {}, homeDir: '/nonexistent' });

/** Failures that take no longer than they must. */
export const QUICK: Partial<Config> = {
  http: { ...DEFAULTS.http, retries: 0, headersTimeoutMs: 1_500, connectTimeoutMs: 500 },
};

/** The settings of an index at `url`. */
export function indexAt(
  name: string,
  url: string,
  more: Partial<UpstreamConfig> = {},
): UpstreamConfig {
  return {
    name,
    url,
    fileHosts: null,
    layout: 'simple',
    projects: null,
    username: null,
    password: null,
    ...more,
  };
}

/** The settings of an index that is this fake upstream. */
export function index(
  name: string,
  upstream: FakeUpstream,
  more: Partial<UpstreamConfig> = {},
): UpstreamConfig {
  return indexAt(name, upstream.indexUrl, more);
}

/** A fake upstream that goes away with the test. */
export async function stageUpstream(options: FakeUpstreamOptions = {}): Promise<FakeUpstream> {
  const upstream = await startFakeUpstream(options);
  onTestFinished(() => upstream.close());
  return upstream;
}

/** Starts a mirror that goes away with the test. */
export async function startMirror(options: MirrorOptions): Promise<TestMirror> {
  const cacheDir = options.cacheDir ?? (await stageFolder());
  const config = settingsOf(options, cacheDir);
  const clock = options.clock ?? new ShiftedClock();
  const log: LogLine[] = [];
  const env: Environment = {
    clock,
    log: noting(log),
    variables: {},
    homeDir: '/nonexistent',
    version: '0.0.0',
  };
  const mirror = await createMirror(config, env);
  const { withoutFastDoor = false } = options;
  const server = await serveMirror(mirror, config, env, { withoutFastDoor });
  const origin = server.origins[0] ?? '';
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await Promise.all([server.close(0), mirror.close(0)]);
  };
  onTestFinished(stop);
  const get = (target: string, asking?: AskOptions): Promise<Answer> => ask(origin, target, asking);
  const page = async (project: string): Promise<JsonPage> => {
    const target = `/simple/${project}/`;
    return readPage(await get(target, { headers: { accept: JSON_PAGE } }), origin, target);
  };
  return { origin, cacheDir, config, mirror, server, clock, log, get, page, stop };
}

/** A folder that goes away with the test. */
export async function stageFolder(): Promise<string> {
  const folder = await makeTempFolder('wheelcellar-mirror-');
  onTestFinished(() => folder.remove());
  return join(folder.path, 'cache');
}

function settingsOf({ upstreams, settings }: MirrorOptions, cacheDir: string): Config {
  const base = loadConfig({ env: {}, flags: { cacheDir }, homeDir: '/nonexistent' });
  return {
    ...base,
    listen: [{ host: '127.0.0.1', port: 0 }],
    upstreams: upstreams.map((upstream, at) => index(NAMES[at] ?? `upstream-${at}`, upstream)),
    ...settings,
  };
}

function readPage(answer: Answer, origin: string, target: string): JsonPage {
  const isPage = answer.status === 200;
  const page = (isPage ? JSON.parse(answer.text) : { files: [] }) as {
    versions?: string[];
    files: { filename: string; url: string }[];
  };
  const base = `${origin}${target}`;
  return {
    status: answer.status,
    versions: page.versions ?? [],
    filenames: page.files.map((file) => file.filename),
    urls: Object.fromEntries(
      page.files.map((file) => [file.filename, new URL(file.url, base).pathname]),
    ),
    cacheStatus: String(answer.headers['cache-status'] ?? ''),
    elapsedMs: answer.elapsedMs,
  };
}

function noting(lines: LogLine[]): Logger {
  const at =
    (level: LogLine['level']) =>
    (message: string, fields: LogFields = {}): void => {
      lines.push({ level, message, fields });
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Fetches a file; resolves when it is held, which comes just after the last byte of a first answer. */
export async function hold(mirror: TestMirror, path: string): Promise<void> {
  expect((await mirror.get(path)).status).toBe(200);
  await eventually(() => {
    const held = mirror.mirror.store.catalog.findFile('pypi', decodeURIComponent(path.slice(1)));
    expect(held).toBeDefined();
    // Whoever comes while the fill still ends is one of its readers.
    expect(mirror.mirror.store.fills.size).toBe(0);
  });
}
