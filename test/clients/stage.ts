import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstream, FakeUpstreamOptions } from '../support/fake-upstream.ts';
import { clientEnvironment } from '../support/more-clients.ts';
import type { Client, ClientName } from '../support/more-clients.ts';
import { runCommand } from '../support/run-command.ts';
import { startServer } from '../support/server-process.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { clientProjects } from './projects.ts';
import type { Projects } from './projects.ts';
import { startRecorder } from './recorder.ts';
import type { Exchange, Recorder, RecorderOptions } from './recorder.ts';

/**
 * The tests of one client. Where it cannot be had they are skipped, with the reason in their name; where
 * `CLIENTS_EXPECTED` (names with commas, or `all`) has it, they fail.
 */
export function describeClient(name: ClientName, tests: (client: Client) => void): void {
  const client = inject('clients')[name];
  if (client.missing === null) {
    describe(`${name} ${client.version}`, () => tests(client));
    return;
  }
  const expected = (process.env['CLIENTS_EXPECTED'] ?? '').split(',').map((word) => word.trim());
  if (expected.includes(name) || expected.includes('all')) {
    it(`${name} is here`, () => expect.fail(client.missing ?? ''));
  } else {
    it.skip(`${name} is not here: ${client.missing}`);
  }
}

/** A fake upstream, a mirror of it and the recorder through which clients see the mirror. */
export interface Stage {
  readonly projects: Projects;
  readonly upstream: FakeUpstream;
  readonly recorder: Recorder;
  /** Everything below it goes away with the test. */
  readonly folder: string;
  /** A new, empty folder. */
  readonly freshFolder: () => Promise<string>;
  /** Stops the mirror and starts it again on the same cache folder, with these flags. */
  readonly restart: (...flags: readonly string[]) => Promise<void>;
}

export interface StageOptions {
  readonly projects?: Projects;
  readonly upstream?: Partial<FakeUpstreamOptions>;
  readonly credentials?: NonNullable<RecorderOptions['credentials']>;
  /** Environment variables of the mirror. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Sets the stage for one test and clears it when the test is over. */
export async function setStage(options: StageOptions = {}): Promise<Stage> {
  const temp = await makeTempFolder('wheelcellar-clients-');
  onTestFinished(() => temp.remove());
  const projects = options.projects ?? clientProjects();
  const upstream = await startFakeUpstream({ ...options.upstream, projects });
  onTestFinished(() => upstream.close());
  const cacheDir = join(temp.path, 'cache');
  const serve = (flags: readonly string[]): Promise<ServerProcess> =>
    startServer({
      cacheDir,
      args: ['--index-url', upstream.indexUrl, ...flags],
      ...(options.env && { env: options.env }),
    });
  let server = await serve([]);
  onTestFinished(async () => void (await server.stop()));
  const { credentials } = options;
  const recorder = await startRecorder({
    targetUrl: server.baseUrl,
    ...(credentials === undefined ? {} : { credentials }),
  });
  onTestFinished(() => recorder.close());
  let folders = 0;
  return {
    projects,
    upstream,
    recorder,
    folder: temp.path,
    freshFolder: async () => {
      const folder = join(temp.path, `work-${++folders}`);
      await mkdir(folder);
      return folder;
    },
    restart: async (...flags) => {
      await server.stop();
      server = await serve(flags);
      recorder.pointAt(server.baseUrl);
    },
  };
}

/** A program's end, with all its words for an assertion to show. */
export interface Outcome {
  readonly code: number | null;
  readonly words: string;
}

/** Runs a program of a client's environment in `folder`, which is its home, too. */
export async function runClient(
  client: Client,
  program: string,
  args: readonly string[],
  folder: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const command = program.startsWith('/') ? program : join(client.binPath, program);
  const result = await runCommand(command, args, {
    cwd: folder,
    env: clientEnvironment(client, folder, env),
    timeoutMs: 100_000,
  });
  const line = `$ ${program} ${args.join(' ')}`;
  return { code: result.code, words: `${line}\n${result.stdout}\n${result.stderr}` };
}

/** `name==version` of the distributions in a `site-packages` folder or of eggs, normalized, sorted. */
export async function installedAt(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch(() => []);
  return entries
    .map((entry) => /^(.+?)-(\d[^-]*?)(?:-py\d.*)?\.(?:dist-info|egg-info|egg)$/.exec(entry))
    .filter((match) => match !== null)
    .map(([, name = '', version = '']) => `${normalized(name)}==${version.replaceAll('_', '+')}`)
    .filter((pin) => !/^(?:pip|setuptools|wheel)==/.test(pin))
    .toSorted();
}

/** The `site-packages` folder of a virtual environment. */
export async function sitePackages(environment: string): Promise<string> {
  const [python = 'python'] = await readdir(join(environment, 'lib')).catch(() => []);
  return join(environment, 'lib', python, 'site-packages');
}

function normalized(name: string): string {
  return name.replace(/[-_.]+/g, '-').toLowerCase();
}

/** Whether a request is for a file of a project, and not for its metadata. */
export function isFile({ path }: Exchange): boolean {
  return path.includes('/packages/') && !isMetadata(path);
}

/** Whether a path is that of core metadata (PEP 658). */
export function isMetadata(path: string): boolean {
  return path.endsWith('.metadata');
}
