import { lstat, readFile, readdir, rename, rm, rmdir, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { sleep } from '../../core/sleep.ts';
import { isNormalized } from '../../packaging/names.ts';
import type { ProjectName } from '../../packaging/names.ts';
import { newNonce } from '../fill/fill-state.ts';
import { ROOT_PAGE } from '../revisions.ts';
import { GENERATOR_MARK, PAGE_NAMES } from '../static-pages.ts';
import type { Store } from '../store.ts';
import type { Finding, Problem, VerifyOptions } from './report.ts';

type PagesStore = Pick<
  Store,
  'layout' | 'catalog' | 'pages' | 'renderStaticPage' | 'finishStaticPages' | 'runningServers'
>;

/** A page that is behind is written by whoever changed its project within this time, */
const WRITTEN_WITHIN_MS = 3_000;
/** and by any server within this, however busy the machine is. */
const SERVERS_WRITE_WITHIN_MS = 20_000;
const LOOK_AGAIN_MS = 500;

/** A page that is not as it should be; the root page has no project. */
interface WrongPage {
  readonly project: ProjectName | null;
  readonly problem: Problem;
  readonly detail: string;
}

/** Both forms of a page on the disk; `null` where there is none. */
interface PagesOnDisk {
  readonly html: Buffer | null;
  readonly json: Buffer | null;
}

/**
 * Holds every page of the mirror against what is held: the same bytes as if it were written now, hence
 * no link to anything that is not there. Repaired, it is written again.
 */
export async function verifyStaticPages(
  store: PagesStore,
  options: VerifyOptions,
  onPage: () => void,
): Promise<Finding[]> {
  const projects = [...(await projectsWithPages(store)), null];
  const wrong = await lookAtPages(store, projects, options.signal, onPage);
  if (options.repair) await writeAgain(store, wrong);
  const stillWrong = options.repair
    ? await lookAtPages(
        store,
        wrong.map(({ project }) => project),
        options.signal,
      )
    : wrong;
  const left = new Set(stillWrong.map(({ project }) => project));
  return wrong.map(({ project, problem, detail }) => ({
    problem,
    path: project === null ? 'index.html' : `${project}/index.html`,
    project,
    upstream: null,
    detail,
    outcome: left.has(project) ? 'found' : 'mended',
  }));
}

/** Looks whether the stored pages of the indexes are there and, of a sample, whether they can be read. */
export async function verifyUpstreamPages(
  store: PagesStore,
  options: VerifyOptions,
  onPage: () => void,
  random: () => number,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const present = new Map<string, Set<string>>();
  for (const { upstream, project } of store.catalog.holdings.pageKeys()) {
    if (options.signal.aborted) break;
    onPage();
    const names = present.get(upstream) ?? new Set<string>(await store.pages.list(upstream));
    present.set(upstream, names);
    const isThere = names.has(project);
    const isSampled = random() < options.sample;
    if (isThere && !isSampled) continue;
    if ((await store.pages.read(upstream, project)) !== undefined) continue;
    if (options.repair) await forgetPage(store, upstream, project);
    findings.push({
      problem: 'upstream-page',
      path: `state-v1/pages/${upstream}/${project}.json`,
      project,
      upstream,
      detail: isThere ? 'cannot be read' : 'is not there',
      outcome: options.repair ? 'mended' : 'found',
    });
  }
  return findings;
}

/** As if it had never been fetched; what is left of it is set aside. */
async function forgetPage(
  store: PagesStore,
  upstream: string,
  project: ProjectName,
): Promise<void> {
  const folder = join(store.layout.withheldDir, newNonce());
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const name = `${project}.json`;
  await rename(join(store.layout.pagesDir, upstream, name), join(folder, name)).catch(() => {});
  await store.catalog.forgetPage(upstream, project);
}

/** Held projects, and others that have a page of ours. */
async function projectsWithPages(store: PagesStore): Promise<Set<ProjectName>> {
  const projects = new Set(store.catalog.heldProjects());
  for (const entry of await readdir(store.layout.mirrorDir, { withFileTypes: true })) {
    if (entry.isDirectory() && isNormalized(entry.name)) projects.add(entry.name);
  }
  return projects;
}

/**
 * The pages that are wrong. Servers change pages meanwhile: what is wrong at the first look and about to
 * be written is looked at again, until it is right or nobody has written it for too long.
 */
async function lookAtPages(
  store: PagesStore,
  projects: readonly (ProjectName | null)[],
  signal: AbortSignal,
  onPage: () => void = () => {},
): Promise<WrongPage[]> {
  const wrong: WrongPage[] = [];
  let waiting: (ProjectName | null)[] = [];
  for (const project of projects) {
    if (signal.aborted) return wrong;
    onPage();
    const found = await compare(store, project);
    if (found === null) continue;
    if (isUnderWay(store, project)) waiting.push(project);
    else wrong.push({ project, ...found });
  }
  const hasServer = store.runningServers().length > 0;
  const patienceMs = hasServer ? SERVERS_WRITE_WITHIN_MS : WRITTEN_WITHIN_MS;
  for (let waitedMs = 0; waiting.length > 0; waitedMs += LOOK_AGAIN_MS) {
    await sleep(LOOK_AGAIN_MS, signal);
    const isLastLook = waitedMs >= patienceMs || signal.aborted;
    const again: (ProjectName | null)[] = [];
    for (const project of waiting) {
      const found = await compare(store, project);
      if (found === null) continue;
      if (isLastLook || !isUnderWay(store, project)) wrong.push({ project, ...found });
      else again.push(project);
    }
    waiting = again;
  }
  return wrong;
}

/** Whether somebody is about to write the page. */
function isUnderWay({ catalog }: PagesStore, project: ProjectName | null): boolean {
  const page = project ?? ROOT_PAGE;
  return catalog.revisionOf(page) !== catalog.staticRevisionOf(page);
}

async function compare(
  store: PagesStore,
  project: ProjectName | null,
): Promise<{ problem: Problem; detail: string } | null> {
  const expected = await store.renderStaticPage(project);
  if (expected === undefined) return null;
  const folder = project === null ? store.layout.mirrorDir : join(store.layout.mirrorDir, project);
  const actual = await readPages(folder);
  if (expected === null) {
    const isOurs = actual.html?.includes(GENERATOR_MARK) === true;
    return isOurs ? { problem: 'page-left', detail: 'nothing of it is held any more' } : null;
  }
  if (actual.html === null || actual.json === null)
    return { problem: 'page-missing', detail: 'is not there' };
  if (actual.html.equals(expected.html) && actual.json.equals(expected.json)) return null;
  const dead = await firstDeadLink(folder, actual);
  if (dead !== null) return { problem: 'dead-link', detail: `names ${dead}, which is not there` };
  return { problem: 'page-differs', detail: 'is not what is held' };
}

async function readPages(folder: string): Promise<PagesOnDisk> {
  const read = (name: string): Promise<Buffer | null> =>
    readFile(join(folder, name)).catch(() => null);
  return { html: await read('index.html'), json: await read('index.json') };
}

async function firstDeadLink(folder: string, pages: PagesOnDisk): Promise<string | null> {
  const links = [
    ...String(pages.html ?? '').matchAll(/href="([^"#]+)/g),
    ...String(pages.json ?? '').matchAll(/"url":\s*"([^"#]+)/g),
  ].map(([, link]) => link ?? '');
  for (const link of new Set(links)) {
    const path = join(folder, decodeLink(link));
    if ((await lstat(path).catch(() => undefined)) === undefined) return link;
  }
  return null;
}

function decodeLink(link: string): string {
  try {
    return decodeURIComponent(link.replaceAll('&amp;', '&'));
  } catch {
    return link;
  }
}

async function writeAgain(store: PagesStore, wrong: readonly WrongPage[]): Promise<void> {
  if (wrong.length === 0) return;
  for (const { project, problem } of wrong) {
    if (problem === 'page-left' && project !== null)
      await removePages(join(store.layout.mirrorDir, project));
    else await store.catalog.touch(project ?? ROOT_PAGE);
  }
  await store.finishStaticPages();
}

async function removePages(folder: string): Promise<void> {
  for (const name of PAGE_NAMES) await rm(join(folder, name), { force: true });
  await rmdir(folder).catch(() => {});
}
