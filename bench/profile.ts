import { readFile, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchRun } from './bench-run.ts';
import type { Target } from './load/client.ts';
import { SMALL_WHEEL, pageName } from './replay/projects.ts';
import { topFunctions } from './report/self-times.ts';
import type { CpuProfile } from './report/self-times.ts';
import { checkedPage, checkedWheel } from './subjects/answers.ts';
import { startOurs } from './subjects/ours.ts';
import type { OurServer } from './subjects/ours.ts';

const ROOT: string = fileURLToPath(new URL('../', import.meta.url));
const FUNCTIONS = 10;
const MEASUREMENTS = 5;

/** Where the processor's time goes on the two hottest paths: Markdown, the ten functions with most self time. */
export async function profileHotPaths(run: BenchRun): Promise<string> {
  const page = await profileOf(run, 'small page', async (ours) => {
    await checkedPage(ours, pageName(10), 'html', 10);
    return ours.page(pageName(10), 'html');
  });
  const wheel = await profileOf(run, 'small wheel', async (ours) => ({
    url: await checkedWheel(ours, SMALL_WHEEL),
    headers: {},
  }));
  return `${page}\n${wheel}`;
}

async function profileOf(
  run: BenchRun,
  title: string,
  targetOf: (ours: OurServer) => Promise<Target>,
): Promise<string> {
  const context = run.context(title);
  const folder = join(context.folder, 'profile');
  const startedAt = performance.now();
  const ours = await startOurs(context, {
    nodeArgs: ['--cpu-prof', `--cpu-prof-dir=${folder}`],
  });
  const target = await targetOf(ours);
  await run.options.load.warmUp(target);
  // Compiling at the start is not what is looked for.
  const fromMs = performance.now() - startedAt;
  for (let at = 0; at < MEASUREMENTS; at++) await run.options.load.rate(target, ours.pid);
  const toMs = performance.now() - startedAt;
  await ours.stop();
  const [name] = await readdir(folder);
  const profile = JSON.parse(await readFile(join(folder, name ?? ''), 'utf8')) as CpuProfile;
  const lines = topFunctions(profile, FUNCTIONS, { fromMs, toMs }).map(
    ({ share, name: called, place }) =>
      `| ${(share * 100).toFixed(1)} % | \`${called}\` | ${placeText(place)} |`,
  );
  return [`### ${title}`, '', '| self time | function | where |', '| ---: | --- | --- |']
    .concat(lines, '')
    .join('\n');
}

function placeText(place: string): string {
  return place.startsWith('file:')
    ? relative(ROOT, place.replace(/^file:\/\//, ''))
    : place === ''
      ? 'V8 or native'
      : place;
}
