import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startWalker } from '../support/mirror-walker.ts';
import { RUN_MIRROR, mirrorStage } from '../support/mirror-run.ts';
import type { MirrorStage } from '../support/mirror-run.ts';
import { Dice } from '../support/packaging-oracle.ts';
import { writeWheel } from '../support/wheel-writer.ts';

const PROJECTS = 40;

/** Ends a run by SIGKILL, so long after it began or after `sign` came; `null` when it was faster. */
async function runAndKill(
  stage: MirrorStage,
  mirrors: string,
  afterMs: number,
  sign: (() => string) | null,
): Promise<NodeJS.Signals | null> {
  const args = [RUN_MIRROR, '-c', mirrors, '--index-url', stage.upstream.indexUrl];
  const before = sign?.();
  const child = spawn(process.execPath, args, { env: stage.env, stdio: 'ignore' });
  const ended = once(child, 'close');
  if (sign !== null) {
    while (child.exitCode === null && sign() === before)
      await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), afterMs);
  await ended;
  clearTimeout(timer);
  return child.signalCode;
}

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

/** Two sets of versions that take turns. */
function manyProjects(): Record<string, ReturnType<typeof writeWheel>[]> {
  return Object.fromEntries(
    Array.from({ length: PROJECTS }, (_, at) => {
      const name = `project-${String(at).padStart(2, '0')}`;
      return [
        name,
        ['1.0', '2.0'].map((version) => writeWheel({ name, version, paddingBytes: 20_000 })),
      ];
    }),
  );
}

async function turns(
  stage: MirrorStage,
  output: string,
): Promise<(turn: number) => Promise<string>> {
  return async (turn) => {
    const version = turn % 2 === 0 ? '1.0' : '2.0';
    const pins = Array.from(
      { length: PROJECTS },
      (_, at) => `project-${String(at).padStart(2, '0')}==${version}`,
    );
    await writeFile(join(stage.folder, 'pins.txt'), `${pins.join('\n')}\n`);
    return await stage.writeMirrors(`
  - { name: a, requirements: [pins.txt], output: ${output}, keep: listed }`);
  };
}

it.each([
  { name: 'a folder in place', output: 'web/a', isThere: true },
  { name: 'a link', output: 'web/a', isThere: false },
  { name: 'the cache itself', output: 'cache/mirror', isThere: false },
])('leaves a whole index when it is killed anywhere, for $name', async ({ output, isThere }) => {
  const stage = await mirrorStage(manyProjects());
  const root = join(stage.folder, output);
  if (isThere) await mkdir(root, { recursive: true });
  const mirrorsFor = await turns(stage, output);
  const whole = performance.now();
  expect((await stage.run(await mirrorsFor(0))).code).toBe(0);
  const wholeMs = performance.now() - whole;
  const distro = join(root, readdirSync(root).find((name) => /^[A-Z]\w*-/.test(name)) ?? '');
  const walkers = [startWalker(root), startWalker(distro)];
  const dice = new Dice(11);
  // The index is written in a small part of the time: half of the blows fall just there.
  const sign = (): string => {
    const trees = join(root, '../.a.trees');
    const half = existsSync(trees) && readdirSync(trees).some((name) => name.endsWith('.half'));
    return `${half} ${statSync(join(distro, 'project-00')).ctimeMs}`;
  };
  let killed = 0;
  for (let turn = 1; turn <= 10; turn++) {
    const mirrors = await mirrorsFor(turn);
    const isAimed = turn % 2 === 0;
    const afterMs = isAimed ? 120 * dice.next() : wholeMs * (0.35 + 0.65 * dice.next());
    if ((await runAndKill(stage, mirrors, afterMs, isAimed ? sign : null)) === 'SIGKILL') killed++;
    expect([...wrongIn(root), ...wrongIn(distro)], `turn ${turn}`).toEqual([]);
  }
  for (const walker of walkers) {
    const { dead, rounds } = await walker.stop();
    expect(dead).toEqual([]);
    expect(rounds).toBeGreaterThan(10);
  }
  expect(killed).toBeGreaterThan(3);
  const last = await stage.run(await mirrorsFor(0), '--strict');
  expect([last.code, last.stderr.replace(/^.*waiting\n/, '')]).toEqual([0, '']);
  expect(wrongIn(root)).toEqual([]);
  const page = readPage(join(root, 'project-00/index.json')) as {
    files: readonly { filename: string }[];
  };
  expect(page.files.map(({ filename }) => filename)).toContain('project_00-1.0-py3-none-any.whl');
  const litter = readdirSync(root, { recursive: true, encoding: 'utf8' });
  expect(litter.filter((name) => name.endsWith('.tmp'))).toEqual([]);
});
