/** Looks at what a subject answers, before it is measured: a benchmark of error pages is worthless. */
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { ask } from '../../test/support/http-client.ts';
import type { Answer } from '../../test/support/http-client.ts';
import type { Target } from '../load/client.ts';
import type { PageForm, RunningSubject } from './subject.ts';

/** One answer to exactly this request. */
export async function answerTo({ url, headers }: Target): Promise<Answer> {
  const { origin, pathname, search } = new URL(url);
  return await ask(origin, pathname + search, { headers });
}

/** Hexadecimal SHA-256. */
function sha256(body: Buffer): string {
  return createHash('sha256').update(body).digest('hex');
}

/**
 * The answer to a page request, when it is what was asked for: its form, its coding, and so many files.
 *
 * @throws Error that says what it was instead
 */
export async function checkedPage(
  subject: RunningSubject,
  project: string,
  form: PageForm,
  files: number,
): Promise<Answer> {
  const answer = await answerTo(subject.page(project, form));
  if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  const isZipped = answer.headers['content-encoding'] === 'gzip';
  if (isZipped !== (form === 'gzip')) throw new Error(isZipped ? 'always gzip' : 'no gzip');
  const text = (isZipped ? gunzipSync(answer.body) : answer.body).toString();
  const isJson = (answer.headers['content-type'] ?? '').includes('json');
  if (isJson !== (form === 'json')) throw new Error(isJson ? 'no HTML' : 'no JSON');
  const listed = isJson
    ? (JSON.parse(text) as { readonly files: readonly unknown[] }).files.length
    : [...text.matchAll(/<a\s[^>]*href=/g)].length;
  if (listed !== files) throw new Error(`lists ${listed} of ${files} files`);
  return answer;
}

/**
 * The URL of a project's first wheel, found as an installer finds it, and the digest listed for it.
 *
 * @throws Error when the page has none
 */
export async function wheelUrl(
  subject: RunningSubject,
  project: string,
): Promise<{ readonly url: string; readonly sha256: string }> {
  const page = `${subject.indexUrl}${project}/`;
  const answer = await answerTo({ url: page, headers: { accept: 'text/html' } });
  const [, href = ''] = /href="([^"]+\.whl#sha256=[0-9a-f]{64}[^"]*)"/.exec(answer.text) ?? [];
  if (href === '') throw new Error(`no wheel on ${page}: status ${answer.status}`);
  const url = new URL(href.replaceAll('&amp;', '&'), page);
  const digest = url.hash.replace('#sha256=', '');
  url.hash = '';
  return { url: url.href, sha256: digest };
}

/**
 * Fetches the wheel once and holds it to the digest that is listed.
 *
 * @throws Error when it is not that
 */
export async function checkedWheel(subject: RunningSubject, project: string): Promise<string> {
  const { url, sha256: listed } = await wheelUrl(subject, project);
  const answer = await answerTo({ url, headers: {} });
  if (answer.status !== 200) throw new Error(`status ${answer.status} for the wheel`);
  if (sha256(answer.body) !== listed) throw new Error('the wheel is not what the page lists');
  return url;
}

/**
 * The request again, with the condition that makes it a 304.
 *
 * @throws Error when the answer has no entity tag or is not a 304
 */
export async function conditional(target: Target): Promise<Target> {
  const { etag } = (await answerTo(target)).headers;
  if (etag === undefined) throw new Error('no ETag');
  const again = { url: target.url, headers: { ...target.headers, 'if-none-match': etag } };
  const { status } = await answerTo(again);
  if (status !== 304) throw new Error(`no 304 but ${status}`);
  return again;
}
