import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { eventually } from '../support/eventually.ts';
import type { FakeFile, FakeUpstream, FakeUpstreamOptions } from '../support/fake-upstream.ts';
import { sha256Of } from '../support/fake-upstream-pages.ts';
import { noise } from '../support/fill-stage.ts';
import type { Answer } from '../support/http-client.ts';
import { JSON_PAGE, stageUpstream, startMirror } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';
import { writeWheel } from '../support/wheel-writer.ts';

/** The page of the project that most rows ask for. */
export const PAGE = '/simple/demo/';

/** A wheel of `demo` that any installer would take. */
export const WHEEL: FakeFile = writeWheel({ name: 'demo', version: '1.0', paddingBytes: 200_000 });

/** Another version of it. */
export const NEWER: FakeFile = writeWheel({ name: 'demo', version: '2.0' });

/** A mirror over one fake index. */
export interface FaultStage {
  readonly upstream: FakeUpstream;
  readonly mirror: TestMirror;
  /** Path of the file `WHEEL`, at the mirror and at the index; empty with projects of a test's own. */
  readonly wheelPath: string;
}

/** An index with `demo` (two wheels), and a real mirror that asks it. */
export async function stage(
  options: FakeUpstreamOptions = {},
  settings: Partial<Config> = {},
): Promise<FaultStage> {
  const upstream = await stageUpstream({ projects: { demo: [WHEEL, NEWER] }, ...options });
  const mirror = await startMirror({ upstreams: [upstream], settings, clock: new ShiftedClock() });
  const { projects } = options;
  const wheelPath = projects === undefined ? upstream.filePath(WHEEL.filename) : '';
  return { upstream, mirror, wheelPath };
}

/** A page with exactly these entries (JSON, PEP 691). */
export function jsonPageOf(files: readonly object[], more: object = {}): string {
  const meta = { 'api-version': '1.1' };
  return JSON.stringify({ meta, name: 'demo', versions: [], files, ...more });
}

/** An honest entry of a page, with changes. */
export function entryOf(file: FakeFile, changes: object = {}): object {
  const hashes = { sha256: sha256Of(file.content) };
  const url = `/files/${file.filename}`;
  return { filename: file.filename, url, hashes, size: file.content.length, ...changes };
}

/** What the index answers at `path` from now on: this JSON page. */
export function setPage(upstream: FakeUpstream, body: string, path: string = PAGE): void {
  upstream.setRaw(path, { headers: { 'content-type': JSON_PAGE }, body });
}

/** What the index answers for `demo` from now on: this HTML page. */
export function setHtml(upstream: FakeUpstream, body: string): void {
  upstream.setRaw(PAGE, { headers: { 'content-type': 'text/html; charset=utf-8' }, body });
}

/** The filenames that the mirror lists for `demo`. */
export async function listed(mirror: TestMirror): Promise<readonly string[]> {
  return (await mirror.page('demo')).filenames;
}

/** Nothing of the file is kept: no row, no bytes in the mirror, no partial. */
export async function expectNothingStored(mirror: TestMirror, path: string): Promise<void> {
  const { store } = mirror.mirror;
  await eventually(() => {
    expect(store.catalog.findFile('pypi', decodeURIComponent(path.slice(1)))).toBeUndefined();
  });
  expect(filesBelow(mirror, path)).toBe(false);
}

function filesBelow(mirror: TestMirror, path: string): boolean {
  return existsSync(join(mirror.cacheDir, 'mirror', decodeURIComponent(path.slice(1))));
}

/** The answer, or `null` when the connection broke before its end: both are honest. */
export async function tryToGet(mirror: TestMirror, path: string): Promise<Answer | null> {
  return await mirror.get(path).catch(() => null);
}

/** Makes the stored page stale, so that the next request asks the index. */
export function makeStale({ mirror }: FaultStage): void {
  mirror.clock.advance(3_600_000);
}

/** A file of `sizeBytes` bytes that is no archive but has a digest. */
export function blob(filename: string, sizeBytes: number): FakeFile {
  return { filename, content: noise(sizeBytes, sizeBytes) };
}
