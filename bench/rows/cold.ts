/** Objects on their first way through: what streams, what waits, and who asks the upstream how often. */
import { setTimeout as pause } from 'node:timers/promises';
import type { BenchRun, Missing, Runners, SharedRunners } from '../bench-run.ts';
import type { Download, Target } from '../load/client.ts';
import { COLD, CROWD, MEMORY } from '../plan.ts';
import { forgetPeaks, usageOf } from '../process-usage.ts';
import { blobName, pageName } from '../replay/projects.ts';
import type { SubjectName } from '../report/result.ts';
import { median } from '../report/statistics.ts';
import { checkedWheel, wheelUrl } from '../subjects/answers.ts';
import { startDevpi } from '../subjects/devpi.ts';
import { direct } from '../subjects/direct.ts';
import { startNginxCache } from '../subjects/nginx.ts';
import { startOurs } from '../subjects/ours.ts';
import { startProxpi } from '../subjects/proxpi.ts';
import type { RunningSubject, SubjectContext } from '../subjects/subject.ts';

type Starter = (context: SubjectContext) => Promise<RunningSubject>;

/** Everybody who fetches from an upstream and keeps what came. */
export function proxyStarters(run: BenchRun): readonly (readonly [SubjectName, Starter])[] {
  const { nginx, pythonPeers } = run.options.tools;
  return [
    ['ours', startOurs],
    ...(nginx === null ? [] : [['nginx cache', startNginxCache] as const]),
    ...(pythonPeers === null
      ? []
      : [['devpi', startDevpi] as const, ['proxpi', startProxpi] as const]),
  ];
}

async function startProxies(run: BenchRun): Promise<RunningSubject[]> {
  const started: RunningSubject[] = [];
  for (const [name, starter] of proxyStarters(run)) {
    const subject = await run.start(name, starter);
    if (subject !== null) started.push(subject);
  }
  return started;
}

const fileOf = async (subject: RunningSubject, project: string): Promise<Target> => ({
  url: (await wheelUrl(subject, project)).url,
  headers: {},
});

/** One client, one large file, never seen before; its page is known. */
export async function measureCold(run: BenchRun): Promise<void> {
  const { replay, rounds } = run.options;
  const proxies = await startProxies(run);
  const subjects = [...proxies, direct({ replay })];
  const [warmUp, ...copies] = Array.from({ length: rounds + 1 }, (_, at) =>
    blobName(COLD.megabytes, at),
  );
  await replay.prepare([warmUp ?? '', ...copies]);
  const missing: Missing = {};
  for (const subject of subjects) {
    // The first file is for the digest, and for a code path that has run once.
    await checkedWheel(subject, warmUp ?? '').catch((error: Error) => {
      missing[subject.name] = error.message;
    });
  }
  const runners: SharedRunners = {};
  for (const subject of subjects) {
    runners[subject.name] = async (round) => {
      const target = await fileOf(subject, copies[round] ?? '');
      const [found] = await run.options.load.download([target]);
      if (found?.status !== 200) throw new Error(`status ${found?.status}`);
      return {
        'cold, first byte': { value: found.firstByteMs },
        'cold, total': { value: found.totalMs },
      };
    };
  }
  const work = `cold ${COLD.megabytes} MiB wheel`;
  const row = { group: 'cold', unit: 'ms' };
  await run.measureTogether(
    [
      { ...row, id: 'cold, first byte', work: `${work}, first byte`, targets: COLD.firstByte },
      { ...row, id: 'cold, total', work: `${work}, all of it`, targets: COLD.total },
    ],
    runners,
    missing,
  );
  await run.stop(proxies);
}

/** Twenty clients at once on a page, then on a file, that nobody has asked for before. */
export async function measureCrowd(run: BenchRun): Promise<void> {
  const { replay, rounds } = run.options;
  const proxies = await startProxies(run);
  const subjects = [...proxies, direct({ replay })];
  const files = Array.from({ length: rounds + 1 }, (_, at) => blobName(CROWD.megabytes, at));
  const pages = Array.from({ length: rounds }, (_, at) => pageName(301 + at));
  await replay.prepare([...files, ...pages]);
  await crowdOnPages(run, proxies, pages);
  await crowdOnFiles(run, subjects, files);
  await run.stop(proxies);
}

async function crowdOnPages(
  run: BenchRun,
  proxies: readonly RunningSubject[],
  pages: readonly string[],
): Promise<void> {
  const { replay } = run.options;
  await replay.setWeather({ latencyMs: CROWD.pageLatencyMs });
  const runners: Runners = {};
  for (const subject of proxies) {
    runners[subject.name] = async (round) => {
      const project = pages[round] ?? '';
      await replay.forget();
      await atOnce(run, subject.page(project, 'html'), CROWD.clients);
      return { value: await getsOf(run, (path) => path === `/simple/${project}/`) };
    };
  }
  const work = `${CROWD.clients} clients, one cold page: upstream GETs`;
  await run.measure(
    { id: 'crowd, page', group: 'crowd', work, unit: 'GETs', targets: CROWD.gets },
    runners,
  );
}

async function crowdOnFiles(
  run: BenchRun,
  subjects: readonly RunningSubject[],
  files: readonly string[],
): Promise<void> {
  const { replay } = run.options;
  const missing: Missing = {};
  await replay.setWeather({});
  for (const subject of subjects) {
    await checkedWheel(subject, files.at(-1) ?? '').catch((error: Error) => {
      missing[subject.name] = error.message;
    });
  }
  await replay.setWeather({ bytesPerSecond: CROWD.bytesPerSecond });
  const runners: SharedRunners = {};
  for (const subject of subjects) {
    runners[subject.name] = async (round) => {
      const target = await fileOf(subject, files[round] ?? '');
      await replay.forget();
      const found = await atOnce(run, target, CROWD.clients);
      // The first to get a byte is the one that the others follow.
      const [, ...followers] = found
        .map(({ firstByteMs }) => firstByteMs)
        .toSorted((a, b) => a - b);
      return {
        'crowd, file': { value: await getsOf(run, (path) => path.endsWith('.whl')) },
        'crowd, followers': { value: median(followers) },
      };
    };
  }
  const work = `${CROWD.clients} clients, one cold ${CROWD.megabytes} MiB wheel`;
  const row = { group: 'crowd' };
  const gets = { ...row, id: 'crowd, file', work: `${work}: upstream GETs`, unit: 'GETs' };
  const first = `${work}: followers' median first byte`;
  await run.measureTogether(
    [
      { ...gets, targets: CROWD.gets },
      { ...row, id: 'crowd, followers', work: first, unit: 'ms', targets: CROWD.followers },
    ],
    runners,
    missing,
  );
  await replay.setWeather({});
}

/** Memory while eight clients read one gigabyte that is being fetched, and what the upstream sent. */
export async function measureMemory(run: BenchRun): Promise<void> {
  const { replay, isQuick } = run.options;
  const rounds = isQuick ? 1 : MEMORY.rounds;
  const names = Array.from({ length: rounds }, (_, at) => blobName(MEMORY.megabytes, at));
  await replay.prepare(names);
  const runners: SharedRunners = {};
  for (const [name, starter] of proxyStarters(run)) {
    runners[name] = async (round) => {
      const context = run.context(name);
      const subject = await starter(context);
      try {
        const { resident, share } = await gigabyteThrough(run, subject, names[round] ?? '');
        return { 'memory, peak': { value: resident }, 'memory, upstream': { value: share } };
      } finally {
        await subject.stop();
        await run.discard(context.folder);
      }
    };
  }
  const work = `${MEMORY.clients} clients, one cold GiB`;
  const peak = `${work}: peak resident memory above idle with an empty cache`;
  const bytes = `${work}: bytes from upstream`;
  const row = { group: 'memory', rounds };
  await run.measureTogether(
    [
      { ...row, id: 'memory, peak', work: peak, unit: 'MB', targets: MEMORY.resident },
      { ...row, id: 'memory, upstream', work: bytes, unit: '× file', targets: MEMORY.upstream },
    ],
    runners,
  );
}

async function gigabyteThrough(
  run: BenchRun,
  subject: RunningSubject,
  project: string,
): Promise<{ readonly resident: number; readonly share: number }> {
  await pause(1_000); // Idle is when the start is over.
  const idle = usageOf(subject.pid);
  if (idle === null) throw new Error('memory can only be read where there is /proc');
  const target = await fileOf(subject, project);
  await run.options.replay.forget();
  forgetPeaks(subject.pid);
  const found = await atOnce(run, target, MEMORY.clients);
  const peak = usageOf(subject.pid)?.peakResidentBytes ?? 0;
  const { bytesSent } = await run.options.replay.counts();
  const size = found[0]?.bodyBytes ?? 1;
  return { resident: (peak - idle.residentBytes) / 1e6, share: bytesSent / size };
}

/** So many equal requests at the same moment; all of them must be answered in full. */
async function atOnce(run: BenchRun, target: Target, clients: number): Promise<Download[]> {
  const found = await run.options.load.download(Array.from({ length: clients }, () => target));
  const odd = found.find(
    ({ status, bodyBytes }) => status !== 200 || bodyBytes !== found[0]?.bodyBytes,
  );
  if (odd !== undefined) throw new Error(`status ${odd.status}, ${odd.bodyBytes} bytes`);
  return found;
}

async function getsOf(run: BenchRun, counts: (path: string) => boolean): Promise<number> {
  const { gets } = await run.options.replay.counts();
  return Object.entries(gets)
    .filter(([path]) => counts(path))
    .reduce((sum, [, count]) => sum + count, 0);
}
