import { describe, expect, it } from 'vitest';
import { parseVcsRequirement } from '../../../src/mirror/vcs-requirement.ts';

describe('lines with git URLs', () => {
  it.each([
    [
      'Dep.Two[a,b] @ git+https://git.example.org/x/dep.git@v1.0#subdirectory=libs/dep ; python_version < "4"',
      [
        'dep-two',
        '[a,b]',
        'python_version < "4"',
        'https://git.example.org/x/dep.git',
        'v1.0',
        'libs/dep',
      ],
    ],
    [
      '-e git+ssh://git@git.example.org/x/dep.git#egg=dep[a]&subdirectory=/sub/',
      ['dep', '[a]', '', 'ssh://git@git.example.org/x/dep.git', null, 'sub'],
    ],
    [
      '--editable=git+https://user:secret@git.example.org/dep@feature/x%23y',
      [null, '', '', 'https://user:secret@git.example.org/dep', 'feature/x#y', ''],
    ],
    ['git+file:///srv/git/dep', [null, '', '', 'file:///srv/git/dep', null, '']],
  ])('are understood: %s', (line, [name, extras, marker, url, ref, subdirectory]) => {
    expect(parseVcsRequirement(line)).toEqual({ name, extras, marker, url, ref, subdirectory });
  });

  it.each([
    'dep @ https://example.org/dep-1.0.tar.gz',
    'dep>=1',
    'dep @ git+ext::sh -c whoami',
    'dep @ git+https://example.org/dep@--upload-pack=sh',
    'dep @ git+https://example.org/dep#subdirectory=a/../../b',
    'dep @ hg+https://example.org/dep',
    '-e git+https://example.org/dep@#egg=dep',
    '-x @ git+https://example.org/dep',
  ])('are not these: %s', (line) => {
    expect(parseVcsRequirement(line)).toBe(undefined);
  });
});
