import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Proof } from '../../src/prefetch/proof.ts';
import type { SetReport } from '../../src/prefetch/report.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import type { FakeFile, FakeUpstream } from '../support/fake-upstream.ts';
import { stageUpstream } from '../support/mirror.ts';
import { makeVirtualEnvironment, pythonClients, uvPipInstall } from '../support/python-clients.ts';
import { makeTempFolder } from '../support/temp-folder.ts';
import { runVerb } from '../support/verbs.ts';
import type { VerbResult } from '../support/verbs.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import { writeZip } from '../support/zip-writer.ts';

const PROGRAM = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));
const LINUX = 'manylinux_2_28_x86_64';
const MAC = 'macosx_12_0_arm64';
const WINDOWS = 'win_amd64';

const native = (version: string, python: string, platform: string): FakeFile =>
  writeWheel({ name: 'native', version, tag: `cp3${python}-cp3${python}-${platform}` });

const PROJECTS: Readonly<Record<string, readonly FakeFile[]>> = {
  app: [
    writeWheel({
      name: 'App',
      version: '1.0',
      requires: ['native>=1', 'winonly; sys_platform == "win32"'],
      extras: { more: ['extra-lib'] },
    }),
    writeWheel({ name: 'App', version: '0.9' }),
  ],
  native: [
    native('1.0', '11', 'manylinux_2_17_x86_64'),
    native('1.0', '11', 'macosx_11_0_arm64'),
    native('1.0', '12', 'manylinux_2_17_x86_64'),
    writeSdist({ name: 'native', version: '1.0' }),
  ],
  winonly: [writeWheel({ name: 'winonly', version: '1.0' })],
  'extra-lib': [writeWheel({ name: 'extra_lib', version: '1.0' })],
  // Built by a backend of the index, which needs one that is built in turn.
  built: [writeForeignSdist()],
  backend: [backendWheel()],
  'backend-help': [
    writeSdist({ name: 'backend_help', version: '1.0', buildRequires: ['deepest'] }),
  ],
  deepest: [writeWheel({ name: 'deepest', version: '1.0' })],
};

/** An sdist whose build backend comes from the index. */
function writeForeignSdist(): FakeFile {
  return writeSdist({ name: 'built', version: '1.0', buildRequires: ['backend>=1'] });
}

function backendWheel(): FakeFile {
  return writeWheel({ name: 'backend', version: '1.0', requires: ['backend-help'] });
}

interface Stage {
  readonly upstream: FakeUpstream;
  readonly cacheDir: string;
  readonly folder: string;
  readonly verb: (...argv: readonly string[]) => Promise<VerbResult>;
  readonly report: (...argv: readonly string[]) => Promise<SetReport>;
  readonly proof: (...argv: readonly string[]) => Promise<Proof>;
}

async function setStage(projects = PROJECTS): Promise<Stage> {
  const upstream = await stageUpstream({ projects });
  const temp = await makeTempFolder('wheelcellar-prefetch-');
  onTestFinished(() => temp.remove());
  const cacheDir = join(temp.path, 'cache');
  const verb = (...argv: readonly string[]): Promise<VerbResult> =>
    runVerb({ cacheDir, indexUrl: upstream.indexUrl }, ...argv);
  const json = async <T>(...argv: readonly string[]): Promise<T> => {
    const { stdout, stderr } = await verb(...argv, '--json');
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as T;
  };
  return {
    upstream,
    cacheDir,
    folder: temp.path,
    verb,
    report: (...argv) => json<SetReport>('prefetch', ...argv),
    proof: (...argv) => json<Proof>('prove', ...argv),
  };
}

async function write(stage: Stage, name: string, text: string): Promise<string> {
  const path = join(stage.folder, name);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
  return path;
}

const names = (report: SetReport): string[] => report.files.map(({ filename }) => filename);
const on = (python: string, ...platforms: readonly string[]): string[] => [
  '--python',
  python,
  '--platform',
  platforms.join(','),
];

beforeAll(() => {
  process.env['PATH'] = `${join(pythonClients.python, '..')}:${process.env['PATH'] ?? ''}`;
});

describe('prefetch', () => {
  it('holds exactly the files of a matrix, and says where there is no wheel', async () => {
    const stage = await setStage();
    const report = await stage.report('App[more]', ...on('3.11,3.12', LINUX, MAC, WINDOWS));
    expect(names(report)).toEqual([
      'app-1.0-py3-none-any.whl',
      'extra_lib-1.0-py3-none-any.whl',
      'native-1.0-cp311-cp311-macosx_11_0_arm64.whl',
      'native-1.0-cp311-cp311-manylinux_2_17_x86_64.whl',
      'native-1.0-cp312-cp312-manylinux_2_17_x86_64.whl',
      'native-1.0.tar.gz',
      'winonly-1.0-py3-none-any.whl',
    ]);
    expect(report.isWhole).toBe(true);
    expect(report.resolver).toMatch(/^uv /);
    const built = report.targets.flatMap(({ python, platform, sdists }) =>
      sdists.map(({ project }) => `${project} ${python} ${platform}`),
    );
    expect(built).toEqual([
      `native 3.11 ${WINDOWS}`,
      `native 3.12 ${MAC}`,
      `native 3.12 ${WINDOWS}`,
    ]);
  });

  it('fetches nothing twice, and offline asks for nothing', async () => {
    const stage = await setStage();
    await stage.report('app', ...on('3.11', LINUX));
    stage.upstream.forget();
    const again = await stage.report('app', ...on('3.11', LINUX));
    expect(again.files.map(({ outcome }) => outcome)).toEqual(['held', 'held']);
    expect(stage.upstream.count(/\/packages\//)).toBe(0);
    stage.upstream.forget();
    const offline = await stage.verb('prefetch', 'app', '--offline', ...on('3.11', LINUX));
    expect(offline.code, offline.stderr).toBe(0);
    expect(stage.upstream.connections).toBe(0);
  });

  it('takes wheels alone when it is told so, and the exit status says that the set has a hole', async () => {
    const stage = await setStage();
    const { code, stdout } = await stage.verb(
      'prefetch',
      'native==1.0',
      '--only-binary',
      ...on('3.13', LINUX),
    );
    expect(code, stdout).toBe(1);
    expect(stdout).toContain('NOT whole');
    expect(stdout).toMatch(/not resolved: .*native/s);
  });

  it('tells sizes before anything is fetched', async () => {
    const stage = await setStage();
    const { code, stdout } = await stage.verb('prefetch', 'app', '--dry-run', ...on('3.11', LINUX));
    expect(code).toBe(0);
    expect(stdout).toMatch(/fetch {2}app-1\.0-py3-none-any\.whl {2}1\.\d kB/);
    expect(stdout).toContain('0 held, 2 to fetch');
    expect(stage.upstream.count(/\.whl$/)).toBe(0);
  });

  it('keeps the set when it is told so', async () => {
    const stage = await setStage();
    await stage.report('app', '--keep', ...on('3.11', LINUX));
    const { stdout } = await stage.verb('info', 'native');
    expect(stdout).toContain('==1.0');
  });

  it('reads requirements with includes, constraints, hashes and markers', async () => {
    const stage = await setStage();
    const digest = sha256Of(PROJECTS['app']?.[1]?.content ?? '');
    await write(stage, 'limits.txt', 'app<1\n');
    await write(stage, 'more.txt', 'extra-lib; python_version >= "3.12"\n./local\n');
    const file = await write(
      stage,
      'requirements.txt',
      `-c limits.txt\n-r more.txt\n--extra-index-url http://127.0.0.1:9/simple/\napp --hash=sha256:${digest}\n`,
    );
    const report = await stage.report('-r', file, ...on('3.11,3.12', LINUX));
    expect(names(report)).toEqual(['app-0.9-py3-none-any.whl', 'extra_lib-1.0-py3-none-any.whl']);
    expect(report.problems.join('\n')).toMatch(/127\.0\.0\.1:9.*not asked/);
    expect(report.problems.join('\n')).toMatch(/\.\/local/);
    expect(report.targets.map(({ packages }) => packages)).toEqual([1, 2]);
  });

  it('asks no resolver for requirements with versions and digests', async () => {
    const stage = await setStage();
    const [wheel] = PROJECTS['app'] ?? [];
    const text = `app==1.0 --hash=sha256:${sha256Of(wheel?.content ?? '')}\n`;
    const file = await write(stage, 'requirements.txt', text);
    const report = await stage.report('-r', file, ...on('3.11', LINUX));
    expect(report.resolver).toBeNull();
    expect(names(report)).toEqual(['app-1.0-py3-none-any.whl']);
    const wrong = await write(stage, 'wrong.txt', text.replace(/[0-9a-f]{8}\n/, '00000000\n'));
    const { code, stdout } = await stage.verb('prefetch', '-r', wrong, ...on('3.11', LINUX));
    expect(code).toBe(3);
    expect(stdout).toContain('none of the files that the lock names');
  });

  it('reads projects with their extras and groups', async () => {
    const stage = await setStage();
    const file = await write(
      stage,
      'pyproject.toml',
      '[project]\nname = "mine"\ndependencies = ["app<1"]\n' +
        '[project.optional-dependencies]\nx = ["extra-lib"]\n[dependency-groups]\ntest = ["winonly"]\n',
    );
    const report = await stage.report(
      '-r',
      file,
      '--extra',
      'x',
      '--group',
      'test',
      ...on('3.11', LINUX),
    );
    expect(names(report)).toEqual([
      'app-0.9-py3-none-any.whl',
      'extra_lib-1.0-py3-none-any.whl',
      'winonly-1.0-py3-none-any.whl',
    ]);
  });

  it('takes files from several indexes, and reports what is on none', async () => {
    const stage = await setStage();
    const other = await stageUpstream({
      projects: { elsewhere: [writeWheel({ name: 'elsewhere', version: '2.0' })] },
    });
    const digest = sha256Of(PROJECTS['extra-lib']?.[0]?.content ?? '');
    const lock = await write(
      stage,
      'pylock.toml',
      [
        'lock-version = "1.0"\ncreated-by = "by hand"',
        '[[packages]]\nname = "extra-lib"\nversion = "1.0"',
        `wheels = [{ name = "extra_lib-1.0-py3-none-any.whl", url = "${stage.upstream.fileUrl('extra_lib-1.0-py3-none-any.whl')}", hashes = { sha256 = "${digest}" } }]`,
        '[[packages]]\nname = "repo"\nversion = "1"\nvcs = { type = "git", url = "https://example.org/r.git", commit-id = "00" }',
        '[[packages]]\nname = "near"\ndirectory = { path = "../near" }',
      ].join('\n'),
    );
    const second = ['--extra-index', `second=${other.indexUrl}`];
    const report = await stage.report('elsewhere', '--lock', lock, ...second, ...on('3.11', LINUX));
    expect(names(report)).toEqual([
      'elsewhere-2.0-py3-none-any.whl',
      'extra_lib-1.0-py3-none-any.whl',
    ]);
    expect(report.elsewhere.map(({ name, source }) => `${name} ${source}`)).toEqual([
      'near path',
      'repo vcs',
    ]);
    expect(report.isWhole).toBe(false);
    expect(report.shortfall).toBe('not-found');
  });

  it('takes what is installed in an environment', async () => {
    const stage = await setStage();
    const folder = join(stage.folder, 'env');
    const { python } = await makeVirtualEnvironment(folder);
    const { indexUrl } = stage.upstream;
    const made = await uvPipInstall({ python, indexUrl, args: ['app<1', 'extra-lib'] });
    expect(made.code, made.stderr).toBe(0);
    const report = await stage.report('--environment', folder, ...on('3.11', LINUX));
    expect(names(report)).toEqual(['app-0.9-py3-none-any.whl', 'extra_lib-1.0-py3-none-any.whl']);
    expect(report.resolver).toBeNull();
  });

  it('fetches what builds need, with what that needs', async () => {
    const stage = await setStage();
    const without = await stage.report('built', '--dry-run', ...on('3.11', LINUX));
    expect(names(without)).toEqual(['built-1.0.tar.gz']);
    const report = await stage.report('built', '--with-build-deps', ...on('3.11', LINUX));
    expect(names(report)).toEqual([
      'backend-1.0-py3-none-any.whl',
      'backend_help-1.0.tar.gz',
      'built-1.0.tar.gz',
      'deepest-1.0-py3-none-any.whl',
    ]);
    // What the resolver has read is held by then.
    const there = report.files.filter(({ outcome }) => ['fetched', 'held'].includes(outcome));
    expect(there).toHaveLength(4);
    expect(report.isWhole).toBe(true);
  });

  it.each([
    ['a damaged file', { flipByteAt: 60 }, 5],
    ['a file that is gone', { status: 404 }, 3],
  ])('says by its exit status what is missing: %s', async (_words, fault, status) => {
    const stage = await setStage();
    stage.upstream.fault(/native-.*\.whl$/, fault);
    const { code, stdout } = await stage.verb('prefetch', 'app', ...on('3.11', LINUX));
    expect(code, stdout).toBe(status);
    expect(stdout).toMatch(/failed: native-1\.0-cp311/);
    expect(stdout).toContain('NOT whole');
  });

  it('refuses what it cannot understand before it asks anybody', async () => {
    const stage = await setStage();
    const lines = [
      ['prefetch'],
      ['prefetch', 'a b'],
      ['prefetch', 'app', '--python', 'three'],
      ['prefetch', 'app', '--platform', 'linux'],
      ['prefetch', '-r', '/nonexistent/requirements.txt'],
      ['prefetch', '--lock', '/nonexistent/uv.lock'],
      ['prefetch', 'app', '-j', '0'],
    ];
    for (const line of lines) {
      const { code, stderr } = await stage.verb(...line);
      expect(code, `${line.join(' ')}: ${stderr}`).toBe(2);
    }
    expect(stage.upstream.connections).toBe(0);
  });
});

describe('prove', () => {
  it('installs what was prefetched with no upstream, and lists what is missing before', async () => {
    const stage = await setStage();
    const file = await write(stage, 'requirements.txt', 'App[more]\n');
    const before = await stage.verb('prove', '-r', file);
    expect(before.code).toBe(4);
    expect(before.stdout).toMatch(/missing +app: nothing of it is held/);
    await stage.report('-r', file);
    await stage.upstream.down();
    stage.upstream.forget();
    const proof = await stage.proof('-r', file);
    expect(proof.targets[0]?.words).toBeNull();
    expect(proof).toMatchObject({ isReady: true, targets: [{ how: 'installed', isReady: true }] });
    expect(stage.upstream.connections).toBe(0);
  });

  it('resolves for machines that are not here', async () => {
    const stage = await setStage();
    await stage.report('app', ...on('3.11', MAC));
    const mac = await stage.proof('app', ...on('3.11', MAC));
    expect(mac).toMatchObject({ isReady: true, targets: [{ how: 'resolved' }] });
    const windows = await stage.verb('prove', 'app', ...on('3.11', WINDOWS));
    expect(windows.code, windows.stdout).toBe(4);
    expect(windows.stdout).toMatch(/missing +winonly: nothing of it is held/);
  });

  it('finds what a lock names, by its digests', async () => {
    const stage = await setStage();
    const [wheel] = PROJECTS['extra-lib'] ?? [];
    const text = `extra-lib==1.0 --hash=sha256:${sha256Of(wheel?.content ?? '')}\n`;
    const file = await write(stage, 'requirements.txt', text);
    expect((await stage.proof('-r', file)).isReady).toBe(false);
    // Now the page is here, and the file is not.
    await stage.report('-r', file, '--dry-run');
    const listed = await stage.proof('-r', file);
    expect(listed.targets[0]?.missing.map(({ project }) => project)).toEqual(['extra-lib']);
    expect(listed.isReady).toBe(false);
    await stage.report('-r', file);
    const proof = await stage.proof('-r', file);
    expect(proof).toMatchObject({ isReady: true, targets: [{ how: 'installed' }] });
  });

  it('is not ready when a build needs what is not here', async () => {
    const stage = await setStage();
    await stage.report('built', ...on('3.11', MAC));
    const proof = await stage.proof('built', ...on('3.11', MAC));
    expect(proof.isReady).toBe(false);
    expect(proof.report.problems.join('\n')).toMatch(/build of built-1\.0\.tar\.gz.*backend/s);
    await stage.report('built', '--with-build-deps', ...on('3.11', MAC));
    expect((await stage.proof('built', ...on('3.11', MAC))).isReady).toBe(true);
  });
});

describe('a prefetch that is killed', () => {
  it('goes on where it was, and fetches no byte twice that was on the disk', async () => {
    const big = Array.from({ length: 6 }, (_, at) =>
      writeWheel({ name: `big-${at}`, version: '1.0', paddingBytes: 3_000_000 + at }),
    );
    const projects = Object.fromEntries(big.map((file, at) => [`big-${at}`, [file]]));
    const stage = await setStage(projects);
    const slow = stage.upstream.fault(/\/packages\/.*\.whl$/, { bytesPerSecond: 1_200_000 });
    const lines = big.map(({ sha256 }, at) => `big-${at}==1.0 --hash=sha256:${sha256}`);
    const file = await write(stage, 'requirements.txt', lines.join('\n'));
    const asked = ['prefetch', '-r', file, '-j', '2', ...on('3.11', LINUX)];
    const index = ['--index-url', stage.upstream.indexUrl, '--cache-dir', stage.cacheDir];
    const child = spawn(process.execPath, [PROGRAM, ...asked, ...index], { stdio: 'ignore' });
    const ended = once(child, 'close');
    const isFile = /\.whl$/;
    await vi.waitFor(() => expect(stage.upstream.bytesSent(isFile)).toBeGreaterThan(10_000_000), {
      timeout: 60_000,
      interval: 20,
    });
    child.kill('SIGKILL');
    await ended;
    slow();
    const total = big.reduce((sum, { content }) => sum + content.length, 0);
    const before = stage.upstream.bytesSent(isFile);
    expect(before).toBeLessThan(total);
    const whole = stage.upstream.requests.filter(
      ({ path, bytesSent }) => isFile.test(path) && bytesSent > 3_000_000,
    );
    stage.upstream.forget();
    const { code, stdout } = await stage.verb(...asked);
    expect(code, stdout).toBe(0);
    // What was whole is not asked for; of the two that were cut, at most what was on its way comes again.
    for (const { path } of whole) expect(stage.upstream.count(path), path).toBe(0);
    expect(before + stage.upstream.bytesSent(isFile)).toBeLessThan(total + 2_000_000);
    const ranged = stage.upstream.requests.filter(({ headers }) => headers.range !== undefined);
    expect(ranged.length).toBeGreaterThan(0);
    for (const { path } of stage.upstream.requests.filter((seen) => isFile.test(seen.path)))
      expect(stage.upstream.count(path), path).toBe(1);
  });
});

describe('the resolver of a prefetch', () => {
  /** Runs with a PATH that has only these programs besides the system's shell. */
  async function withPrograms(
    stage: Stage,
    programs: Readonly<Record<string, string>>,
    work: () => Promise<SetReport>,
  ): Promise<SetReport> {
    const bin = join(stage.folder, 'bin');
    await mkdir(bin, { recursive: true });
    for (const [name, target] of Object.entries(programs))
      await writeFile(join(bin, name), `#!/bin/sh\nexec ${target} "$@"\n`, { mode: 0o755 });
    const before = process.env['PATH'];
    process.env['PATH'] = bin;
    try {
      return await work();
    } finally {
      process.env['PATH'] = before;
    }
  }

  /** What stands for uv's own wheel: its program leads to the real one. */
  function uvWheel(): FakeFile {
    const info = 'uv-0.99.dist-info';
    const metadata = 'Metadata-Version: 2.1\nName: uv\nVersion: 0.99\n';
    const members = Object.entries({
      'uv-0.99.data/scripts/uv': `#!/bin/sh\nexec ${pythonClients.uv} "$@"\n`,
      [`${info}/METADATA`]: metadata,
      [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nTag: py3-none-any\n',
      [`${info}/RECORD`]: '',
    }).map(([path, text]) => ({ path, content: Buffer.from(text) }));
    return { filename: 'uv-0.99-py3-none-any.whl', content: writeZip(members), metadata };
  }

  it('is the uv of the index where there is none on the PATH, and stays here', async () => {
    const stage = await setStage({ ...PROJECTS, uv: [uvWheel()] });
    const python = { python3: pythonClients.python };
    const gather = (): Promise<SetReport> => stage.report('app', ...on('3.11', LINUX));
    const report = await withPrograms(stage, python, gather);
    expect(report.resolver).toMatch(/^uv /);
    stage.upstream.forget();
    await withPrograms(stage, python, gather);
    expect(stage.upstream.count(/\.whl$/)).toBe(0);
  });

  it('is pip where no uv is to be had', async () => {
    const stage = await setStage();
    const report = await withPrograms(stage, { python3: pythonClients.python }, () =>
      stage.report('app', ...on('3.11', LINUX)),
    );
    expect(report.resolver).toMatch(/^pip /);
    expect(names(report)).toHaveLength(2);
  });

  it('is missed in words that help', async () => {
    const stage = await setStage();
    const report = withPrograms(stage, {}, () => stage.report('app', ...on('3.11', LINUX)));
    await expect(report).rejects.toThrow(/no resolver.*\n.*Install one/s);
  });
});
