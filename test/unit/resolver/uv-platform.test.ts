import { describe, expect, it } from 'vitest';
import { uvPlatform } from '../../../src/resolver/uv-platform.ts';

describe("uv's name of a platform", () => {
  it.each([
    ['manylinux_2_28_x86_64', 'x86_64-manylinux_2_28'],
    ['manylinux_2_30_aarch64', 'aarch64-manylinux_2_28'],
    ['manylinux_2_99_x86_64', 'x86_64-manylinux_2_40'],
    ['manylinux2014_x86_64', 'x86_64-manylinux_2_17'],
    ['linux_x86_64', 'x86_64-manylinux_2_17'],
    ['musllinux_1_2_x86_64', 'x86_64-unknown-linux-musl'],
    ['win_amd64', 'x86_64-pc-windows-msvc'],
    ['win32', 'i686-pc-windows-msvc'],
    ['aarch64-apple-darwin', 'aarch64-apple-darwin'],
  ])('%s is %s', (platform, name) => {
    expect(uvPlatform(platform)).toEqual({ name, macVersion: null });
  });

  it('has the version of macOS beside it', () => {
    expect(uvPlatform('macosx_12_3_arm64')).toEqual({
      name: 'aarch64-apple-darwin',
      macVersion: '12.3',
    });
  });

  it.each(['linux_s390x', 'manylinux_2_5_x86_64', 'manylinux1_x86_64', 'musllinux_1_2_ppc64le'])(
    'is not there for %s',
    (platform) => {
      expect(uvPlatform(platform)).toBeUndefined();
    },
  );
});
