import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { markerEnvironment, parseInterpreter } from '../../src/packaging/environment.ts';
import { readLockFile } from '../../src/packaging/lock/lock-file.ts';
import type { FakeFile, FakeUpstream } from '../support/fake-upstream.ts';
import { stageUpstream } from '../support/mirror.ts';
import { pythonClients } from '../support/python-clients.ts';
import { runCommand } from '../support/run-command.ts';
import type { CommandResult } from '../support/run-command.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));

const wheel = (name: string, version: string, ...requires: string[]): FakeFile =>
  writeWheel({ name, version, requires });

/** `app` needs a wheel with a dependency, and an sdist whose build needs something of the index. */
const PROJECTS: Readonly<Record<string, readonly FakeFile[]>> = {
  app: [wheel('app', '1.0', 'library>=1', 'source')],
  library: [wheel('library', '1.0'), wheel('library', '1.1')],
  source: [writeSdist({ name: 'source', version: '0.3', buildRequires: ['build-help'] })],
  'build-help': [wheel('build_help', '1.0')],
  other: [wheel('other', '1.0')],
};

const USED = [
  'app-1.0-py3-none-any.whl',
  'build_help-1.0-py3-none-any.whl',
  'library-1.1-py3-none-any.whl',
  'source-0.3.tar.gz',
];

interface Report {
  readonly name: string;
  readonly lock: string;
  readonly files: readonly { readonly filename: string; readonly metadataSha256: string | null }[];
  readonly pages: readonly { readonly project: string; readonly filenames: readonly string[] }[];
}

interface Stage {
  readonly upstream: FakeUpstream;
  readonly folder: string;
  readonly cacheDir: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly run: (...argv: readonly string[]) => Promise<CommandResult>;
  /** `record -o NAME --json`; fails the test when it fails. */
  readonly record: (name: string, ...words: readonly string[]) => Promise<Report>;
  readonly replay: (name: string, ...words: readonly string[]) => Promise<CommandResult>;
}

async function setStage(projects = PROJECTS): Promise<Stage> {
  const upstream = await stageUpstream({ projects, maxAgeSeconds: 0 });
  const temp = await makeTempFolder('wheelcellar-record-');
  onTestFinished(() => temp.remove());
  const cacheDir = join(temp.path, 'cache');
  const environment = {
    PATH: process.env['PATH'],
    HOME: temp.path,
    NO_COLOR: '1',
    // Whatever the caller has set must not be asked.
    PIP_INDEX_URL: 'http://127.0.0.1:9/simple/',
    PIP_FIND_LINKS: '/nonexistent',
    UV_INDEX_URL: 'http://127.0.0.1:9/simple/',
    UV_PYTHON_DOWNLOADS: 'never',
    WHEELCELLAR_INDEX_TTL: '0s',
  };
  const run = (...argv: readonly string[]): Promise<CommandResult> =>
    runCommand(process.execPath, [PROGRAM, ...argv], { cwd: temp.path, env: environment });
  const place = ['--cache-dir', cacheDir];
  return {
    upstream,
    folder: temp.path,
    cacheDir,
    environment,
    run,
    record: async (name, ...words) => {
      const index = ['--index-url', upstream.indexUrl];
      const result = await run('record', '--json', '-o', name, ...index, ...place, '--', ...words);
      expect(result.code, result.stderr).toBe(0);
      return JSON.parse(result.stdout) as Report;
    },
    replay: (name, ...words) => run('replay', ...place, name, '--', ...words),
  };
}

/** A build that installs into a folder of that name. */
const BUILDS: Readonly<Record<string, (target: string, ...what: string[]) => string[]>> = {
  pip: (target, ...what) =>
    `${pythonClients.python} -m pip install --no-input --target ${target}`.split(' ').concat(what),
  uv: (target, ...what) =>
    `${pythonClients.uv} pip install --python ${pythonClients.python} --target ${target}`
      .split(' ')
      .concat(what),
};
const pip = BUILDS['pip']!;
const uv = BUILDS['uv']!;

async function installed(stage: Stage, target: string): Promise<string[]> {
  const entries = await readdir(join(stage.folder, target)).catch(() => []);
  return entries.filter((entry) => entry.endsWith('.dist-info')).toSorted();
}

/** Newer versions of everything, the recorded ones yanked or gone. */
function moveOn(upstream: FakeUpstream): void {
  upstream.setProject('app', [
    { ...PROJECTS['app']![0]!, yanked: 'broken' } as FakeFile,
    wheel('app', '2.0', 'library>=2'),
  ]);
  upstream.setProject('library', [wheel('library', '2.0')]);
  upstream.setProject('source', [writeSdist({ name: 'source', version: '0.4' })]);
  upstream.setProject('build-help', null);
}

const filenames = (report: Report): string[] => report.files.map(({ filename }) => filename);

describe.each(Object.entries(BUILDS))('a build with %s', (_tool, build) => {
  it('is recorded, and sees the same when its upstream has moved on and is gone', async () => {
    const stage = await setStage();
    const report = await stage.record('web', ...build('first', 'app'));
    expect(filenames(report)).toEqual(USED);
    const library = report.pages.find(({ project }) => project === 'library');
    expect(library?.filenames).toHaveLength(2);
    const before = await installed(stage, 'first');
    expect(before).toHaveLength(3);

    moveOn(stage.upstream);
    // Another client fetches what is new into the same cache.
    // A busy machine may take the pages before in place of slow ones.
    const place = ['--cache-dir', stage.cacheDir, '--index-url', stage.upstream.indexUrl];
    const fresh = await stage.run('refresh', 'app', 'library', 'source', '--force', ...place);
    expect(fresh.code, fresh.stderr).toBe(0);
    await stage.record('newer', ...build('newer', 'app', 'other'));
    expect(await installed(stage, 'newer')).toContain('app-2.0.dist-info');
    stage.upstream.forget();
    const again = await stage.replay('web', ...build('second', 'app'));
    expect(again.code, again.stderr).toBe(0);
    expect(await installed(stage, 'second')).toEqual(before);
    expect(stage.upstream.connections).toBe(0);

    await stage.upstream.down();
    const last = await stage.replay('web', ...build('third', 'app'));
    expect(last.code, last.stderr).toBe(0);
    expect(await installed(stage, 'third')).toEqual(before);
    // What the cache holds and the set has not is not to be had.
    const other = await stage.replay('web', ...build('fourth', 'other'));
    expect(other.code).not.toBe(0);
    expect(await installed(stage, 'fourth')).toEqual([]);
  });
});

describe('record', () => {
  it('writes a lock that names what was used with the addresses of its index', async () => {
    const stage = await setStage();
    const { lock } = await stage.record('web', ...pip('out', 'app'));
    expect(lock).toBe(join(stage.folder, 'pylock.web.toml'));
    const read = readLockFile(lock, await readFile(lock, 'utf8'));
    const interpreter = parseInterpreter('3.12')!;
    const environment = markerEnvironment(interpreter, 'manylinux_2_28_x86_64');
    const { packages, problems } = read.packagesFor(environment);
    expect(problems).toEqual([]);
    const files = packages.flatMap((each) => each.files);
    expect(files.map(({ filename }) => filename).toSorted()).toEqual(USED);
    for (const { filename, url, sha256, sizeBytes } of files) {
      expect(url, filename).toBe(stage.upstream.fileUrl(filename));
      const { content } = Object.values(PROJECTS)
        .flat()
        .find((each) => each.filename === filename)!;
      expect(sizeBytes).toBe(content.length);
      expect(sha256).toMatch(/^[0-9a-f]{64}$/);
    }
    for (const { index } of packages) expect(index).toBe(stage.upstream.indexUrl);
  });

  it('names one version in the lock and the others beside it when a build used several', async () => {
    const stage = await setStage();
    const twice = `${pip('a', 'library==1.1').join(' ')} && ${pip('b', 'library==1.0').join(' ')}`;
    const report = await stage.record('two', 'sh', '-c', twice);
    expect(filenames(report)).toHaveLength(2);
    const text = await readFile(report.lock, 'utf8');
    expect(text).toMatch(/name = "library"\nversion = "1\.0"/);
    expect(text.match(/\[\[packages\]\]/g)).toHaveLength(1);
    expect(text).toMatch(/also-used = \[\n {2}\{name = "library-1\.1-/);
  });

  it('holds what a build only locked, so that it can be replayed', async () => {
    const stage = await setStage();
    const dry = [...uv('out', 'library'), '--dry-run'];
    const report = await stage.record('locked', ...dry);
    expect(filenames(report)).toEqual(['library-1.1-py3-none-any.whl']);
    await stage.upstream.down();
    const again = await stage.replay('locked', ...uv('out', 'library'));
    expect(again.code, again.stderr).toBe(0);
    expect(await installed(stage, 'out')).toEqual(['library-1.1.dist-info']);
  });

  it('does not mix two that run at once on one cache folder', async () => {
    const stage = await setStage();
    const [one, two] = await Promise.all([
      stage.record('one', ...pip('one', 'app')),
      stage.record('two', ...uv('two', 'other')),
    ]);
    expect(filenames(one)).toEqual(USED);
    expect(filenames(two)).toEqual(['other-1.0-py3-none-any.whl']);
    expect(two.pages.map(({ project }) => project)).toEqual(['other']);
  });

  it('ends as the build ends, keeps nothing of one that failed, and tells what it replaced', async () => {
    const stage = await setStage();
    const place = ['--cache-dir', stage.cacheDir, '--index-url', stage.upstream.indexUrl];
    const words = `${pip('out', 'library').join(' ')}; exit 9`;
    const failed = await stage.run('record', '-o', 'web', ...place, '--', 'sh', '-c', words);
    expect(failed.code, failed.stderr).toBe(9);
    expect(failed.stderr).toContain('nothing is recorded');
    expect(failed.stderr).toContain('PIP_FIND_LINKS, PIP_INDEX_URL, UV_INDEX_URL');
    expect(await installed(stage, 'out')).toEqual(['library-1.1.dist-info']);
    const list = await stage.run('record', '--list', '--cache-dir', stage.cacheDir);
    expect(list.stdout).toBe('No set is recorded.\n');
    expect(existsSync(join(stage.folder, 'pylock.web.toml'))).toBe(false);
  });

  it('leaves the set before as it was when it is killed', async () => {
    const stage = await setStage();
    const before = await stage.record('web', ...pip('out', 'library==1.0'));
    const slow = stage.upstream.fault(/app-1\.0.*\.whl$/, { bytesPerSecond: 100 });
    const place = ['--cache-dir', stage.cacheDir, '--index-url', stage.upstream.indexUrl];
    const args = [PROGRAM, 'record', '-o', 'web', ...place, '--', ...pip('late', 'other', 'app')];
    const child = spawn(process.execPath, args, {
      cwd: stage.folder,
      env: stage.environment,
      stdio: 'ignore',
      detached: true,
    });
    const ended = once(child, 'close');
    const isThere = (): void => expect(stage.upstream.count(/app-1\.0/)).toBeGreaterThan(0);
    await vi.waitFor(isThere, { timeout: 60_000, interval: 20 });
    process.kill(-child.pid!, 'SIGKILL');
    await ended;
    slow();
    const listed = await stage.run('record', '--list', '--json', '--cache-dir', stage.cacheDir);
    const { sets } = JSON.parse(listed.stdout) as { sets: { name: string; files: number }[] };
    expect(sets).toMatchObject([{ name: 'web', files: 1 }]);
    expect(filenames(before)).toEqual(['library-1.0-py3-none-any.whl']);
    const lock = await readFile(join(stage.folder, 'pylock.web.toml'), 'utf8');
    expect(lock).not.toContain('name = "other"');
    expect(await readdir(stage.folder)).not.toContainEqual(expect.stringMatching(/^\.pylock/));
  });

  it('refuses what names no set, and folders that are not there, before it runs anything', async () => {
    const stage = await setStage();
    const place = ['--cache-dir', stage.cacheDir];
    for (const output of ['../x', 'a.b', '', 'nowhere/pylock.web.toml']) {
      const words = ['touch', join(stage.folder, 'ran')];
      const { code } = await stage.run('record', '-o', output, ...place, '--', ...words);
      expect(code, output).toBe(2);
    }
    expect(existsSync(join(stage.folder, 'ran'))).toBe(false);
    expect((await stage.run('record', ...place, '--', 'true')).code).toBe(2);
    expect((await stage.run('record', '--list', '-o', 'web', ...place)).code).toBe(2);
  });
});

describe('a recorded set', () => {
  it('outlives gc, deletion and a catalog that is made again, until it is forgotten', async () => {
    const stage = await setStage();
    await stage.record('web', ...pip('first', 'app'));
    const place = ['--cache-dir', stage.cacheDir];
    // The stored pages name the recorded files no longer.
    moveOn(stage.upstream);
    await stage.record('newer', ...pip('newer', 'app'));
    const forgotten = await stage.run('record', '--delete', 'newer', ...place);
    expect(forgotten.code, forgotten.stderr).toBe(0);
    await stage.upstream.down();
    const gc = await stage.run('gc', '--max-size', '1KB', ...place);
    expect(gc.code, gc.stderr).toBe(0);
    const catalog = join(stage.cacheDir, 'state-v1', 'catalog.sqlite');
    for (const suffix of ['-wal', '-shm']) await rm(`${catalog}${suffix}`, { force: true });
    await writeFile(catalog, 'no catalog any more');
    const rebuilt = await stage.run('verify', '--rebuild', '--offline', ...place);
    expect(rebuilt.code, rebuilt.stdout + rebuilt.stderr).toBe(0);
    const after = await stage.run('gc', '--max-size', '1KB', ...place);
    expect(after.code, after.stderr).toBe(0);
    const refused = await stage.run('delete', 'library', ...place);
    expect(refused.code, refused.stderr).toBe(3);
    expect(refused.stderr).toContain('record --delete web');
    const info = await stage.run('info', 'library', ...place);
    expect(info.stdout).toMatch(/library-1\.1.*in web/);
    const again = await stage.replay('web', ...uv('second', 'app'));
    expect(again.code, again.stderr).toBe(0);
    expect(await installed(stage, 'second')).toEqual(await installed(stage, 'first'));

    expect((await stage.run('record', '--delete', 'web', ...place)).code).toBe(0);
    expect((await stage.run('record', '--delete', 'web', ...place)).code).toBe(3);
    expect((await stage.replay('web', 'true')).code).toBe(3);
    await stage.run('gc', '--max-size', '1KB', ...place);
    const left = await stage.run('ls', '--json', ...place);
    expect((JSON.parse(left.stdout) as { totals: { files: number } }).totals.files).toBe(0);
  });

  it('whose files are gone or changed is not replayed, and they are named before anything runs', async () => {
    const stage = await setStage();
    await stage.record('web', ...pip('first', 'app'));
    const place = join(stage.cacheDir, 'mirror', 'packages');
    const files = await readdir(place, { recursive: true });
    const [library] = files.filter((path) => path.endsWith('library-1.1-py3-none-any.whl'));
    await rm(join(place, library ?? ''));
    const result = await stage.replay('web', 'touch', join(stage.folder, 'ran'));
    expect(result.code, result.stderr).toBe(4);
    expect(result.stderr).toContain('library-1.1-py3-none-any.whl: ');
    expect(result.stderr).not.toContain('app-1.0');
    expect(existsSync(join(stage.folder, 'ran'))).toBe(false);
  });
});
