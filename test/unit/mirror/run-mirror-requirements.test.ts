import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { distributionRelease } from '../../../src/mirror/distribution-release.ts';
import { readRequirementFiles, requirementFilesOf } from '../../../src/mirror/requirement-set.ts';
import { folderNames, isWantedBranch } from '../../../src/mirror/work-tree.ts';
import { makeTempFolder } from '../../support/temp-folder.ts';

async function workTree(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await makeTempFolder('wheelcellar-requirements-');
  onTestFinished(() => folder.remove());
  const root = join(folder.path, 'tree');
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
  return root;
}

describe('requirement files of a work tree', () => {
  it('takes global-requirements.txt alone, else the usual files together, else the named ones', async () => {
    const usual = { 'requirements.txt': 'a', 'tools/test-requires': 'b', 'other.txt': 'c' };
    const tree = await workTree(usual);
    expect(await requirementFilesOf(tree, [])).toEqual(['requirements.txt', 'tools/test-requires']);
    expect(await requirementFilesOf(tree, ['other.txt'])).toEqual(['other.txt']);
    const withGlobal = await workTree({ ...usual, 'global-requirements.txt': 'd' });
    expect(await requirementFilesOf(withGlobal, [])).toEqual(['global-requirements.txt']);
    expect(await requirementFilesOf(await workTree({ README: '' }), [])).toEqual([]);
  });

  it('refuses a named file that is not there', async () => {
    const tree = await workTree({ 'requirements.txt': 'a' });
    await expect(requirementFilesOf(tree, ['requirements.txt', 'x.txt'])).rejects.toThrow(
      'There is no x.txt in the work tree.',
    );
  });

  it('reads several files, their includes and constraints as one set', async () => {
    const tree = await workTree({
      'requirements.txt':
        'six==1.16.0  # old\r\n\n-r more/extra.txt\n-c limits.txt\nflask \\\n  >=3\n',
      'more/extra.txt': 'docopt\n-r ../requirements.txt\n--pre\n',
      'limits.txt': 'docopt<1\n',
    });
    expect(await readRequirementFiles(tree, ['requirements.txt'])).toEqual({
      lines: ['six==1.16.0', 'docopt', '--pre', 'flask   >=3'],
      constraints: ['docopt<1'],
      leftOut: [],
      vcs: [],
    });
  });

  it('leaves out and lists what lies elsewhere or leads to another index', async () => {
    const tree = await workTree({
      'requirements.txt': [
        'https://example.org/a-1.0.tar.gz',
        '-e git+https://example.org/b#egg=b',
        'c @ git+ssh://git@example.org/c',
        '-e .',
        './local',
        '--index-url http://elsewhere/simple/',
        '--extra-index-url=ftp://elsewhere/',
        '--find-links /srv/wheels',
        '-c limits.txt',
        'six',
      ].join('\n'),
      'limits.txt': 'd @ git+https://example.org/d\n',
    });
    const set = await readRequirementFiles(tree, ['requirements.txt']);
    expect(set.lines).toEqual(['six']);
    expect(set.leftOut.map(({ kind }) => kind)).toEqual([
      'url',
      'url',
      'url',
      'path',
      'path',
      'url',
      'option',
      'option',
      'url',
    ]);
    // A constraint asks for nothing.
    expect(set.vcs).toEqual(set.leftOut.slice(1, 3));
  });

  it('lets no repository read files of this machine', async () => {
    const tree = await workTree({ 'requirements.txt': '-r ../secret.txt' });
    await writeFile(join(dirname(tree), 'secret.txt'), 'secret');
    await expect(readRequirementFiles(tree, ['requirements.txt'])).rejects.toThrow(
      /lies outside .* and is not read/,
    );
    await symlink('../secret.txt', join(tree, 'link.txt'));
    await expect(readRequirementFiles(tree, ['link.txt'])).rejects.toThrow(/lies outside/);
  });
});

describe('names of a run', () => {
  it('spells the distribution as lsb_release does', () => {
    expect(distributionRelease('ID=ubuntu\nVERSION_ID="24.04"\n')).toBe('Ubuntu-24.04');
    expect(distributionRelease('VERSION_ID="12"\nID=debian\n')).toBe('Debian-12');
    expect(distributionRelease('ID="rhel"\nVERSION_ID="9.4"\n')).toBe('RedHatEnterprise-9.4');
    expect(distributionRelease('ID=arch\n')).toBe('Arch-rolling');
    expect(distributionRelease('ID=../x\n')).toBeUndefined();
    expect(distributionRelease('')).toBeUndefined();
  });

  it('gives each project a work tree of its own', () => {
    const urls = [
      'https://a.example/x.git',
      'https://b.example/x',
      'git@c.example:y/z.git',
      '/srv/..',
    ];
    const names = [...folderNames(urls).values()];
    expect(names[0]).toBe('x');
    expect(names[1]).toMatch(/^x-[0-9a-f]{8}$/);
    expect(names[2]).toBe('z');
    expect(names[3]).toBe('project');
  });

  it('knows which branches a pattern means', () => {
    expect(isWantedBranch('origin/main', [])).toBe(true);
    expect(isWantedBranch('origin/stable/1.0', ['origin/main', 'origin/stable/*'])).toBe(true);
    expect(isWantedBranch('origin/stable/1.0', ['stable/?.0'])).toBe(true);
    expect(isWantedBranch('origin/feature', ['remotes/origin/main', 'stable/*'])).toBe(false);
    expect(isWantedBranch('origin/maint', ['main'])).toBe(false);
  });
});
