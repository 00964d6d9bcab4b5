/**
 * What is asked of every client: install through the mirror, again with the client's own cache, again
 * from a mirror without network; from an upstream that knows no metadata; in hash-checking mode.
 */
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import type { Client } from '../support/more-clients.ts';
import { INSTALLED, REQUIREMENTS, clientProjects, withoutMetadata } from './projects.ts';
import type { Exchange } from './recorder.ts';
import { reportOn } from './report.ts';
import type { ReportRow } from './report.ts';
import { isFile, isMetadata, setStage } from './stage.ts';
import type { Outcome, Stage } from './stage.ts';

/** One run of a client. */
export interface Job {
  readonly client: Client;
  readonly indexUrl: string;
  readonly requirements: readonly string[];
  /** New and empty: working folder and home. */
  readonly folder: string;
  /** The client's own cache; may be there from a run before. */
  readonly cachePath: string;
}

/** A run's end, and what is installed afterwards. */
export interface Installation extends Outcome {
  /** `name==version`, normalized and sorted. */
  readonly installed: readonly string[];
}

/** Installs with one client, into a place of its own within the job's folder. */
export type Installer = (job: Job) => Promise<Installation>;

/** What is known about a client. */
export interface Habits {
  readonly install: Installer;
  /** Which kind of sdist it builds without network; `null`: none. */
  readonly sdist: 'source==0.3' | 'setup-py==0.4' | null;
  /** Whether it reads core metadata beside wheels (PEP 658). */
  readonly takesMetadata: boolean;
  /** What its cache spares: files, and the bodies of pages (304). */
  readonly keeps: { readonly pages: boolean; readonly files: boolean };
  /** Where it differs from `REQUIREMENTS`. */
  readonly requirements?: readonly string[];
  readonly installed?: readonly string[];
  /** Paths that it asks for although the mirror does not have them. */
  readonly stumblesOver?: RegExp;
  /** Fixed words for the report. */
  readonly reports?: ReportRow;
}

/** Runs an installer on the stage's mirror in a new folder. */
export async function runOn(
  stage: Stage,
  client: Client,
  install: Installer,
  more: Partial<Job> = {},
): Promise<Installation> {
  const folder = await stage.freshFolder();
  return install({
    client,
    indexUrl: stage.recorder.indexUrl,
    requirements: REQUIREMENTS,
    folder,
    cachePath: join(folder, 'client-cache'),
    ...more,
  });
}

/** Asserts that a run went well and installed exactly `installed`. */
export function expectInstalled(run: Installation, installed: readonly string[]): void {
  expect(run.code, run.words).toBe(0);
  expect(run.installed, run.words).toEqual(installed.toSorted());
}

/** Adds to the client's line in the report. */
export async function report(client: Client, row: ReportRow): Promise<void> {
  await reportOn(inject('reportPath'), client, row);
}

/** The three runs that every client goes through, on one mirror. */
export function itInstalls(client: Client, habits: Habits): void {
  const { install, sdist } = habits;
  const wanted = [
    ...(habits.requirements ?? REQUIREMENTS),
    ...(sdist === null ? [] : [sdist.replace(/==.*/, '')]),
  ];
  const installed = [...(habits.installed ?? INSTALLED), ...(sdist === null ? [] : [sdist])];

  it('installs, again with its own cache, and offline', async () => {
    const stage = await setStage();
    const { recorder, upstream } = stage;
    const cachePath = join(stage.folder, 'client-cache');

    const cold = await runOn(stage, client, install, { requirements: wanted, cachePath });
    expectInstalled(cold, installed);
    const metadata = habits.takesMetadata ? 'PEP 658' : 'ignored';
    const first = countsOf(recorder.exchanges);
    await report(client, { install: 'ok', metadata, first, ...habits.reports });
    expectSound(recorder.exchanges, habits);
    for (const { path } of upstream.requests.filter((seen) => seen.path.startsWith('/packages/'))) {
      expect(upstream.count(path, 'GET'), path).toBe(1);
    }

    recorder.forget();
    upstream.forget();
    const warm = await runOn(stage, client, install, { requirements: wanted, cachePath });
    expectInstalled(warm, installed);
    await report(client, { second: countsOf(recorder.exchanges) });
    expectRepeated(recorder.exchanges, habits);
    expect(upstream.requests).toEqual([]);

    await stage.restart('--offline');
    upstream.forget();
    const offline = await runOn(stage, client, install, { requirements: wanted });
    expectInstalled(offline, installed);
    expect(upstream.connections).toBe(0);
  });
}

/** Every answer is one that a client can use, and metadata is taken by those who know of it. */
function expectSound(exchanges: readonly Exchange[], habits: Habits): void {
  const unwelcome = exchanges
    .filter(({ status }) => ![200, 206, 304].includes(status))
    .filter(({ path }) => habits.stumblesOver?.test(path) !== true)
    .map(({ method, path, status }) => `${method} ${path}: ${status}`);
  expect(unwelcome).toEqual([]);
  const metadata = exchanges.filter(({ path }) => isMetadata(path));
  expect(metadata.length > 0).toBe(habits.takesMetadata);
}

function expectRepeated(exchanges: readonly Exchange[], habits: Habits): void {
  const pages = exchanges.filter(isPage).filter(({ status }) => status !== 404);
  if (habits.keeps.pages)
    expect(new Set(pages.map(({ status }) => status))).toEqual(new Set([304]));
  if (habits.keeps.files) expect(exchanges.filter(isFile).map(({ path }) => path)).toEqual([]);
}

/** An upstream that knows neither metadata nor sizes nor times, as there are many. */
export function itReadsMetadataOnItsOwn(client: Client, install: Installer): void {
  it('installs from an upstream that knows no metadata, each file fetched once', async () => {
    const stage = await setStage({
      projects: withoutMetadata(clientProjects()),
      upstream: { mode: 'html', legacyJson: false },
    });
    const { recorder, upstream } = stage;
    const run = await runOn(stage, client, install, { requirements: ['alpha'] });
    expectInstalled(run, ['alpha==1.0', 'beta==1.0']);
    const ranges = recorder.exchanges.filter(({ headers }) => headers.range !== undefined);
    for (const { status, path } of ranges) expect(status, path).toBe(206);
    await report(client, { ranges: rangesOf(ranges) });
    const big = upstream.filePath('beta-1.0-py3-none-any.whl');
    expect(upstream.bytesSent(big)).toBeLessThan(3_000_000);
  });
}

/** A run in the client's hash-checking mode, whatever it calls that. */
export function itChecksHashes(
  client: Client,
  words: string,
  run: (stage: Stage) => Promise<Installation>,
  installed: readonly string[] = INSTALLED,
): void {
  it(`checks hashes (${words})`, async () => {
    const stage = await setStage();
    expectInstalled(await run(stage), installed);
    await report(client, { hashed: words });
  });
}

function isPage(exchange: Exchange): boolean {
  return exchange.path.startsWith('/simple/');
}

/** Such as `9 (6 pages, 3 files)`, with what was confirmed by 304 and what was not found. */
function countsOf(exchanges: readonly Exchange[]): string {
  if (exchanges.length === 0) return '0';
  const parts: readonly (readonly [string, (exchange: Exchange) => boolean])[] = [
    ['pages', (exchange) => isPage(exchange) && exchange.status === 200],
    ['304', ({ status }) => status === 304],
    ['404', ({ status }) => status === 404],
    ['metadata', ({ path, status }) => isMetadata(path) && status === 200],
    [
      'files',
      (exchange) => isFile(exchange) && exchange.method === 'GET' && exchange.status === 200,
    ],
    ['ranges', ({ status }) => status === 206],
    ['HEAD', ({ method }) => method === 'HEAD'],
  ];
  const words = parts
    .map(([word, fits]) => [exchanges.filter(fits).length, word] as const)
    .filter(([count]) => count > 0)
    .map(([count, word]) => `${count} ${word}`);
  return `${exchanges.length} (${words.join(', ')})`;
}

/** The distinct `Range` headers; without any, the client took whole wheels. */
export function rangesOf(ranges: readonly Exchange[]): string {
  const headers = new Set(ranges.map(({ headers: { range } }) => range ?? ''));
  return headers.size === 0 ? 'none, whole wheels' : [...headers].join(' ');
}
