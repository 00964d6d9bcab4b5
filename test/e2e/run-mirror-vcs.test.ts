import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { publishRepository, serveRepositories } from '../support/git-server.ts';
import { BUILD_FLAGS, mirrorStage } from '../support/mirror-run.ts';
import type { MirrorStage } from '../support/mirror-run.ts';
import { installedIn, makeVirtualEnvironment } from '../support/python-clients.ts';
import type { CommandResult } from '../support/run-command.ts';
import { sourceProject } from '../support/source-project.ts';
import { INSTALLERS, wordsOf } from './stage.ts';

interface Report {
  readonly branches: readonly {
    readonly outcome: string;
    readonly reason: string | null;
    readonly pins: readonly { name: string; version: string }[];
    readonly leftOut: readonly { line: string }[];
    readonly built: readonly string[];
  }[];
  readonly problems: readonly string[];
}

function reportOf(result: CommandResult): Report {
  const [report] = (JSON.parse(result.stdout) as { mirrors: Report[] }).mirrors;
  if (report === undefined) throw new Error(wordsOf(result));
  return report;
}

function filesOf(root: string, project: string): string[] {
  const page = JSON.parse(readFileSync(join(root, project, 'index.json'), 'utf8')) as {
    files: { filename: string }[];
  };
  return page.files.map(({ filename }) => filename);
}

/** A repository with a project that needs `beta`, and the URL that git has it under. */
async function dependency(
  stage: MirrorStage,
  atStart = '',
): Promise<{ url: string; commit: string }> {
  const repository = await stage.repository('dep');
  await repository.commit(
    'main',
    sourceProject({ name: 'dep', version: '1.2', requires: ['beta<1.5'], atStart }),
  );
  const commit = await publishRepository(repository.folder);
  const origin = await serveRepositories(join(stage.folder, 'git'));
  return { url: `${origin}/dep/.git`, commit };
}

describe('commits that requirement lines name', () => {
  it('become sdists and wheels of their commit that pip and uv install from the index, with what they need', async () => {
    const stage = await mirrorStage();
    const { url, commit } = await dependency(stage);
    const project = await stage.repository('api');
    await project.commit('main', {
      'requirements.txt': `delta\ndep @ git+${url}@main\n`,
      'test-requirements.txt': `-e git+${url}#egg=dep\nhttps://example.org/x-1.0.tar.gz\n`,
    });
    const mirrors = await stage.writeMirrors(`
  - { name: a, projects: [git/api], output: web/a, vcs: build, keep: listed, lock: pylock.toml }`);
    const result = await stage.run(mirrors, '--json', ...BUILD_FLAGS);
    const { branches, problems } = reportOf(result);
    const version = `1.2+g${commit.slice(0, 12)}`;
    const names = [`dep-${version}-py3-none-any.whl`, `dep-${version}.tar.gz`];
    expect([problems, branches[0]?.reason], wordsOf(result)).toEqual([[], null]);
    expect(branches[0]?.built.toSorted()).toEqual(names);
    expect(branches[0]?.leftOut).toMatchObject([{ line: 'https://example.org/x-1.0.tar.gz' }]);
    expect(branches[0]?.pins.map((pin) => `${pin.name}==${pin.version}`)).toEqual([
      'beta==1.0',
      'delta==4.0',
      `dep==${version}`,
    ]);
    const root = join(stage.folder, 'web/a');
    expect(filesOf(root, 'dep')).toEqual(names);
    const indexUrl = pathToFileURL(root).href;
    for (const [kind, { install }] of [
      ['--only-binary', INSTALLERS[0]!],
      ['--only-binary', INSTALLERS[1]!],
      ['--no-binary', INSTALLERS[0]!],
      ['--no-binary', INSTALLERS[1]!],
    ] as const) {
      const name = `venv-${readdirSync(stage.folder).length}`;
      const { python } = await makeVirtualEnvironment(join(stage.folder, name));
      const args = [kind, 'dep', `dep==${version}`];
      const installed = await install({ python, indexUrl, args });
      expect(installed.code, wordsOf(installed)).toBe(0);
      expect(await installedIn(python)).toEqual(['beta==1.0', `dep==${version}`]);
    }
    // The same commit is built once, and found without its server.
    const again = reportOf(await stage.run(mirrors, '--json', '--offline', ...BUILD_FLAGS));
    expect([again.problems, again.branches[0]?.built]).toEqual([[], []]);
    expect(filesOf(root, 'dep')).toEqual(names);
  });

  it('are built by pip where there is no uv, from a tag and a folder of the repository', async () => {
    const stage = await mirrorStage();
    const mono = await stage.repository('mono');
    await mono.commit('main', sourceProject({ name: 'part', version: '0.9' }, 'libs/part/'));
    const commit = await publishRepository(mono.folder);
    await mono.commit('main', { README: 'gone' });
    const line = `part @ git+${pathToFileURL(mono.folder).href}@${commit}#subdirectory=libs/part`;
    const mirrors = await stage.writeMirrors(`
  - { name: a, packages: ["${line}"], output: web/a, vcs: build }`);
    const PATH = stage.env['PATH']?.split(delimiter).slice(1).join(delimiter) ?? '';
    // The pip of another user may be out of nobody's reach.
    const flags = process.getuid?.() === 0 ? ['--allow-root-builds'] : [];
    const result = await stage.runWith({ PATH }, mirrors, '--json', ...flags);
    const { problems, branches } = reportOf(result);
    expect([problems, branches[0]?.reason], wordsOf(result)).toEqual([[], null]);
    expect(filesOf(join(stage.folder, 'web/a'), 'part')).toContain(
      `part-0.9+g${commit.slice(0, 12)}.tar.gz`,
    );
  });

  it('are left out and named when they fail, while the rest of the branch goes on', async () => {
    const stage = await mirrorStage();
    const { url } = await dependency(stage, 'raise SystemExit("a broken build")');
    await writeFile(join(stage.folder, 'secret'), '');
    const local = await stage.repository('local');
    await local.commit('main', sourceProject({ name: 'local', version: '1.0' }));
    const lines = [
      `git+${url}`,
      `other @ git+${url}@no-such-branch`,
      `local @ git+${pathToFileURL(local.folder).href}`,
      `up @ git+${url}#subdirectory=../..`,
      'delta',
    ];
    const project = await stage.repository('api');
    await project.commit('main', { 'requirements.txt': lines.join('\n') });
    const mirrors = await stage.writeMirrors(`
  - { name: a, projects: [git/api], output: web/a, vcs: build }`);
    const result = await stage.run(mirrors, '--json', '--strict', ...BUILD_FLAGS);
    expect(result.code).toBe(1);
    const { branches, problems } = reportOf(result);
    expect(branches[0]).toMatchObject({ outcome: 'mirrored', pins: [{ name: 'delta' }] });
    expect(branches[0]?.leftOut.map(({ line }) => line)).toEqual(lines.slice(0, -1));
    expect(problems, wordsOf(result)).toMatchObject([
      expect.stringContaining('a broken build'),
      expect.stringContaining('no-such-branch'),
      expect.stringContaining('may not lead to folders of this machine'),
    ]);
    expect(existsSync(join(stage.folder, 'web/a/dep'))).toBe(false);
  });

  it.runIf(process.getuid?.() === 0)(
    'are not even cloned by root without --build-user',
    async () => {
      const stage = await mirrorStage();
      const { url } = await dependency(stage);
      const mirrors = await stage.writeMirrors(`
  - { name: a, packages: [delta, "dep @ git+${url}"], output: web/a, vcs: build }`);
      const result = await stage.run(mirrors, '--json');
      expect(reportOf(result).problems).toEqual([
        expect.stringContaining('Building as root is refused'),
      ]);
      expect(existsSync(join(stage.folder, 'download/vcs'))).toBe(false);
      expect(filesOf(join(stage.folder, 'web/a'), 'delta')).toHaveLength(1);
    },
  );
});
