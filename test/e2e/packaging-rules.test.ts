import { describe, expect, it } from 'vitest';
import { judgeFiles } from '../../src/packaging/candidates.ts';
import type { CandidateFile } from '../../src/packaging/candidates.ts';
import { markerEnvironment, parseInterpreter } from '../../src/packaging/environment.ts';
import type { Interpreter } from '../../src/packaging/environment.ts';
import { evaluateMarker, parseMarker } from '../../src/packaging/markers.ts';
import type { ProjectName } from '../../src/packaging/names.ts';
import { platformTags } from '../../src/packaging/platforms.ts';
import { supportedTags, TagRanking } from '../../src/packaging/tags.ts';
import { askPackaging, Dice } from '../support/packaging-oracle.ts';

const PROJECT = 'demo' as ProjectName;
const PYTHONS = ['2.7', '3.5', '3.7', '3.9', '3.11.4', '3.12', '3.13t', '3.14', 'pp3.10'];
const PLATFORMS = [
  'manylinux_2_17_x86_64',
  'manylinux_2_28_aarch64',
  'manylinux_2_39_x86_64',
  'musllinux_1_2_x86_64',
  'macosx_10_15_x86_64',
  'macosx_14_0_arm64',
  'win_amd64',
];

describe('the platform tags of a machine', () => {
  it('are those of packaging, in its order', async () => {
    const machines = [
      ...['x86_64', 'i686', 'aarch64', 'armv7l', 'ppc64le', 's390x', 'riscv64'].flatMap((arch) =>
        [5, 12, 16, 17, 28, 35, 41].map((minor) => ({
          platform: `manylinux_2_${minor}_${arch}`,
          kind: 'glibc',
          version: [2, minor],
          arch,
        })),
      ),
      ...['x86_64', 'aarch64'].flatMap((arch) =>
        [0, 1, 2, 5].map((minor) => ({
          platform: `musllinux_1_${minor}_${arch}`,
          kind: 'musl',
          version: [1, minor],
          arch,
        })),
      ),
      ...['x86_64', 'arm64', 'i386', 'ppc', 'ppc64', 'intel', 'universal2'].flatMap((arch) =>
        [
          [10, 3],
          [10, 5],
          [10, 9],
          [10, 16],
          [11, 0],
          [12, 3],
          [15, 0],
        ].map((version) => ({
          platform: `macosx_${version.join('_')}_${arch}`,
          kind: 'mac',
          version,
          arch,
        })),
      ),
      ...['win_amd64', 'win32', 'win_arm64', 'linux_x86_64'].map((platform) => ({
        platform,
        kind: 'other',
        version: [],
        arch: platform,
      })),
    ];
    const answers = await askPackaging(machines.map((each) => ({ ask: 'platforms', ...each })));
    expect(machines).toHaveLength(110);
    for (const [at, { platform }] of machines.entries())
      expect(platformTags(platform), platform).toEqual(answers[at]);
  });

  it('of the old names are those of their C library', () => {
    expect(platformTags('manylinux2014_x86_64')).toEqual(platformTags('manylinux_2_17_x86_64'));
    expect(platformTags('manylinux1_i686')).toEqual(platformTags('manylinux_2_5_i686'));
  });
});

describe('the tags of an interpreter', () => {
  it('are those of packaging, in its order', async () => {
    const pairs = PYTHONS.flatMap((python) => PLATFORMS.map((platform) => ({ python, platform })));
    const cases = pairs.map(({ python, platform }) => ({
      ask: 'tags',
      ...tagCase(python, platform),
    }));
    const answers = await askPackaging(cases);
    for (const [at, { python, platform }] of pairs.entries()) {
      const tags = supportedTags(interpreterOf(python), platformTags(platform));
      expect(tags, `${python} ${platform}`).toEqual(answers[at]);
    }
  });
});

describe('a marker', () => {
  it('is read and decided as packaging does, in 4,000 generated cases', async () => {
    const dice = new Dice(20_261_121);
    const cases = Array.from({ length: 4_000 }, () => {
      const python = dice.pick(PYTHONS.filter((each) => each !== '2.7'));
      const environment = markerEnvironment(interpreterOf(python), dice.pick(PLATFORMS));
      const extra = dice.pick(['', '', 'test', 'my-extra']);
      return { ask: 'marker', marker: randomMarker(dice, 0), environment, extra };
    });
    const answers = await askPackaging(cases);
    const wrong = cases.flatMap(({ marker, environment, extra }, at) => {
      const parsed = parseMarker(marker);
      const own =
        parsed === undefined
          ? 'invalid'
          : (evaluateMarker(parsed, { environment, extra }) ?? 'undefined');
      return own === answers[at] ? [] : [{ marker, environment, extra, own, theirs: answers[at] }];
    });
    expect(wrong).toEqual([]);
    const kinds = new Set(answers);
    expect(kinds).toEqual(new Set([true, false, 'invalid', 'undefined']));
  });
});

describe('the choice of a file', () => {
  it('is that of pip, on 1,500 generated pages', async () => {
    const dice = new Dice(42);
    const cases = Array.from({ length: 1_500 }, () => {
      const python = dice.pick(PYTHONS);
      const platform = dice.pick(PLATFORMS);
      const files = randomPage(dice);
      const specifier = dice.pick(SPECIFIERS);
      return { python, platform, files, specifier };
    });
    const answers = await askPackaging(
      cases.map(({ python, platform, files, specifier }) => ({
        ask: 'choice',
        project: PROJECT,
        python: interpreterOf(python).fullVersion.split('.').map(Number),
        tags: tagCase(python, platform),
        files,
        specifier,
      })),
    );
    const wrong = cases.flatMap(({ python, platform, files, specifier }, at) => {
      const interpreter = interpreterOf(python);
      const ranking = new TagRanking(supportedTags(interpreter, platformTags(platform)));
      const verdicts = judgeFiles(files, { project: PROJECT, specifier, interpreter, ranking });
      const own = verdicts.find(({ rejection }) => rejection === null)?.file.filename ?? null;
      return own === answers[at] ? [] : [{ python, platform, specifier, own, theirs: answers[at] }];
    });
    expect(wrong).toEqual([]);
    expect(answers.filter((answer) => answer !== null).length).toBeGreaterThan(700);
  });
});

function interpreterOf(text: string): Interpreter {
  return parseInterpreter(text)!;
}

function tagCase(python: string, platform: string): object {
  const { major, minor, tag, abi } = interpreterOf(python);
  return { version: [major, minor], interpreter: tag, abi, platforms: platformTags(platform) };
}

const VARIABLES = [
  'python_version',
  'python_full_version',
  'implementation_version',
  'os_name',
  'sys_platform',
  'sys.platform',
  'platform_machine',
  'platform_system',
  'platform_release',
  'platform_python_implementation',
  'python_implementation',
  'implementation_name',
  'extra',
];
const VALUES = [
  '3.8',
  '3.11',
  '3.12.0',
  '3',
  '3.*',
  '3.13.*',
  '2.7',
  '3.12rc1',
  'linux',
  'win32',
  'darwin',
  'posix',
  'x86_64',
  'AMD64',
  'Linux',
  'CPython',
  'pypy',
  'test',
  'My_Extra',
  '',
  'abc',
  '3.8,3.12',
  'linux darwin',
];
const OPERATORS = ['==', '!=', '<', '<=', '>', '>=', '~=', '===', 'in', 'not in'];

function randomMarker(dice: Dice, depth: number): string {
  if (dice.chance(0.02)) return dice.pick(['', '(', 'os_name ==', 'foo == "x"', 'os_name = "x"']);
  if (depth < 3 && dice.chance(0.4)) {
    const [left, right] = [randomMarker(dice, depth + 1), randomMarker(dice, depth + 1)];
    const joined = `${left} ${dice.pick(['and', 'or'])} ${right}`;
    return dice.chance(0.5) ? `(${joined})` : joined;
  }
  const quote = dice.pick(["'", '"']);
  const variable = dice.pick(VARIABLES);
  const text = `${quote}${dice.pick(VALUES)}${quote}`;
  const space = dice.pick([' ', ' ', '  ']);
  const [left, right] = dice.chance(0.75) ? [variable, text] : [text, variable];
  return `${left}${space}${dice.pick(OPERATORS)}${space}${right}`;
}

const SPECIFIERS = [
  '',
  '',
  '',
  '>=1.1',
  '<2',
  '==1.2',
  '==1.2.*',
  '===1.2',
  '~=1.1',
  '!=2.0',
  '>=2.0rc1',
  '==2.0rc1',
  '>3',
  '>=1,<2,!=1.2',
];
const VERSIONS = ['1.0', '1.1', '1.2', '1.2.post1', '1.10', '2.0rc1', '2.0', '2.1.dev1', '1.0+cpu'];
const WHEEL_TAGS = [
  'py3-none-any',
  'py2.py3-none-any',
  'cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64',
  'cp311-cp311-manylinux_2_28_x86_64',
  'cp39-abi3-manylinux_2_17_x86_64',
  'cp38-abi3-musllinux_1_1_x86_64',
  'cp313-cp313t-manylinux_2_28_aarch64',
  'cp312-cp312-macosx_11_0_arm64',
  'cp37-cp37m-macosx_10_9_x86_64',
  'cp39-abi3-macosx_10_12_universal2',
  'cp311-cp311-win_amd64',
  'py3-none-win_amd64',
  'pp310-pypy310_pp73-manylinux_2_17_x86_64',
  'cp27-cp27mu-manylinux1_x86_64',
];

function randomPage(dice: Dice): CandidateFile[] {
  const files = new Map<string, CandidateFile>();
  for (let count = 0; count < 12; count++) {
    const version = dice.pick(VERSIONS);
    const build = dice.chance(0.15) ? `-${dice.pick(['1', '2', '10', '1a'])}` : '';
    const filename = dice.pick([
      `demo-${version}${build}-${dice.pick(WHEEL_TAGS)}.whl`,
      `demo-${version}${build}-${dice.pick(WHEEL_TAGS)}.whl`,
      `demo-${version}.${dice.pick(['tar.gz', 'zip'])}`,
      dice.pick([`demo-${version}.exe`, 'other-1.0.tar.gz', `demo-${version}-py3.9.egg`]),
    ]);
    const requiresPython = dice.pick([null, null, '>=3.8', '>=3.12', '<3.12', '!=3.11.*', 'junk']);
    const yanked = dice.chance(0.2) ? dice.pick(['', 'broken']) : false;
    files.set(filename, { filename, requiresPython, yanked });
  }
  return [...files.values()];
}
