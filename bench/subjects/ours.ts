import { existsSync, mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { logFile } from './listening.ts';
import { FORM_HEADERS } from './subject.ts';
import type { RunningSubject, SubjectContext } from './subject.ts';

/** Our server, and where its files are. */
export interface OurServer extends RunningSubject {
  readonly origin: string;
  readonly cacheDir: string;
  readonly mirrorDir: string;
}

export interface OurOptions {
  /** For Node, before the program. */
  readonly nodeArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** An existing cache folder; by default an empty one. */
  readonly cacheDir?: string;
  /** By default the replay's. */
  readonly indexUrl?: string;
  /** By default a free one that the program chooses. */
  readonly port?: number;
}

/**
 * Starts the built program with its default settings on a free port.
 *
 * @throws Error with the end of its log when it does not get ready within a minute
 */
export async function startOurs(
  context: SubjectContext,
  options: OurOptions = {},
): Promise<OurServer> {
  const { children, replay, tools, folder } = context;
  const cacheDir = options.cacheDir ?? join(folder, 'cache');
  mkdirSync(folder, { recursive: true });
  const [outPath, errorPath] = [join(folder, 'ours.out'), join(folder, 'ours.log')];
  const [out, error] = [logFile(outPath), logFile(errorPath)];
  const args = ['serve', '--listen', `127.0.0.1:${options.port ?? 0}`, '--cache-dir', cacheDir];
  const child = children.start(
    process.execPath,
    [...(options.nodeArgs ?? []), tools.program, ...args].concat(
      '--index-url',
      options.indexUrl ?? replay.indexUrl,
    ),
    {
      stdio: ['ignore', out.fd, error.fd],
      cwd: folder,
      env: { PATH: process.env['PATH'], HOME: folder, NO_COLOR: '1', ...options.env },
    },
  );
  out.close();
  error.close();
  const indexUrl = await firstUrl(outPath, () => child.exitCode !== null);
  if (indexUrl === undefined) {
    await children.stop(child);
    throw new Error(`our server did not get ready: ${await readFile(errorPath, 'utf8')}`);
  }
  return {
    name: 'ours',
    pid: child.pid ?? 0,
    origin: new URL(indexUrl).origin,
    indexUrl,
    cacheDir,
    mirrorDir: join(cacheDir, 'mirror'),
    page: (project, form) => ({ url: `${indexUrl}${project}/`, headers: FORM_HEADERS[form] }),
    stop: () => children.stop(child),
  };
}

async function firstUrl(path: string, hasEnded: () => boolean): Promise<string | undefined> {
  for (let tries = 0; tries < 6_000 && !hasEnded(); tries++) {
    const text = existsSync(path) ? await readFile(path, 'utf8') : '';
    const found = /index +(http:\S+\/simple\/)\s/.exec(text)?.[1];
    if (found !== undefined) return found;
    await pause(10);
  }
  return undefined;
}
