import { describe, expect, it } from 'vitest';
import { parseInstaller } from '../../../../src/packaging/installer.ts';
import type { Installer } from '../../../../src/packaging/installer.ts';
import type { ProjectName } from '../../../../src/packaging/names.ts';
import { newestFile } from '../../../../src/repository/ahead/newest-file.ts';
import type { DistributionFile, ProjectDetail } from '../../../../src/simple/model.ts';

/** CPython 3.11 on a Linux with glibc 2.36. */
const LINUX: Installer = parseInstaller(
  'pip/26.3 {"cpu":"x86_64","distro":{"libc":{"lib":"glibc","version":"2.36"}},"python":"3.11.7","system":{"name":"Linux"}}',
)!;
const ANY: Installer = { name: 'uv', wantsFiles: true, machine: null };

type Listed = string | ({ readonly filename: string } & Partial<DistributionFile>);

function pageOf(listed: readonly Listed[]): ProjectDetail {
  const files = listed.map((each): DistributionFile => {
    const { filename, ...more } = typeof each === 'string' ? { filename: each } : each;
    return {
      filename,
      url: `https://files.example/${filename}`,
      hashes: {},
      requiresPython: null,
      sizeBytes: null,
      uploadTime: null,
      coreMetadata: true,
      yanked: false,
      provenance: null,
      gpgSig: null,
      extra: {},
      ...more,
    };
  });
  return {
    name: 'demo' as ProjectName,
    status: 'active',
    statusReason: null,
    versions: null,
    files,
    lastSerial: null,
    extra: {},
  };
}

/** The choice, and in how many steps it was made. */
function choose(
  listed: readonly Listed[],
  { installer = LINUX, specifiers = [] as readonly string[] } = {},
): { filename: string | undefined; steps: number } {
  const work = newestFile(pageOf(listed), installer, new Set(specifiers));
  for (let steps = 1; ; steps++) {
    const { done, value } = work.next();
    if (done === true) return { filename: value?.filename, steps };
  }
}

const wheel = (version: string, tag = 'py3-none-any'): string => `demo-${version}-${tag}.whl`;

describe('the newest file', () => {
  it.each([
    [
      'the highest version, not the last',
      [wheel('1.9'), wheel('1.10'), wheel('1.2')],
      wheel('1.10'),
    ],
    ['a wheel, never an sdist', [wheel('1.0'), 'demo-2.0.tar.gz', 'demo-3.0.zip'], wheel('1.0')],
    ['of this project', [wheel('1.0'), 'demo_more-2.0-py3-none-any.whl'], wheel('1.0')],
    [
      'no pre-release',
      [wheel('1.0'), wheel('2.0rc1'), wheel('2.0.dev3'), wheel('3.0a1')],
      wheel('1.0'),
    ],
    ['a post-release', [wheel('1.0'), wheel('1.0.post1')], wheel('1.0.post1')],
    [
      'no wheel for another machine',
      [wheel('1.0'), wheel('2.0', 'cp311-cp311-win_amd64')],
      wheel('1.0'),
    ],
    [
      'no wheel for another Python',
      [wheel('1.0'), wheel('2.0', 'cp312-cp312-manylinux_2_17_x86_64')],
      wheel('1.0'),
    ],
    [
      'no file whose name cannot be read',
      [wheel('1.0'), 'demo-9.whl', 'demo.whl', '9.whl'],
      wheel('1.0'),
    ],
  ])('is %s', (_what, listed, expected) => {
    expect(choose(listed).filename).toBe(expected);
    expect(choose(listed.toReversed()).filename).toBe(expected);
  });

  it('is not yanked, for whatever reason', () => {
    for (const yanked of ['', 'broken'])
      expect(choose([wheel('1.0'), { filename: wheel('2.0'), yanked }]).filename).toBe(
        wheel('1.0'),
      );
  });

  it('is for the Python of the client', () => {
    const listed = [
      { filename: wheel('1.0'), requiresPython: '>=3.8' },
      { filename: wheel('2.0'), requiresPython: '>=3.12' },
      { filename: wheel('3.0'), requiresPython: '<3.11' },
    ];
    expect(choose(listed).filename).toBe(wheel('1.0'));
    expect(choose(listed, { installer: ANY }).filename).toBe(wheel('3.0'));
  });

  it('is the best of its version for the machine', () => {
    const listed = [
      wheel('1.0'),
      wheel('1.0', 'cp311-cp311-manylinux_2_17_x86_64'),
      wheel('1.0', 'cp38-abi3-manylinux_2_17_x86_64'),
      wheel('1.0', 'cp311-cp311-manylinux_2_28_x86_64'),
    ];
    const best = wheel('1.0', 'cp311-cp311-manylinux_2_28_x86_64');
    expect(choose(listed).filename).toBe(best);
    expect(choose(listed.toReversed()).filename).toBe(best);
  });

  it('fits all specifiers', () => {
    const listed = ['1.0', '1.5', '2.0', '3.0'].map((version) => wheel(version));
    const specifiers = ['<3', '', '!=2.0', '>=1.0,<9'];
    expect(choose(listed, { specifiers }).filename).toBe(wheel('1.5'));
    expect(choose(listed, { specifiers: ['<2', '>2'] }).filename).toBeUndefined();
  });

  it('is any wheel of the newest version when the client names no machine', () => {
    const listed = [wheel('1.0'), wheel('2.0', 'cp39-cp39-win_amd64')];
    expect(choose(listed, { installer: ANY }).filename).toBe(wheel('2.0', 'cp39-cp39-win_amd64'));
  });

  it('is none of an empty page, nor of one without a wheel that fits', () => {
    expect(choose([]).filename).toBeUndefined();
    expect(choose(['demo-1.0.tar.gz', wheel('1.0', 'cp27-cp27m-win32')]).filename).toBeUndefined();
  });
});

describe('of 3,000 files', () => {
  const older = Array.from({ length: 2_999 }, (_, at) => wheel(`1.${at}`, 'cp39-cp39-win32'));

  it.each([
    ['first', 0, true],
    ['last', 2_999, true],
    ['at the edge of the first 400', 399, true],
    ['beyond it', 400, false],
    ['in the middle', 1_500, false],
    ['before the last 400', 2_599, false],
    ['at their edge', 2_600, true],
  ])('the newest is found when it is %s: both ends are looked at', (_where, at, isFound) => {
    const listed = older.toSpliced(at, 0, wheel('2.0'));
    const { filename, steps } = choose(listed);
    expect(filename).toBe(isFound ? wheel('2.0') : undefined);
    // In slices, so that nobody waits for it.
    expect(steps).toBeGreaterThan(10);
  });

  it('each is looked at once where a page has 800', () => {
    const listed = older.slice(0, 799).toSpliced(400, 0, wheel('2.0'));
    expect(choose(listed).filename).toBe(wheel('2.0'));
  });
});
