import { describe, expect, it } from 'vitest';
import { markerEnvironment, parseInterpreter } from '../../../src/packaging/environment.ts';
import { isWanted } from '../../../src/packaging/markers.ts';
import { platformTags } from '../../../src/packaging/platforms.ts';
import { supportedTags, TagRanking } from '../../../src/packaging/tags.ts';

const PYTHON = parseInterpreter('3.12')!;

describe('an interpreter', () => {
  it.each([
    ['3.12', 'cp312', 'cp312', '3.12.0'],
    ['312', 'cp312', 'cp312', '3.12.0'],
    ['3.12.4', 'cp312', 'cp312', '3.12.4'],
    ['3.13t', 'cp313', 'cp313t', '3.13.0'],
    ['3.7', 'cp37', 'cp37m', '3.7.0'],
    ['pp3.10', 'pp310', 'pypy310_pp73', '3.10.0'],
  ])('%s has its tag, ABI and version', (text, tag, abi, fullVersion) => {
    expect(parseInterpreter(text)).toMatchObject({ tag, abi, fullVersion });
  });

  it.each(['', '3', 'x', '3.12.', 'pp3.10t', '3.123', 'cp'])('%j is none', (text) => {
    expect(parseInterpreter(text)).toBeUndefined();
  });
});

describe('an environment', () => {
  it.each([
    ['manylinux_2_28_aarch64', 'linux', 'Linux', 'aarch64'],
    ['manylinux2014_x86_64', 'linux', 'Linux', 'x86_64'],
    ['musllinux_1_2_x86_64', 'linux', 'Linux', 'x86_64'],
    ['macosx_14_0_arm64', 'darwin', 'Darwin', 'arm64'],
    ['win_amd64', 'win32', 'Windows', 'AMD64'],
  ])('of %s has its system and machine', (platform, sysPlatform, system, machine) => {
    expect(markerEnvironment(PYTHON, platform)).toMatchObject({
      sys_platform: sysPlatform,
      platform_system: system,
      platform_machine: machine,
      python_version: '3.12',
    });
  });
});

describe('a requirement', () => {
  const linux = markerEnvironment(PYTHON, 'manylinux_2_28_x86_64');

  it.each([
    ['', true],
    ['python_version >= "3.8"', true],
    ['python_version < "3.8" or sys_platform == "win32"', false],
    ['extra == "test"', false],
    ['(os_name == "posix" and (python_full_version >= "3.12"))', true],
    ['this cannot be read', true],
  ])('with the marker %j is wanted: %s', (marker, expected) => {
    expect(isWanted(marker, linux, [])).toBe(expected);
  });

  it('is wanted along with the extra it belongs to, however that is spelled', () => {
    expect(isWanted('extra == "My_Extra"', linux, ['my.extra'])).toBe(true);
  });

  it('with a hostile marker is decided in no time', () => {
    const startedAt = performance.now();
    isWanted('('.repeat(9_999), linux, []);
    isWanted(`${'(os_name=="x" and '.repeat(400)}os_name=="x"${')'.repeat(400)}`, linux, []);
    expect(performance.now() - startedAt).toBeLessThan(500);
  });
});

describe('the rank of a wheel', () => {
  it('is that of its best tag', () => {
    const ranking = new TagRanking(supportedTags(PYTHON, platformTags('manylinux_2_28_x86_64')));
    const own = ranking.rankOf({
      python: ['cp312'],
      abi: ['cp312'],
      platform: ['manylinux_2_17_x86_64'],
    });
    const stable = ranking.rankOf({
      python: ['cp39'],
      abi: ['abi3'],
      platform: ['manylinux_2_17_x86_64'],
    });
    const pure = ranking.rankOf({ python: ['py2', 'py3'], abi: ['none'], platform: ['any'] });
    expect(own! < stable! && stable! < pure!).toBe(true);
    expect(
      ranking.rankOf({ python: ['cp312'], abi: ['cp312'], platform: ['win_amd64'] }),
    ).toBeNull();
  });
});
