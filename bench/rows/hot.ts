/** Pages and files that are held: what a mirror does all day. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import type { Answer } from '../../test/support/http-client.ts';
import type { BenchRun, Runners } from '../bench-run.ts';
import type { Target } from '../load/client.ts';
import { usageOf } from '../process-usage.ts';
import { SMALL_WHEEL, blobName, pageName } from '../replay/projects.ts';
import type { Cell, SubjectName } from '../report/result.ts';
import { HOT_PAGES, HOT_FILES, LARGE_FILES } from '../plan.ts';
import type { PagePlan } from '../plan.ts';
import { checkedPage, checkedWheel, conditional } from '../subjects/answers.ts';
import { startDevpi } from '../subjects/devpi.ts';
import { startNginxCache, startNginxStatic } from '../subjects/nginx.ts';
import { startOurs } from '../subjects/ours.ts';
import type { OurServer } from '../subjects/ours.ts';
import { startProxpi } from '../subjects/proxpi.ts';
import { startRawNode } from '../subjects/raw-node.ts';
import type { RawNode } from '../subjects/raw-node.ts';
import type { PageForm, RunningSubject } from '../subjects/subject.ts';

/** Headers that Node adds by itself. */
const OF_THE_CONNECTION = new Set(['date', 'connection', 'keep-alive', 'transfer-encoding']);
const FORMS: readonly PageForm[] = ['html', 'gzip', 'json'];

interface HotStage {
  readonly ours: OurServer;
  readonly raw: RawNode | null;
  readonly all: readonly RunningSubject[];
  /** Folder of the pages that nginx static serves. */
  readonly pagesDir: string;
}

/** Starts everybody. The copies (raw node, nginx static) are given what ours answers. */
async function startAll(run: BenchRun, wantsCacheAlways: boolean): Promise<HotStage | null> {
  const ours = await run.start('ours', startOurs);
  if (ours === null) return null;
  const pagesDir = run.newFolder('pages');
  const raw = await run.start('raw node', startRawNode);
  const { nginx, pythonPeers } = run.options.tools;
  const folders = { pages: pagesDir, mirror: ours.mirrorDir };
  const started: (RunningSubject | null)[] = [ours, raw];
  if (nginx !== null) {
    started.push(await run.start('nginx static', (context) => startNginxStatic(context, folders)));
    if (wantsCacheAlways || pythonPeers !== null) {
      started.push(await run.start('nginx cache', startNginxCache));
    }
  }
  if (pythonPeers !== null) {
    started.push(await run.start('devpi', startDevpi));
    started.push(await run.start('proxpi', startProxpi));
  }
  const all = started.filter((subject) => subject !== null);
  return { ours, raw, all, pagesDir };
}

/** Rows of pages: small, typical, huge; HTML, gzip, JSON, 304. */
export async function measurePages(run: BenchRun): Promise<void> {
  const stage = await startAll(run, false);
  if (stage === null) return;
  for (const page of HOT_PAGES) await measurePage(run, stage, page);
  addMemory(run, 'pages', 'resident memory after these pages', stage.all);
  await run.stop(stage.all);
}

async function measurePage(run: BenchRun, stage: HotStage, page: PagePlan): Promise<void> {
  const project = pageName(page.files);
  await run.options.replay.prepare([project]);
  for (const form of FORMS) {
    await copyPage(stage, project, form, await checkedPage(stage.ours, project, form, page.files));
  }
  for (const form of FORMS) {
    const [targets, missing] = await targetsOf(stage.all, async (subject) => {
      await checkedPage(subject, project, form, page.files);
      return subject.page(project, form);
    });
    const plan = {
      id: `${page.id} page, ${form}`,
      group: 'pages',
      work: `${page.id} page (${page.files} files), ${form === 'json' ? 'JSON' : form === 'html' ? 'HTML' : 'HTML, gzip'}`,
      unit: 'req/s',
      targets: page.targets[form],
    };
    await run.measure(plan, await rateRunners(run, stage.all, targets), missing);
  }
  const [targets, missing] = await targetsOf(stage.all, (subject) =>
    conditional(subject.page(project, 'html')),
  );
  const plan = {
    id: `${page.id} page, 304`,
    group: 'pages',
    work: `${page.id} page, 304`,
    unit: 'req/s',
    targets: page.targets.notModified,
  };
  await run.measure(plan, await rateRunners(run, stage.all, targets), missing);
}

/** What a second process brings, with the load generator on the same processors. */
export async function measureWorkers(run: BenchRun): Promise<void> {
  const one = await run.start('ours', startOurs);
  const two = await run.start('two workers', async (context) => ({
    ...(await startOurs(context, { env: { WHEELCELLAR_WORKERS: '2' } })),
    name: 'two workers' as const,
  }));
  if (one === null || two === null) return;
  const project = pageName(300);
  await run.options.replay.prepare([project, SMALL_WHEEL]);
  const works: readonly (readonly [string, (subject: RunningSubject) => Promise<Target>])[] = [
    ['typical page (300 files), JSON', async (subject) => subject.page(project, 'json')],
    ['small wheel (11 kB)', (subject) => fileTarget(subject, SMALL_WHEEL)],
  ];
  for (const [work, targetOf] of works) {
    const [targets, missing] = await targetsOf([one, two], targetOf);
    const plan = { id: `workers, ${work}`, group: 'workers', work, unit: 'req/s' };
    await run.measure(plan, await rateRunners(run, [one, two], targets), missing);
  }
  addMemory(run, 'workers', 'resident memory after these', [one, two]);
  await run.stop([one, two]);
}

/** What each subject is to be asked, or why it is left out. */
async function targetsOf(
  subjects: readonly RunningSubject[],
  targetOf: (subject: RunningSubject) => Promise<Target>,
): Promise<[Map<SubjectName, Target>, Partial<Record<SubjectName, string>>]> {
  const targets = new Map<SubjectName, Target>();
  const missing: Partial<Record<SubjectName, string>> = {};
  for (const subject of subjects) {
    try {
      targets.set(subject.name, await targetOf(subject));
    } catch (error) {
      missing[subject.name] = (error as Error).message;
    }
  }
  return [targets, missing];
}

/** Requests a second of each, after a little load that is not counted. */
async function rateRunners(
  run: BenchRun,
  subjects: readonly RunningSubject[],
  targets: ReadonlyMap<SubjectName, Target>,
): Promise<Runners> {
  const runners: Runners = {};
  for (const { name, pid } of subjects) {
    const target = targets.get(name);
    if (target === undefined) continue;
    // Who breaks off under this load shows it again when it is measured, in that row.
    await run.options.load.warmUp(target).catch((error: unknown) => run.note(name, error));
    runners[name] = () => run.options.load.rate(target, pid);
  }
  return runners;
}

/** Gives what ours answered to those who are to send the same bytes. */
async function copyPage(
  stage: HotStage,
  project: string,
  form: PageForm,
  answer: Answer,
): Promise<void> {
  const folder = join(stage.pagesDir, project);
  mkdirSync(folder, { recursive: true });
  const name = { html: 'index.html', gzip: 'index.html.gz', json: 'index.json' }[form];
  writeFileSync(join(folder, name), answer.body);
  // nginx would send the page gzipped in its own way only if asked for a form that has no such file.
  if (form === 'json') writeFileSync(join(folder, 'index.json.gz'), gzipSync(answer.body));
  await stage.raw?.add({
    path: `/${project}/${form}`,
    head: headOf(answer),
    bodyPath: join(folder, name),
    isLarge: false,
  });
}

function headOf(answer: Answer): string[] {
  return Object.entries(answer.headers).flatMap(([name, value]) =>
    OF_THE_CONNECTION.has(name) || value === undefined ? [] : [name, String(value)],
  );
}

/** Rows of files that are held: a small wheel, its 304, and 100 MB for one client and for eight. */
export async function measureFiles(run: BenchRun): Promise<void> {
  const stage = await startAll(run, true);
  if (stage === null) return;
  const large = blobName(LARGE_FILES.megabytes, 0);
  await run.options.replay.prepare([SMALL_WHEEL, large]);
  for (const project of [SMALL_WHEEL, large]) await copyFile(stage, project);
  const small = await targetsOf(stage.all, (subject) => fileTarget(subject, SMALL_WHEEL));
  const smallRow = {
    id: 'small wheel',
    group: 'files',
    work: 'small wheel (11 kB)',
    unit: 'req/s',
  };
  await run.measure(
    { ...smallRow, targets: HOT_FILES.wheel },
    await rateRunners(run, stage.all, small[0]),
    small[1],
  );
  const again = await targetsOf(stage.all, async (subject) =>
    conditional(await fileTarget(subject, SMALL_WHEEL)),
  );
  await run.measure(
    {
      ...smallRow,
      id: 'small wheel, 304',
      work: 'small wheel, 304',
      targets: HOT_FILES.notModified,
    },
    await rateRunners(run, stage.all, again[0]),
    again[1],
  );
  const [targets, missing] = await targetsOf(stage.all, (subject) => fileTarget(subject, large));
  for (const { clients, times, targets: bounds } of LARGE_FILES.rows) {
    const runners: Runners = {};
    for (const [name, target] of targets) {
      await run.options.load.download([target]);
      runners[name] = () => run.options.load.throughput(target, clients, times);
    }
    const plan = {
      id: `large file, ${clients}`,
      group: 'files',
      work: `${LARGE_FILES.megabytes} MiB wheel, ${clients === 1 ? '1 client' : `${clients} clients`}`,
      unit: 'MB/s',
      targets: bounds,
    };
    await run.measure(plan, runners, missing);
  }
  addMemory(run, 'files', 'resident memory after these files', stage.all);
  await run.stop(stage.all);
}

/** The request for a project's wheel, after its bytes were held to the listed digest once. */
async function fileTarget(subject: RunningSubject, project: string): Promise<Target> {
  if (subject.name === 'raw node')
    return { url: `${subject.indexUrl}${project}/file`, headers: {} };
  return { url: await checkedWheel(subject, project), headers: {} };
}

/** Has ours fetch the wheel, which puts it into the mirror that nginx static serves, and tells raw node. */
async function copyFile({ ours, raw }: HotStage, project: string): Promise<void> {
  const url = await checkedWheel(ours, project);
  await untilListed(ours, project);
  const path = decodeURIComponent(new URL(url).pathname).replace(/^\/packages\//, '');
  const response = await fetch(url, { method: 'HEAD' });
  const head = [...response.headers].flatMap(([name, value]) =>
    OF_THE_CONNECTION.has(name) ? [] : [name, value],
  );
  await raw?.add({
    path: `/${project}/file`,
    head,
    bodyPath: join(ours.mirrorDir, 'packages', path),
    isLarge: project !== SMALL_WHEEL,
  });
}

/** The static mirror lists a file within a second of its end. */
async function untilListed(ours: OurServer, project: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (existsSync(join(ours.mirrorDir, project, 'index.html'))) return;
    await pause(20);
  }
  throw new Error(`${project} does not get into the static mirror`);
}

/** Resident memory of everybody, once. */
function addMemory(
  run: BenchRun,
  group: string,
  work: string,
  subjects: readonly RunningSubject[],
): void {
  const cells: Partial<Record<SubjectName, Cell>> = {};
  for (const { name, pid } of subjects) {
    const usage = usageOf(pid);
    if (usage !== null) cells[name] = { values: [usage.residentBytes / 1e6], cpuMicros: [] };
  }
  run.add({ id: `memory, ${group}`, group, work, unit: 'MB' }, cells);
}
