import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import type { Projects } from './projects.ts';

/**
 * What lock files differ in: markers, extras (of the project and of what it needs), forks by platform and
 * by Python, files for several machines, and a project that is source only.
 */
export function lockProjects(): Projects {
  return {
    base: [
      writeWheel({
        name: 'base',
        version: '1.0',
        requires: [
          'leaf>=1',
          'only-windows; sys_platform == "win32"',
          'shim; python_version < "3.10"',
        ],
        extras: { socks: ['sock-et'], speed: ['fast-er'] },
      }),
      writeSdist({ name: 'base', version: '1.0', requires: ['leaf>=1'] }),
    ],
    leaf: [writeWheel({ name: 'leaf', version: '1.2' })],
    'only-windows': [
      writeWheel({ name: 'only_windows', version: '0.4', requires: ['deep-windows'] }),
    ],
    'deep-windows': [writeWheel({ name: 'deep_windows', version: '0.1' })],
    shim: [writeWheel({ name: 'shim', version: '3.0' })],
    'sock-et': [writeWheel({ name: 'sock_et', version: '1.7', requires: ['leaf'] })],
    'fast-er': [writeWheel({ name: 'fast_er', version: '2.1' })],
    native: ['manylinux_2_17_x86_64', 'macosx_11_0_arm64', 'win_amd64'].map((platform) =>
      writeWheel({ name: 'native', version: '5.0', tag: `py3-none-${platform}` }),
    ),
    // One version for Windows, another for everything else.
    forked: [
      writeWheel({ name: 'forked', version: '1.0', requires: ['fork-one'] }),
      writeWheel({ name: 'forked', version: '2.0', requires: ['fork-two'] }),
    ],
    'fork-one': [writeWheel({ name: 'fork_one', version: '1.0' })],
    'fork-two': [writeWheel({ name: 'fork_two', version: '1.0' })],
    // For two extras that exclude each other.
    twin: [
      writeWheel({ name: 'twin', version: '1.0' }),
      writeWheel({ name: 'twin', version: '2.0', requires: ['shim'] }),
    ],
    'source-only': [writeSdist({ name: 'source_only', version: '0.3' })],
    tester: [writeWheel({ name: 'tester', version: '8.0', requires: ['tester-core'] })],
    'tester-core': [writeWheel({ name: 'tester_core', version: '1.1' })],
    docs: [writeWheel({ name: 'docs', version: '4.0', requires: ['leaf'] })],
    local: [writeWheel({ name: 'local', version: '1.0+cpu' })],
  };
}

/** What a second index has. */
export function otherProjects(): Projects {
  return { 'other-only': [writeWheel({ name: 'other_only', version: '6.0' })] };
}
