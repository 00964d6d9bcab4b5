import { access, constants } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { cleanEnvironment } from './clean-environment.ts';
import { runChild } from './child.ts';

/** A resolver that is on this machine. */
export interface ResolverTool {
  readonly kind: 'uv' | 'pip';
  /** uv itself, or the Python whose `-m pip` it is. */
  readonly command: string;
  /** `uv 0.13.9`, `pip 26.3`. */
  readonly label: string;
}

/** The first pip that can tell what it would install without installing it, and for other machines. */
const FIRST_PIP_WITH_REPORT = [23, 0] as const;

const LOOK_MS = 20_000;

type Variables = Readonly<Record<string, string | undefined>>;

/** uv on the PATH; `undefined` without one that works. */
export async function findUv(variables: Variables): Promise<ResolverTool | undefined> {
  for (const command of await onPath(variables, 'uv')) {
    const tool = await uvAt(command, variables);
    if (tool !== undefined) return tool;
  }
  return undefined;
}

/** The uv at this path, if it runs. */
export async function uvAt(
  command: string,
  variables: Variables,
): Promise<ResolverTool | undefined> {
  const words = await wordsOf(command, ['--version'], variables);
  const [, version] = /^uv (\S+)/.exec(words) ?? [];
  return version === undefined ? undefined : { kind: 'uv', command, label: `uv ${version}` };
}

/** A Python on the PATH with a pip that can resolve; `undefined` without one. */
export async function findPip(variables: Variables): Promise<ResolverTool | undefined> {
  for (const name of ['python3', 'python']) {
    for (const command of await onPath(variables, name)) {
      const words = await wordsOf(command, ['-m', 'pip', '--version'], variables);
      const [, version = '', major, minor] = /^pip ((\d+)\.(\d+)\S*)/.exec(words) ?? [];
      const isNewEnough =
        Number(major) > FIRST_PIP_WITH_REPORT[0] ||
        (Number(major) === FIRST_PIP_WITH_REPORT[0] && Number(minor) >= FIRST_PIP_WITH_REPORT[1]);
      if (major !== undefined && isNewEnough)
        return { kind: 'pip', command, label: `pip ${version}` };
    }
  }
  return undefined;
}

async function wordsOf(
  command: string,
  args: readonly string[],
  variables: Variables,
): Promise<string> {
  const env = cleanEnvironment(variables, tmpdir());
  const run = runChild(command, args, { cwd: tmpdir(), env, timeoutMs: LOOK_MS });
  const end = await run.catch(() => undefined);
  return end?.code === 0 ? end.stdout : '';
}

/** Paths of all programs of this name, in the order of the PATH. */
async function onPath(variables: Variables, name: string): Promise<string[]> {
  const folders = (variables['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const found: string[] = [];
  for (const folder of folders) {
    const path = join(folder, process.platform === 'win32' ? `${name}.exe` : name);
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) found.push(path);
  }
  return found;
}
