/** Time and memory against the number of cached files, of files on a page, and of clients. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { makeBigFolder } from '../../test/support/big-folder.ts';
import { ask } from '../../test/support/http-client.ts';
import type { BenchRun, RowPlan, SharedRunners } from '../bench-run.ts';
import { GROWTH, HUGEST_PAGE, RESTART } from '../plan.ts';
import { usageOf } from '../process-usage.ts';
import { pageName } from '../replay/projects.ts';
import { answerTo, checkedPage } from '../subjects/answers.ts';
import { direct } from '../subjects/direct.ts';
import { freePort } from '../subjects/listening.ts';
import { startOurs } from '../subjects/ours.ts';
import type { OurOptions } from '../subjects/ours.ts';
import { startProbed } from '../subjects/probed.ts';
import { FORM_HEADERS } from '../subjects/subject.ts';
import type { PageForm, SubjectContext } from '../subjects/subject.ts';

/** Nobody listens there: what is held is answered from the folder. */
const NOBODY = 'http://127.0.0.1:9/simple/';

/** From the start of the process to its first page, with 10³, 10⁴ and 10⁵ cached files. */
export async function measureRestart(run: BenchRun): Promise<void> {
  const { isQuick, say } = run.options;
  const sizes = isQuick ? RESTART.files.slice(0, 2) : RESTART.files;
  for (const files of sizes) {
    const context = run.context(`${files} files`);
    const cacheDir = join(context.folder, 'cache');
    say(`  (making ${files} cached files)`);
    const { projects } = await makeBigFolder({ cacheDir, files, indexUrl: NOBODY });
    const options = { cacheDir, indexUrl: NOBODY, env: { WHEELCELLAR_INDEX_TTL: '1d' } };
    await finishStaticPages(context, options, projects);
    await measureRestarts(run, context, options, files, projects[0] ?? '');
    await run.discard(context.folder);
  }
}

/** The first server on the folder writes its static pages; that is no restart. */
async function finishStaticPages(
  context: SubjectContext,
  options: OurOptions & { readonly cacheDir: string },
  projects: readonly string[],
): Promise<void> {
  const ours = await startOurs(context, options);
  for (let tries = 0; tries < 1_200; tries++) {
    const isWritten = (name: string): boolean =>
      existsSync(join(ours.mirrorDir, name, 'index.json'));
    if (existsSync(join(ours.mirrorDir, 'index.json')) && projects.every(isWritten)) break;
    await pause(100);
  }
  await ours.stop();
}

async function measureRestarts(
  run: BenchRun,
  context: SubjectContext,
  options: OurOptions,
  files: number,
  project: string,
): Promise<void> {
  const [first, memory, rate] = [`restart, ${files}`, `restart memory, ${files}`, `held, ${files}`];
  const work = `${files.toLocaleString('en')} cached files`;
  const row = { group: 'restart' };
  const targets = files === RESTART.files.at(-1) ? RESTART.largest : [];
  const runners: SharedRunners = {
    ours: async () => {
      const port = await freePort();
      const startedAt = performance.now();
      const starting = startOurs(context, { ...options, port });
      const firstAnswerMs = await untilAnswered(port, `/simple/${project}/`, startedAt);
      const ours = await starting;
      await pause(500);
      const resident = (usageOf(ours.pid)?.residentBytes ?? Number.NaN) / 1e6;
      const target = { url: `${ours.indexUrl}${project}/`, headers: FORM_HEADERS.html };
      await run.options.load.warmUp(target);
      const perSecond = await run.options.load.rate(target, ours.pid);
      await ours.stop();
      return {
        [first]: { value: firstAnswerMs },
        [memory]: { value: resident },
        [rate]: perSecond,
      };
    },
  };
  await run.measureTogether(
    [
      { ...row, id: first, work: `${work}: start to first page`, unit: 'ms', targets },
      { ...row, id: memory, work: `${work}: resident memory after it`, unit: 'MB' },
      { ...row, id: rate, work: `${work}: a held page`, unit: 'req/s' },
    ],
    runners,
  );
}

/** Asks every other millisecond until the page comes. */
async function untilAnswered(port: number, path: string, startedAt: number): Promise<number> {
  while (performance.now() - startedAt < 60_000) {
    const answer = await ask(`http://127.0.0.1:${port}`, path).catch(() => null);
    if (answer?.status === 200) return performance.now() - startedAt;
    await pause(2);
  }
  throw new Error('no answer within a minute of the start');
}

/** Pages of 10 to 30,000 files, and 1 to 256 clients. */
export async function measureGrowth(run: BenchRun): Promise<void> {
  const ours = await run.start('ours', startOurs);
  if (ours === null) return;
  for (const files of GROWTH.pageFiles) await measurePageSize(run, files);
  const project = pageName(10);
  await checkedPage(ours, project, 'html', 10);
  const target = ours.page(project, 'html');
  await run.options.load.warmUp(target);
  const plans: RowPlan[] = [];
  const runners: SharedRunners = {
    ours: async () => {
      const found: Record<string, { value: number }> = {};
      for (const clients of GROWTH.clients) {
        const { requests, elapsedMs, p99Ms } = await run.options.load.hammer(target, clients);
        found[`clients, ${clients}`] = { value: (requests * 1000) / elapsedMs };
        found[`clients p99, ${clients}`] = { value: p99Ms };
      }
      found['clients, memory'] = { value: (usageOf(ours.pid)?.residentBytes ?? 0) / 1e6 };
      return found;
    },
  };
  for (const clients of GROWTH.clients) {
    const work = `${clients === 1 ? '1 client' : `${clients} clients`} on a small page`;
    plans.push({ id: `clients, ${clients}`, group: 'growth', work, unit: 'req/s' });
    const slowest = { id: `clients p99, ${clients}`, group: 'growth', unit: 'ms' };
    plans.push({ ...slowest, work: `${work}: 99 of 100 answers within` });
  }
  const memory = 'resident memory after all these clients';
  plans.push({ id: 'clients, memory', group: 'growth', work: memory, unit: 'MB' });
  await run.measureTogether(plans, runners);
  await ours.stop();
}

/** Each round a page that nobody has asked for before, on a server that has nothing else. */
async function measurePageSize(run: BenchRun, files: number): Promise<void> {
  const { replay, load, rounds } = run.options;
  const ours = await run.start('ours', startOurs);
  if (ours === null) return;
  const upstream = direct({ replay });
  const names = Array.from({ length: rounds }, (_, at) => pageName(files + at));
  await replay.prepare(names);
  const id = `page size ${files}`;
  const work = `page of ${files.toLocaleString('en')} files`;
  const row = { group: 'growth' };
  const runners: SharedRunners = {
    ours: async (round) => {
      const target = ours.page(names[round] ?? '', 'html');
      const [found] = await load.download([target]);
      if (found?.status !== 200) throw new Error(`status ${found?.status}`);
      await load.warmUp(target);
      const rate = await load.rate(target, ours.pid);
      const resident = (usageOf(ours.pid)?.residentBytes ?? Number.NaN) / 1e6;
      return {
        [`${id}, cold`]: { value: found.totalMs },
        [`${id}, held`]: rate,
        [`${id}, memory`]: { value: resident },
      };
    },
    direct: async (round) => {
      const [found] = await load.download([upstream.page(names[round] ?? '', 'html')]);
      return { [`${id}, cold`]: { value: found?.totalMs ?? Number.NaN } };
    },
  };
  await run.measureTogether(
    [
      { ...row, id: `${id}, cold`, work: `${work}, cold`, unit: 'ms' },
      { ...row, id: `${id}, held`, work: `${work}, held`, unit: 'req/s' },
      { ...row, id: `${id}, memory`, work: `${work}: resident memory`, unit: 'MB' },
    ],
    runners,
  );
  await ours.stop();
}

/** How long the event loop of our server is busy at a stretch with a page of 30,000 files. */
export async function measureLoop(run: BenchRun): Promise<void> {
  const { replay, rounds } = run.options;
  const names = Array.from({ length: rounds }, (_, at) => pageName(HUGEST_PAGE.files + at));
  await replay.prepare(names);
  const ours = await run.start('ours', startProbed);
  if (ours === null) return;
  const steps: readonly (readonly [id: string, work: string, form: PageForm])[] = [
    ['fetched', 'fetched, read and written as HTML', 'html'],
    ['gzip', 'then asked for with gzip', 'gzip'],
    ['json', 'then asked for as JSON', 'json'],
  ];
  const work = `page of ${HUGEST_PAGE.files.toLocaleString('en')} files`;
  const row = { group: 'loop', unit: 'ms' };
  const runners: SharedRunners = {
    ours: async (round) => {
      const found: Record<string, { value: number }> = {};
      for (const [id, , form] of steps) {
        await ours.delays();
        await answerTo(ours.page(names[round] ?? '', form));
        await pause(300); // What follows the answer counts, too.
        const { p99Ms, maxMs } = await ours.delays();
        found[`loop, ${id}, longest`] = { value: maxMs };
        found[`loop, ${id}, p99`] = { value: p99Ms };
      }
      return found;
    },
  };
  const plans = steps.flatMap(([id, step]): RowPlan[] => [
    { ...row, id: `loop, ${id}, longest`, work: `${work}, ${step}: longest delay` },
    { ...row, id: `loop, ${id}, p99`, work: `${work}, ${step}: 99th percentile of delays` },
  ]);
  await run.measureTogether(plans, runners);
  await ours.stop();
}
