import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { startFakeUpstream } from '../support/fake-upstream.ts';
import type { FakeUpstreamOptions } from '../support/fake-upstream.ts';
import type { Client } from '../support/more-clients.ts';
import { runCommand } from '../support/run-command.ts';
import { lockProjects, otherProjects } from './lock-projects.ts';
import { describeClient, runClient, setStage } from './stage.ts';
import type { Stage } from './stage.ts';

const WHEELCELLAR = fileURLToPath(new URL('../../bin/wheelcellar.js', import.meta.url));

/** What the tools can all be asked for. */
const REQUIREMENTS: readonly string[] = [
  'base[socks]',
  'native',
  'local',
  "source-only; sys_platform == 'linux'",
];

/** Writes a lock file in `folder` from the index at this URL, and gives its name. */
type Lock = (indexUrl: string, folder: string, client: Client) => Promise<string>;

function project(more: readonly string[] = []): string {
  return [
    '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.9,<4"',
    `dependencies = ${JSON.stringify(REQUIREMENTS)}`,
    ...more,
    '',
  ].join('\n');
}

/** Runs one program and wants it to succeed. */
async function run(
  client: Client,
  program: string,
  args: readonly string[],
  folder: string,
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { code, words } = await runClient(client, program, args, folder, env);
  expect(code, words).toBe(0);
}

const uvLock: Lock = async (indexUrl, folder, client) => {
  const text = project([
    '[project.optional-dependencies]\nquick = ["fast-er"]',
    '[dependency-groups]\ndev = ["tester"]',
    '[tool.uv]\npackage = false',
  ]);
  await writeFile(join(folder, 'pyproject.toml'), text);
  const env = { UV_DEFAULT_INDEX: indexUrl, UV_NO_CACHE: '1' };
  await run(client, 'uv', ['lock', '--python', join(client.binPath, 'python')], folder, env);
  return 'uv.lock';
};

const uvExport: Lock = async (indexUrl, folder, client) => {
  await uvLock(indexUrl, folder, client);
  const args = ['export', '--frozen', '--format', 'pylock.toml', '-o', 'pylock.toml'];
  await run(client, 'uv', args, folder, { UV_DEFAULT_INDEX: indexUrl });
  return 'pylock.toml';
};

function uvCompile(output: string): Lock {
  return async (indexUrl, folder, client) => {
    await writeFile(join(folder, 'requirements.in'), `${REQUIREMENTS.join('\n')}\n`);
    const flags = output.endsWith('.toml')
      ? []
      : ['--emit-index-url', '--emit-index-annotation', '--generate-hashes'];
    // The command stands in the comment at the head, with the address.
    const args = ['pip', 'compile', '--no-cache', '--default-index', indexUrl, ...flags];
    await run(client, 'uv', [...args, 'requirements.in', '-o', output], folder);
    return output;
  };
}

const pipLock: Lock = async (indexUrl, folder, client) => {
  const args = ['-m', 'pip', 'lock', '--no-cache-dir', '--index-url', indexUrl];
  await run(client, 'python', [...args, ...REQUIREMENTS], folder);
  return 'pylock.toml';
};

const pipCompile: Lock = async (indexUrl, folder, client) => {
  await writeFile(join(folder, 'requirements.in'), `${REQUIREMENTS.join('\n')}\n`);
  const args = ['--index-url', indexUrl, '--generate-hashes', '--emit-index-url', '--no-config'];
  const cache = ['--cache-dir', join(folder, 'cache')];
  const env = { PIP_NO_CACHE_DIR: '1', COLUMNS: '200' };
  await run(client, 'pip-compile', [...args, ...cache, '--annotate'], folder, env);
  return 'requirements.txt';
};

const poetryLock: Lock = async (indexUrl, folder, client) => {
  const source = `[[tool.poetry.source]]\nname = "index"\nurl = "${indexUrl}"\npriority = "primary"`;
  await writeFile(
    join(folder, 'pyproject.toml'),
    project(['[tool.poetry]\npackage-mode = false', source]),
  );
  const env = {
    POETRY_CACHE_DIR: join(folder, 'cache'),
    POETRY_VIRTUALENVS_IN_PROJECT: 'true',
    POETRY_NO_INTERACTION: '1',
    POETRY_KEYRING_ENABLED: 'false',
  };
  await run(client, 'poetry', ['lock'], folder, env);
  return 'poetry.lock';
};

function pdmLock(...flags: readonly string[]): Lock {
  return async (indexUrl, folder, client) => {
    const source = `[[tool.pdm.source]]\nname = "pypi"\nurl = "${indexUrl}"`;
    await writeFile(
      join(folder, 'pyproject.toml'),
      project(['[tool.pdm]\ndistribution = false', source]),
    );
    const env = { PDM_CACHE_DIR: join(folder, 'cache'), PDM_CHECK_UPDATE: 'false' };
    const python = join(client.binPath, 'python');
    await run(client, python, ['-m', 'venv', '--without-pip', '.venv'], folder);
    await run(client, 'pdm', ['lock', ...flags], folder, env);
    return 'pdm.lock';
  };
}

const pipenvLock: Lock = async (indexUrl, folder, client) => {
  const source = `[[source]]\nname = "index"\nurl = "${indexUrl}"\nverify_ssl = false`;
  const packages = 'base = { version = "*", extras = ["socks"] }\nnative = "*"\nlocal = "*"\n';
  await writeFile(join(folder, 'Pipfile'), `${source}\n[packages]\n${packages}`);
  const env = {
    PIPENV_CACHE_DIR: join(folder, 'cache'),
    PIPENV_VENV_IN_PROJECT: '1',
    PIPENV_PYTHON: join(client.binPath, 'python'),
    PIPENV_IGNORE_VIRTUALENVS: '1',
    PIPENV_NOSPIN: '1',
    PIPENV_YES: '1',
  };
  await run(client, 'pipenv', ['lock'], folder, env);
  return 'Pipfile.lock';
};

/** Runs `wheelcellar lock`, with the mirror's upstreams and cache folder. */
async function wheelcellarLock(
  stage: Stage,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly words: string }> {
  const flags = [
    '--index-url',
    stage.upstream.indexUrl,
    '--cache-dir',
    join(stage.folder, 'cache'),
  ];
  const result = await runCommand(process.execPath, [WHEELCELLAR, 'lock', ...args, ...flags], {
    env: { PATH: process.env['PATH'], HOME: stage.folder },
  });
  return { code: result.code, words: result.stdout + result.stderr };
}

interface Locks {
  readonly stage: Stage;
  readonly direct: string;
  readonly path: string;
  readonly through: string;
}

/** The same lock twice: from the upstream, and through the mirror and turned back. */
async function lockTwice(
  client: Client,
  lock: Lock,
  upstream: Partial<FakeUpstreamOptions> = {},
): Promise<Locks> {
  const stage = await setStage({ projects: lockProjects(), upstream });
  const [directFolder, folder] = [await stage.freshFolder(), await stage.freshFolder()];
  const name = await lock(stage.upstream.indexUrl, directFolder, client);
  const direct = await readFile(join(directFolder, name), 'utf8');
  await lock(stage.recorder.indexUrl, folder, client);
  const path = join(folder, name);
  return { stage, direct, path, through: await readFile(path, 'utf8') };
}

function itGoesBack(words: string, client: Client, lock: Lock, own?: RegExp): void {
  it(`${words} is what it would have been without the mirror, to the byte`, async () => {
    const { stage, direct, path, through } = await lockTwice(client, lock);
    expect(through).not.toBe(direct);
    const before = await wheelcellarLock(stage, ['check', path]);
    expect(before.code, before.words).toBe(1);
    expect(before.words).toContain(`→ ${stage.upstream.origin}/`);
    const back = await wheelcellarLock(stage, ['canonicalize', path]);
    expect(back.code, back.words).toBe(0);
    const after = await readFile(path, 'utf8');
    // The digest of the project file, which names the index, is the tool's own matter.
    const plain = (text: string): string => (own === undefined ? text : text.replace(own, ''));
    expect(plain(after)).toBe(plain(direct));
    if (own !== undefined) expect(after).not.toBe(direct);
    const again = await wheelcellarLock(stage, ['check', path]);
    expect(again.code, again.words).toBe(0);
    // pipenv makes an environment each time.
  }, 300_000);
}

describeClient('uv', (client) => {
  itGoesBack('uv.lock', client, uvLock);
  itGoesBack('pylock.toml of uv export', client, uvExport);
  itGoesBack('pylock.toml of uv pip compile', client, uvCompile('pylock.toml'));
  itGoesBack('requirements.txt of uv pip compile', client, uvCompile('requirements.txt'));

  it('uv.lock names the second index again for what came from there', async () => {
    const stage = await setStage({ projects: lockProjects() });
    const other = await startFakeUpstream({ projects: otherProjects() });
    onTestFinished(() => other.close());
    const extra = ['--extra-index', `other=${other.indexUrl}`];
    await stage.restart(...extra);
    const text = project([
      '[dependency-groups]\ndev = ["other-only"]',
      '[tool.uv]\npackage = false',
    ]);
    const args = ['lock', '--no-cache', '--python', join(client.binPath, 'python')];
    const locks: string[] = [];
    for (const env of [
      { UV_INDEX: other.indexUrl, UV_DEFAULT_INDEX: stage.upstream.indexUrl },
      { UV_DEFAULT_INDEX: stage.recorder.indexUrl },
    ]) {
      const folder = await stage.freshFolder();
      await writeFile(join(folder, 'pyproject.toml'), text);
      await run(client, 'uv', args, folder, env);
      locks.push(join(folder, 'uv.lock'));
    }
    const [direct = '', through = ''] = locks;
    const back = await wheelcellarLock(stage, ['canonicalize', through, ...extra]);
    expect(back.code, back.words).toBe(0);
    expect(await readFile(through, 'utf8')).toBe(await readFile(direct, 'utf8'));
    expect(await readFile(through, 'utf8')).toContain(other.indexUrl);
  });

  it('uv.lock of an index that tells no sizes has those that the mirror knows, and no more', async () => {
    const poor = { mode: 'html' } as const;
    const { stage, direct, path } = await lockTwice(client, uvLock, poor);
    await wheelcellarLock(stage, ['canonicalize', path]);
    const after = await readFile(path, 'utf8');
    const bare = (text: string): string =>
      text.replace(/, (?:size|upload-time) = [^,}]+(?=[, }])/g, '');
    expect(after).not.toBe(direct);
    expect(direct).not.toContain('size = ');
    expect(after).toContain('size = ');
    expect(bare(after).replaceAll(' }', '}')).toBe(bare(direct).replaceAll(' }', '}'));
  });

  it('installs from the turned-back lock without asking for it to be made again', async () => {
    const { stage, path } = await lockTwice(client, uvLock);
    await wheelcellarLock(stage, ['canonicalize', path]);
    const env = { UV_DEFAULT_INDEX: stage.upstream.indexUrl, UV_NO_CACHE: '1' };
    const args = ['sync', '--locked', '--python', join(client.binPath, 'python')];
    await run(client, 'uv', args, join(path, '..'), env);
  });
});

describeClient('pip', (client) => {
  itGoesBack('pylock.toml of pip lock', client, pipLock);
});

describeClient('pip-tools', (client) => {
  itGoesBack('requirements.txt of pip-compile', client, pipCompile);
});

describeClient('poetry', (client) => {
  itGoesBack(
    'poetry.lock, but for its digest of the project',
    client,
    poetryLock,
    /^content-hash.*$/m,
  );
});

describeClient('pdm', (client) => {
  itGoesBack('pdm.lock with addresses', client, pdmLock('--static-urls'), /^content_hash.*$/m);
});

describeClient('pipenv', (client) => {
  itGoesBack('Pipfile.lock, but for its digest', client, pipenvLock, /"hash": \{[^}]*\}/);
});
