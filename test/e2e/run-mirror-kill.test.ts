import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { executioner } from '../support/killing-blow.ts';
import { startWalker } from '../support/mirror-walker.ts';
import { RUN_MIRROR, mirrorStage } from '../support/mirror-run.ts';
import type { MirrorStage } from '../support/mirror-run.ts';
import { Dice } from '../support/packaging-oracle.ts';
import { writeWheel } from '../support/wheel-writer.ts';

const NAMES = Array.from({ length: 40 }, (_, at) => `project-${String(at).padStart(2, '0')}`);

/** How often a run is killed anywhere, and how often while it writes the index. */
const BLOWS = 3;

/** The most that is tried to get there: every run has a version of its own to fetch and to list. */
const TURNS = 16;

/** A killed run's lock is free after five seconds; a blow in this time would fall on a run that waits. */
const LOCK_FREE_MS = 5_500;

/** About what a run takes once it has begun to write the index. */
const AROUND_THE_INDEX_MS = 120;

/** Links of an index that lead nowhere, and pages that are no whole ones. */
function wrongIn(root: string): string[] {
  const index = readPage(join(root, 'index.json')) as {
    projects: readonly { name: string }[];
  } | null;
  return (index?.projects ?? []).flatMap(({ name }) => {
    const page = readPage(join(root, name, 'index.json')) as {
      files: readonly { url: string }[];
    } | null;
    if (page === null) return [`${name}/index.json`];
    const html = readFileSync(join(root, name, 'index.html'), 'utf8');
    if (!html.endsWith('</html>\n')) return [`${name}/index.html`];
    return page.files
      .map(({ url }) => join(root, name, decodeURIComponent(url.split('#')[0] ?? '')))
      .filter((path) => !existsSync(path));
  });
}

function readPage(path: string): unknown {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null;
}

/** A version of every project for each turn. */
function manyProjects(): Record<string, ReturnType<typeof writeWheel>[]> {
  return Object.fromEntries(
    NAMES.map((name) => [
      name,
      Array.from({ length: TURNS + 2 }, (_, turn) =>
        writeWheel({ name, version: `${turn}.0`, paddingBytes: 20_000 }),
      ),
    ]),
  );
}

/** Writes what turn number `turn` asks for; the path of its mirror.yaml. */
async function mirrorsFor(stage: MirrorStage, output: string, turn: number): Promise<string> {
  const pins = NAMES.map((name) => `${name}==${turn}.0`);
  await writeFile(join(stage.folder, 'pins.txt'), `${pins.join('\n')}\n`);
  return await stage.writeMirrors(`
  - { name: a, requirements: [pins.txt], output: ${output}, keep: listed }`);
}

it.each([
  { name: 'a folder in place', output: 'web/a', isThere: true },
  { name: 'a link', output: 'web/a', isThere: false },
  { name: 'the cache itself', output: 'cache/mirror', isThere: false },
])('leaves a whole index when it is killed anywhere, for $name', async ({ output, isThere }) => {
  const stage = await mirrorStage(manyProjects());
  const root = join(stage.folder, output);
  if (isThere) await mkdir(root, { recursive: true });
  const whole = performance.now();
  expect((await stage.run(await mirrorsFor(stage, output, 0))).code).toBe(0);
  const wholeMs = performance.now() - whole;
  const distro = join(root, readdirSync(root).find((name) => /^[A-Z]\w*-/.test(name)) ?? '');
  const walkers = [await startWalker(root), await startWalker(distro)];
  const dice = new Dice(11);
  // The index is written in a small part of the time: half of the blows fall just there.
  const sign = (): string => {
    const trees = join(root, '../.a.trees');
    const half = existsSync(trees) && readdirSync(trees).some((name) => name.endsWith('.half'));
    return `${half} ${statSync(join(distro, 'project-00')).ctimeMs}`;
  };
  const executioners = {
    anywhere: executioner(wholeMs),
    writing: executioner(AROUND_THE_INDEX_MS),
  };
  const killed = { anywhere: 0, writing: 0 };
  const isEnough = (): boolean => Math.min(killed.anywhere, killed.writing) >= BLOWS;
  for (let turn = 1; turn <= TURNS && !isEnough(); turn++) {
    const mirrors = await mirrorsFor(stage, output, turn);
    const start = (): ChildProcess => {
      const args = [RUN_MIRROR, '-c', mirrors, '--index-url', stage.upstream.indexUrl];
      return spawn(process.execPath, args, { env: stage.env, stdio: 'ignore' });
    };
    const [place, blow] =
      turn % 2 === 0
        ? (['writing', { share: dice.next(), sign }] as const)
        : (['anywhere', { share: 0.35 + 0.6 * dice.next() }] as const);
    const isKilled = await executioners[place].strike(start, blow);
    expect([...wrongIn(root), ...wrongIn(distro)], `turn ${turn}`).toEqual([]);
    if (!isKilled) continue;
    killed[place]++;
    await new Promise((resolve) => setTimeout(resolve, LOCK_FREE_MS));
  }
  for (const walker of walkers) {
    const { dead, rounds } = await walker.stop();
    expect(dead).toEqual([]);
    expect(rounds).toBeGreaterThan(10);
  }
  expect(isEnough(), `kills: ${JSON.stringify(killed)}`).toBe(true);
  const last = await stage.run(await mirrorsFor(stage, output, TURNS + 1), '--strict');
  expect([last.code, last.stderr.replace(/^.*waiting\n/, '')]).toEqual([0, '']);
  expect(wrongIn(root)).toEqual([]);
  const page = readPage(join(root, 'project-00/index.json')) as {
    files: readonly { filename: string }[];
  };
  expect(page.files.map(({ filename }) => filename)).toContain(
    `project_00-${TURNS + 1}.0-py3-none-any.whl`,
  );
  const litter = readdirSync(root, { recursive: true, encoding: 'utf8' });
  expect(litter.filter((name) => name.endsWith('.tmp'))).toEqual([]);
});
