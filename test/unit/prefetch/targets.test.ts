import { describe, expect, it } from 'vitest';
import { parsePlatforms, parsePythons, targetsOf } from '../../../src/prefetch/targets.ts';

describe('a matrix', () => {
  it('takes lists, repeats and ranges of Pythons, each once', () => {
    expect(parsePythons(['3.9..3.11', '3.11, 3.13t', 'pp3.10'])).toEqual([
      '3.9',
      '3.10',
      '3.11',
      '3.13t',
      'pp3.10',
    ]);
  });

  it.each(['three', '3.11..3.9', '2.7..3.9', '3.9..'])('refuses %s as a Python', (text) => {
    expect(() => parsePythons([text])).toThrow(text);
  });

  it('takes platform tags in either spelling', () => {
    expect(parsePlatforms(['manylinux_2_28_x86_64,win-amd64', 'macosx_11_0_arm64'])).toEqual([
      'manylinux_2_28_x86_64',
      'win_amd64',
      'macosx_11_0_arm64',
    ]);
  });

  it.each(['linux', 'any', 'x86_64', 'manylinux_2_x86'])('refuses %s as a platform', (text) => {
    expect(() => parsePlatforms([text])).toThrow('--platform');
  });

  it('is every Python on every platform', () => {
    const targets = targetsOf(['3.11', '3.12'], ['win_amd64', 'macosx_11_0_arm64']);
    expect(targets.map(({ python, environment }) => [python, environment.sys_platform])).toEqual([
      ['3.11', 'win32'],
      ['3.11', 'darwin'],
      ['3.12', 'win32'],
      ['3.12', 'darwin'],
    ]);
  });
});
