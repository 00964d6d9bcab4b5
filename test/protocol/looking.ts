/** What the tests of the protocol look at: whole pages, anchors with their attributes, alarms. */
import { expect, vi } from 'vitest';
import type { AskOptions } from '../support/http-client.ts';
import type { FakeUpstream } from '../support/fake-upstream.ts';
import { JSON_PAGE } from '../support/mirror.ts';
import type { TestMirror } from '../support/mirror.ts';

/** A file of a JSON page, as it is written there. */
export type JsonFile = Readonly<Record<string, unknown>> & {
  readonly filename: string;
  readonly url: string;
  readonly hashes: Readonly<Record<string, string>>;
};

/** A JSON page, as it is written. */
export interface WholePage {
  readonly meta: Readonly<Record<string, unknown>>;
  readonly name: string;
  readonly versions?: readonly string[];
  readonly files: readonly JsonFile[];
  readonly [key: string]: unknown;
}

/** The JSON page of a project, which must be there. */
export async function wholePage(mirror: TestMirror, project = 'demo'): Promise<WholePage> {
  const answer = await mirror.get(`/simple/${project}/`, { headers: { accept: JSON_PAGE } });
  expect(answer.status, answer.text).toBe(200);
  return JSON.parse(answer.text) as WholePage;
}

/** The entry of a file that must be listed. */
export function fileOf(page: WholePage, filename: string): JsonFile {
  const file = page.files.find((candidate) => candidate.filename === filename);
  if (file === undefined) throw new Error(`${filename} is not listed.`);
  return file;
}

/** The HTML page of a project, which must be there. */
export async function htmlPage(
  mirror: TestMirror,
  project = 'demo',
  options: AskOptions = {},
): Promise<string> {
  const answer = await mirror.get(`/simple/${project}/`, options);
  expect(answer.status, answer.text).toBe(200);
  return answer.text;
}

/** The line with the anchor of a file. */
export function anchorOf(html: string, filename: string): string {
  const line = html.split('\n').find((candidate) => candidate.includes(`>${filename}</a>`));
  if (line === undefined) throw new Error(`${filename} is not listed.`);
  return line;
}

/** The kinds of all alarms. */
export function alarmKinds(mirror: TestMirror): readonly string[] {
  return mirror.mirror.store.records.alarms(100).map(({ kind }) => kind);
}

/** Skips the time for which a page of the fake upstream is fresh. */
export function skipFreshness(mirror: TestMirror): void {
  mirror.clock.advance(601_000);
}

/** Serves this as the JSON page of a project, and answers nothing but it. */
export function setJsonPage(upstream: FakeUpstream, page: object, project = 'demo'): void {
  upstream.setRaw(`/simple/${project}/`, {
    headers: { 'content-type': JSON_PAGE },
    body: JSON.stringify(page),
  });
}

/** Serves this as the HTML page of a project. */
export function setHtmlPage(upstream: FakeUpstream, body: string, project = 'demo'): void {
  upstream.setRaw(`/simple/${project}/`, { headers: { 'content-type': 'text/html' }, body });
}

/** Resolves when the page says so. */
export async function untilPage(
  mirror: TestMirror,
  check: (page: WholePage) => void,
): Promise<void> {
  await vi.waitFor(async () => check(await wholePage(mirror)), { timeout: 8_000, interval: 50 });
}
