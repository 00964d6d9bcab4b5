import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { WheelcellarError } from '../core/errors.ts';
import { lastWords, takeOut } from './build-result.ts';
import type { Sandbox } from './sandbox.ts';

/** The program that builds: uv, or a Python whose `-m pip` can. */
export interface Builder {
  readonly kind: 'uv' | 'pip';
  readonly command: string;
}

/** What is to be built. */
export interface BuildRequest {
  /** An sdist, or a folder with a source tree. */
  readonly source: string;
  /** Version of Python; `null` for the one on the PATH. */
  readonly python: string | null;
  readonly timeoutMs: number;
  /** Hears what the build writes. */
  readonly onOutput: (text: string) => void;
}

/**
 * Builds the wheel of an sdist in the sandbox; its build requirements come from the mirror.
 *
 * @returns the path of the wheel, in a folder that goes away with the sandbox
 * @throws WheelcellarError with the last words of the build
 */
export async function buildWheel(
  sandbox: Sandbox,
  builder: Builder,
  request: BuildRequest,
): Promise<string> {
  const folder = await sandbox.makeFolder();
  const source = join(folder, basename(request.source));
  const outDir = join(folder, 'wheels');
  await mkdir(outDir);
  await copyFile(request.source, source);
  const command = await sandbox.toolFor(builder.command, builder.kind === 'uv');
  const { code, stdout, stderr } = await sandbox.run({
    words: wordsOf({ ...builder, command }, source, outDir, request.python),
    folder,
    timeoutMs: request.timeoutMs,
    onOutput: request.onOutput,
  });
  const wheels = (await readdir(outDir)).filter((name) => name.endsWith('.whl'));
  const [wheel] = wheels;
  if (code === 0 && wheel !== undefined && wheels.length === 1)
    return await takeOut(join(outDir, wheel), join(await sandbox.makeFolder(), wheel));
  throw new WheelcellarError(
    `${basename(request.source)} could not be built: ${lastWords(stderr || stdout, code)}`,
  );
}

function wordsOf(
  builder: Builder,
  source: string,
  outDir: string,
  python: string | null,
): string[] {
  if (builder.kind === 'uv') {
    const chosen = python === null ? [] : ['--python', python];
    return [builder.command, 'build', '--wheel', '--out-dir', outDir, ...chosen, source];
  }
  const flags = ['--no-deps', '--no-cache-dir', '--wheel-dir', outDir];
  return [builder.command, '-m', 'pip', 'wheel', ...flags, source];
}
