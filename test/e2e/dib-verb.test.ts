import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { runCommand } from '../support/run-command.ts';
import type { CommandResult } from '../support/run-command.ts';
import { setStage, wordsOf } from './stage.ts';
import type { Stage } from './stage.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));
const ELEMENTS = fileURLToPath(new URL('../../elements', import.meta.url));

/** Stands for disk-image-create: shows its surroundings and takes one wheel from the mirror. */
const BUILD = `
const { DIB_PYPI_MIRROR_URL: index, ELEMENTS_PATH, DIB_OFFLINE, DIB_NO_PYPI_PIP } = process.env;
const page = await fetch(index + 'diamond/', { headers: { accept: 'application/vnd.pypi.simple.v1+json' } });
const files = page.ok ? (await page.json()).files : [];
for (const { url } of files) await (await fetch(new URL(url, page.url))).arrayBuffer();
process.stdout.write('built ' + JSON.stringify({ index, ELEMENTS_PATH, DIB_OFFLINE, DIB_NO_PYPI_PIP, files: files.length }) + '\\n');
process.exitCode = process.argv.includes('fail') ? 3 : 0;
`;

interface Report {
  readonly status: number;
  readonly indexUrl: string;
  readonly wasRunning: boolean;
  readonly fileHits: number;
  readonly fileMisses: number;
  readonly bytesServed: number;
  readonly bytesSaved: number;
}

async function dib(
  stage: Stage,
  flags: readonly string[],
  words: readonly string[] = [],
): Promise<CommandResult & { readonly report: Report; readonly built: Record<string, unknown> }> {
  const script = join(stage.folder, 'build.mjs');
  await writeFile(script, BUILD);
  const args = ['dib', '--json', '--cache-dir', stage.cacheDir, ...flags];
  const index = flags.includes('--offline') ? [] : ['--index-url', stage.upstream.indexUrl];
  const command = ['--', process.execPath, script, ...words];
  const result = await runCommand(process.execPath, [PROGRAM, ...args, ...index, ...command], {
    cwd: stage.folder,
    env: { PATH: process.env['PATH'], HOME: stage.folder, NO_COLOR: '1' },
  });
  const built = /^built (.*)$/m.exec(result.stderr)?.[1] ?? '{}';
  return {
    ...result,
    report: JSON.parse(result.stdout === '' ? '{}' : result.stdout) as Report,
    built: JSON.parse(built) as Record<string, unknown>,
  };
}

describe('wheelcellar dib', () => {
  it('starts a mirror for the build and says what came from where', async () => {
    const stage = await setStage();
    const first = await dib(stage, []);
    expect(first.code, wordsOf(first)).toBe(0);
    expect(first.built).toMatchObject({
      index: first.report.indexUrl,
      ELEMENTS_PATH: ELEMENTS,
      DIB_NO_PYPI_PIP: '1',
      files: 1,
    });
    expect(first.report).toMatchObject({
      status: 0,
      wasRunning: false,
      fileHits: 0,
      fileMisses: 1,
    });
    const size = stage.set.projects['diamond']?.[0]?.content.length;
    const second = await dib(stage, []);
    expect(second.report).toMatchObject({
      fileHits: 1,
      fileMisses: 0,
      bytesServed: size,
      bytesSaved: size,
    });
    expect(second.stderr).toContain('from the cache  1');
  });

  it('uses a mirror that runs on the folder already', async () => {
    const stage = await setStage();
    const server = await stage.serve();
    const { report, code } = await dib(stage, []);
    expect(code).toBe(0);
    expect(report).toMatchObject({ indexUrl: server.indexUrl, wasRunning: true, fileMisses: 1 });
  });

  it('asks no upstream when offline, said to it or to the build', async () => {
    const stage = await setStage();
    await dib(stage, []);
    await stage.upstream.down();
    stage.upstream.forget();
    for (const result of [await dib(stage, ['--offline']), await dib(stage, [], ['--offline'])]) {
      expect(result.code, wordsOf(result)).toBe(0);
      expect(result.built).toMatchObject({ DIB_OFFLINE: '1', files: 1 });
      expect(result.report).toMatchObject({ fileHits: 1, fileMisses: 0 });
    }
  });

  it('ends as the build ends, and names a program that is not there', async () => {
    const stage = await setStage();
    const failed = await dib(stage, [], ['fail']);
    expect(failed.code).toBe(7);
    expect(failed.report).toMatchObject({ status: 3, fileMisses: 1 });
    const args = [PROGRAM, 'dib', '--cache-dir', stage.cacheDir, '--', 'disk-image-creat'];
    const absent = await runCommand(process.execPath, args, { env: { HOME: stage.folder } });
    expect(absent.code).toBe(2);
    expect(absent.stderr).toContain('Cannot run disk-image-creat: ENOENT');
  });
});
