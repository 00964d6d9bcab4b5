import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../src/core/errors.ts';
import { lockFormatOf, readLockFile } from '../../src/packaging/lock/lock-file.ts';
import type { LockedPackage } from '../../src/packaging/lock/lock-file.ts';
import { environmentOf, pinsOf, readSample, sample } from './lock-formats.ts';

const WINDOWS = environmentOf('3.9', 'win_amd64');

function packageIn(path: string, name: string): LockedPackage | undefined {
  const { packages } = readSample(path).packagesFor(environmentOf(), { groups: 'all' });
  return packages.find((each) => each.name === name);
}

describe('the format of a lock file', () => {
  it('is known by its name, whatever folder it lies in', () => {
    const names = ['pylock.toml', 'a/pylock.dev.toml', 'uv.lock', 'tool.py.lock', 'poetry.lock'];
    const more = ['pdm.lock', 'pdm.static.lock', 'b\\Pipfile.lock'];
    expect([...names, ...more].map(lockFormatOf)).toEqual([
      'pylock',
      'pylock',
      'uv',
      'uv',
      'poetry',
      'pdm',
      'pdm',
      'pipfile',
    ]);
    expect(['pylock.a.b.toml', 'requirements.txt', 'lock'].map(lockFormatOf)).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(() => readLockFile('some.lock', '')).toThrow(ConfigurationError);
  });

  it.each([
    ['pylock.toml', 'lock-version = "2.0"'],
    ['pylock.toml', 'created-by = "x"'],
    ['uv.lock', 'version = 2'],
    ['poetry.lock', '[metadata]\nlock-version = "3.0"'],
    ['pdm.lock', '[metadata]\nlock_version = "5.0"'],
    ['Pipfile.lock', '{"_meta": {"pipfile-spec": 7}}'],
  ])('of an unknown version is refused: %s %j', (name, text) => {
    expect(() => readLockFile(name, text)).toThrow(/unknown format version/);
  });

  it.each([
    ['uv.lock', 'version = 1\nname = "unclosed\n', 'uv.lock:2 cannot be read as TOML'],
    ['Pipfile.lock', '{', 'Pipfile.lock cannot be read as JSON'],
    ['Pipfile.lock', '[]', 'Pipfile.lock is no JSON object'],
    ['uv.lock', 'version = 1\n[[package]]\nname = "-"', 'a package without a valid name: "-"'],
  ])('that cannot be read is refused with its place: %s %j', (name, text, words) => {
    expect(() => readLockFile(name, text)).toThrow(words);
  });
});

describe('uv.lock', () => {
  const lock = readSample('uv/uv.lock');
  const always = [
    'base[socks]==1.0',
    'docs==4.0 (url)',
    'fast-er==2.1',
    'fork-two==1.0',
    'forked==2.0',
    'gitty==0.9 (vcs)',
    'helper==0.9 (path)',
    'leaf==1.2',
    'local==1.0+cpu',
    'native==5.0',
    'other-only==6.0',
    'sock-et==1.7',
    'source-only==0.3',
  ];
  const development = ['shim==3.0', 'tester==8.0', 'tester-core==1.1'];

  it('gives what the project asks for, and its dev group unasked', () => {
    expect(pinsOf(lock)).toEqual([...always, ...development].toSorted());
    expect(pinsOf(lock, { groups: [] })).toEqual(always);
    expect(pinsOf(lock, { groups: ['lint'] })).toEqual([...always, 'shim==3.0'].toSorted());
  });

  it('takes the default groups from the project file where it names some', () => {
    const project = '[tool.uv]\ndefault-groups = ["lint"]\n';
    const told = readLockFile('uv.lock', sample('uv/uv.lock'), project);
    expect(pinsOf(told)).toEqual([...always, 'shim==3.0'].toSorted());
    const all = readLockFile('uv.lock', sample('uv/uv.lock'), '[tool.uv]\ndefault-groups = "all"');
    expect(pinsOf(all)).toEqual([...always, ...development].toSorted());
  });

  it('goes the forks of the platform and of the Python', () => {
    const pins = pinsOf(lock, { groups: [] }, WINDOWS);
    expect(pins).toContain('forked==1.0');
    expect(pins).toContain('fork-one==1.0');
    expect(pins).toContain('deep-windows==0.1');
    expect(pins).toContain('shim==3.0');
    expect(pins.filter((pin) => /^(?:fork-two|source-only|forked==2)/.test(pin))).toEqual([]);
  });

  it('follows extras that exclude each other', () => {
    expect(pinsOf(lock, { groups: [], extras: ['old'] })).toContain('twin==1.0');
    const fresh = pinsOf(lock, { groups: [], extras: ['New'] });
    expect(fresh).toContain('twin==2.0');
    expect(fresh).toContain('shim==3.0');
    const both = lock.packagesFor(environmentOf(), { extras: 'all' });
    expect(both.problems).toEqual(['twin is locked twice here: 1.0 and 2.0.']);
  });

  it('has files with address, digest and size, and the index of each package', () => {
    const native = packageIn('uv/uv.lock', 'native');
    expect(native?.files.map(({ filename }) => filename)).toEqual([
      'native-5.0-py3-none-macosx_11_0_arm64.whl',
      'native-5.0-py3-none-manylinux_2_17_x86_64.whl',
      'native-5.0-py3-none-win_amd64.whl',
    ]);
    expect(native?.files[1]).toMatchObject({
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:18765\/packages\/90\/b1\/.*manylinux/),
      sha256: '8d23775de1e085555db34c2ad10d6d8cf5f0b136e1c93a571205453a6bd5dc77',
      sizeBytes: 1012,
    });
    expect(native?.index).toBe('http://127.0.0.1:18765/simple/');
    expect(packageIn('uv/uv.lock', 'other-only')?.index).toBe('http://127.0.0.1:18766/simple/');
    expect(packageIn('uv/uv.lock', 'local')?.files[0]?.filename).toBe(
      'local-1.0+cpu-py3-none-any.whl',
    );
    expect(packageIn('uv/uv.lock', 'source-only')?.files[0]?.filename).toBe(
      'source_only-0.3.tar.gz',
    );
  });

  it('says where from what lies on no index', () => {
    expect(packageIn('uv/uv.lock', 'docs')?.files[0]?.url).toMatch(/docs-4\.0-py3-none-any\.whl$/);
    expect(packageIn('uv/uv.lock', 'gitty')?.location).toMatch(
      /^git\+file:\/\/\/srv\/git\/gitty#[0-9a-f]{40}$/,
    );
    expect(packageIn('uv/uv.lock', 'helper')?.location).toBe('helper');
  });

  it('says so when it is not for this Python or this platform', () => {
    const { problems } = lock.packagesFor(environmentOf('3.8'));
    expect(problems).toEqual(['The lock is for Python >=3.9, <4, not for 3.8.0.']);
    const text = 'version = 1\nsupported-markers = ["sys_platform == \'darwin\'"]\n';
    const other = readLockFile('uv.lock', text).packagesFor(environmentOf());
    expect(other.problems).toEqual([
      'The lock is not for this environment (its `supported-markers`).',
    ]);
  });

  it('refuses a group or an extra that it does not have', () => {
    expect(() => pinsOf(lock, { groups: ['nope'] })).toThrow('The lock has no group "nope".');
    expect(() => pinsOf(lock, { extras: ['nope'] })).toThrow('The lock has no extra "nope".');
  });

  it('knows in markers which extras exclude which, those met on the way included', () => {
    const source = 'source = { registry = "x" }';
    const text = [
      'version = 1',
      '[[package]]\nname = "app"\nversion = "1"\nsource = { virtual = "." }',
      'dependencies = [{ name = "a", extra = ["deep"] }]',
      '[package.optional-dependencies]\ncpu = [{ name = "b" }]\ngpu = [{ name = "b" }]',
      `[[package]]\nname = "a"\nversion = "1"\n${source}\n[package.optional-dependencies]\ndeep = [{ name = "c" }]`,
      `[[package]]\nname = "b"\nversion = "1"\n${source}\ndependencies = [`,
      '  { name = "d", version = "1", extra = ["zip"], marker = "extra == \'extra-3-app-cpu\' or extra != \'extra-3-app-gpu\'" },',
      '  { name = "d", version = "2", marker = "extra == \'extra-3-app-gpu\'" },',
      '  { name = "e", marker = "extra == \'extra-1-a-deep\'" },',
      '  { name = "f", marker = "extra == \'extra-1-d-zip\'" },\n]',
      `[[package]]\nname = "c"\nversion = "1"\n${source}`,
      `[[package]]\nname = "d"\nversion = "1"\n${source}`,
      `[[package]]\nname = "d"\nversion = "2"\n${source}`,
      `[[package]]\nname = "e"\nversion = "1"\n${source}`,
      `[[package]]\nname = "f"\nversion = "1"\n${source}`,
    ];
    const lock = readLockFile('uv.lock', text.join('\n'));
    expect(pinsOf(lock)).toEqual(['a[deep]==1', 'c==1']);
    expect(pinsOf(lock, { extras: ['cpu'] })).toEqual([
      'a[deep]==1',
      'b==1',
      'c==1',
      'd==1',
      'e==1',
      'f==1',
    ]);
    expect(pinsOf(lock, { extras: ['gpu'] })).toEqual([
      'a[deep]==1',
      'b==1',
      'c==1',
      'd==2',
      'e==1',
    ]);
  });

  it('tells versions of one name apart by the forks they belong to', () => {
    const fork = (version: string, markers: string): string =>
      `[[package]]\nname = "a"\nversion = "${version}"\nsource = { registry = "x" }\nresolution-markers = [${markers}]`;
    const text = [
      'version = 1\n[manifest]\nrequirements = [{ name = "a" }]',
      fork('1', '"sys_platform == \'win32\'", "sys_platform == \'darwin\'"'),
      fork('2', '"sys_platform == \'linux\'"'),
    ];
    const lock = readLockFile('tool.py.lock', text.join('\n'));
    expect(pinsOf(lock)).toEqual(['a==2']);
    expect(pinsOf(lock, {}, WINDOWS)).toEqual(['a==1']);
    const nowhere = environmentOf('3.11', 'manylinux_2_28_x86_64');
    const { problems } = lock.packagesFor({ ...nowhere, sys_platform: 'aix' });
    expect(problems).toEqual(['The lock has no package a for this environment.']);
  });

  it('of a script begins at the requirements in its manifest', () => {
    const text = [
      'version = 1\n[manifest]\nrequirements = [{ name = "a", specifier = ">=1" }]',
      '[[package]]\nname = "a"\nversion = "1"\nsource = { registry = "x" }\ndependencies = [{ name = "b" }]',
      '[[package]]\nname = "b"\nversion = "2"\nsource = { registry = "x" }',
      '[[package]]\nname = "c"\nversion = "3"\nsource = { registry = "x" }',
    ];
    expect(pinsOf(readLockFile('tool.py.lock', text.join('\n')))).toEqual(['a==1', 'b==2']);
  });

  it('of a workspace without a project of its own begins at every member', () => {
    const text = [
      'version = 1\n[manifest]\nmembers = ["one", "two"]',
      '[[package]]\nname = "one"\nversion = "1"\nsource = { editable = "one" }\ndependencies = [{ name = "b" }]',
      '[[package]]\nname = "two"\nversion = "1"\nsource = { virtual = "two" }\ndependencies = [{ name = "c" }]',
      '[[package]]\nname = "b"\nversion = "2"\nsource = { registry = "x" }',
      '[[package]]\nname = "c"\nversion = "3"\nsource = { registry = "x" }',
    ];
    expect(pinsOf(readLockFile('uv.lock', text.join('\n')))).toEqual([
      'b==2',
      'c==3',
      'one==1 (path)',
    ]);
  });
});

describe('pylock.toml', () => {
  it('gives what its markers let through', () => {
    const pins = pinsOf(readSample('uv/pylock.toml'));
    expect(pins).toContain('twin==1.0');
    expect(pins).toContain('forked==2.0');
    expect(pins).not.toContain('only-windows==0.4');
    expect(pinsOf(readSample('uv/pylock.toml'), {}, WINDOWS)).toContain('only-windows==0.4');
  });

  it('of pip has tables of its own for files', () => {
    expect(pinsOf(readSample('pip/pylock.toml'))).toEqual([
      'base==1.0',
      'fast-er==2.1',
      'gitty==? (vcs)',
      'helper==? (path)',
      'leaf==1.2',
      'native==5.0',
      'sock-et==1.7',
      'source-only==0.3',
    ]);
    expect(packageIn('pip/pylock.toml', 'source-only')?.files).toEqual([
      {
        filename: 'source_only-0.3.tar.gz',
        url: expect.stringContaining('/packages/35/5b/'),
        sha256: '5955c10fe157047ad9dbab8f72738aef48416b618d1e0b7c26f0c78cc655187c',
        sizeBytes: null,
      },
    ]);
  });

  it('knows extras and groups in markers, those of default-groups unasked', () => {
    const text = [
      'lock-version = "1.0"\nextras = ["Socks"]\ndependency-groups = ["dev", "docs"]\ndefault-groups = ["dev"]',
      '[[packages]]\nname = "a"\nversion = "1"\nmarker = "\'SOCKS\' in extras"',
      '[[packages]]\nname = "b"\nversion = "1"\nmarker = "\'dev\' in dependency_groups"',
      '[[packages]]\nname = "c"\nversion = "1"\nmarker = "\'docs\' in dependency_groups and os_name == \'posix\'"',
      '[[packages]]\nname = "d"\nversion = "1"\nmarker = "\'dev\' not in dependency_groups"',
    ];
    const lock = readLockFile('pylock.toml', text.join('\n'));
    expect(pinsOf(lock)).toEqual(['b==1']);
    expect(pinsOf(lock, { extras: ['socks'], groups: ['docs'] })).toEqual(['a==1', 'c==1', 'd==1']);
  });

  it('says what does not fit: the environment, a Python, two of one name, a newer minor version', () => {
    const text = [
      'lock-version = "1.1"\nrequires-python = ">=3.12"\nenvironments = ["sys_platform == \'win32\'"]',
      '[[packages]]\nname = "a"\nversion = "1"\nrequires-python = ">=3.13"',
      '[[packages]]\nname = "b"\nversion = "1"\nmarker = "nonsense"',
      '[[packages]]\nname = "b"\nversion = "2"',
    ];
    const { problems } = readLockFile('pylock.toml', text.join('\n')).packagesFor(environmentOf());
    expect(problems).toEqual([
      'The lock is of version 1.1; what is newer than 1.0 is passed by.',
      'The lock is for Python >=3.12, not for 3.11.0.',
      'The lock is not for this environment (its `environments`).',
      'a 1 is for Python >=3.13.',
      'The marker "nonsense" cannot be decided.',
      'b is locked twice here: 1 and 2.',
    ]);
  });
});

describe('poetry.lock', () => {
  const always = [
    'base==1.0',
    'fast-er==2.1',
    'fork-two==1.0',
    'forked==2.0',
    'gitty==0.9 (vcs)',
    'helper==0.9 (path)',
    'leaf==1.2',
    'local==1.0+cpu',
    'native==5.0',
    'other-only==6.0',
    'sock-et==1.7',
    'source-only==0.3',
  ];
  const test = ['shim==3.0', 'tester==8.0', 'tester-core==1.1'];

  it('gives the main group and what is not optional', () => {
    const lock = readSample('poetry/poetry.lock', 'poetry/pyproject.toml');
    expect(pinsOf(lock)).toEqual([...always, ...test].toSorted());
    expect(pinsOf(lock, { groups: [] })).toEqual(always);
    expect(pinsOf(lock, { groups: ['doc'] })).toEqual([...always, 'docs==4.0'].toSorted());
    expect(pinsOf(lock, { groups: [], extras: ['paper'] })).toEqual(
      [...always, 'docs==4.0'].toSorted(),
    );
  });

  it('without its project gives every group: it does not say which are optional', () => {
    expect(pinsOf(readSample('poetry/poetry.lock'))).toEqual(
      [...always, ...test, 'docs==4.0'].toSorted(),
    );
  });

  it('has markers by group', () => {
    const lock = readSample('poetry/poetry.lock', 'poetry/pyproject.toml');
    expect(pinsOf(lock, { groups: [] }, WINDOWS)).toContain('shim==3.0');
    expect(pinsOf(lock, { groups: ['lint'] })).toContain('shim==3.0');
    expect(pinsOf(lock, { groups: [] })).not.toContain('shim==3.0');
    // From Python 3.10 on only, as an extra; the group has it always.
    const extras = { groups: [], extras: ['paper'] };
    expect(pinsOf(lock, extras, WINDOWS)).not.toContain('docs==4.0');
    expect(pinsOf(lock, { groups: ['doc'] }, WINDOWS)).toContain('docs==4.0');
  });

  it('of poetry 1 is walked from what its project asks for', () => {
    const lock = readSample('poetry-1/poetry.lock', 'poetry-1/pyproject.toml');
    expect(pinsOf(lock)).toEqual(['base[socks]==1.0', 'leaf==1.2', 'sock-et==1.7', 'tester==8.0']);
    expect(pinsOf(lock, { groups: [], extras: ['quick'] })).toContain('fast-er==2.1');
    expect(pinsOf(lock, { groups: ['doc'] })).toContain('docs==4.0');
    expect(pinsOf(lock, { groups: [] }, WINDOWS)).toEqual([
      'base[socks]==1.0',
      'deep-windows==0.1',
      'leaf==1.1',
      'only-windows==0.4',
      'shim==3.0',
      'sock-et==1.7',
    ]);
    const { problems } = lock.packagesFor(environmentOf('3.7'));
    expect(problems).toEqual(['The lock is for Python ^3.8, not for 3.7.0.']);
  });

  it('of poetry 1 without its project gives all that is not optional, and says so', () => {
    const { packages, problems } = readSample('poetry-1/poetry.lock').packagesFor(environmentOf());
    expect(packages.map(({ name }) => name)).toEqual([
      'base',
      'deep-windows',
      'docs',
      'leaf',
      'only-windows',
      'shim',
      'tester',
    ]);
    expect(problems).toEqual([expect.stringContaining('does not say what is asked for')]);
  });

  it('of poetry 1 knows what an extra of a package brings, without markers, too', () => {
    const text = [
      '[[package]]\nname = "a"\nversion = "1"\noptional = false\npython-versions = "*"',
      '[package.dependencies]\nb = {version = ">=1", optional = true}\nc = {version = "*", optional = true}',
      '[package.extras]\nquick = ["b (>=1)"]\nslow = ["c"]',
      '[[package]]\nname = "b"\nversion = "1"\noptional = true\npython-versions = "*"',
      '[[package]]\nname = "c"\nversion = "1"\noptional = true\npython-versions = "*"',
      '[metadata]\nlock-version = "2.0"\npython-versions = "*"\n',
    ];
    const project = '[tool.poetry.dependencies]\na = { version = "*", extras = ["quick"] }\n';
    const lock = readLockFile('poetry.lock', text.join('\n'), project);
    expect(pinsOf(lock)).toEqual(['a[quick]==1', 'b==1']);
  });

  it('of poetry 1.1 has categories, and the files in its metadata', () => {
    const text = sample('poetry-1/poetry-1.1.lock');
    const lock = readLockFile('poetry.lock', text);
    expect(pinsOf(lock)).toEqual(['base==1.0', 'leaf==1.2', 'tester==8.0']);
    expect(pinsOf(lock, { groups: [] })).toEqual(['base==1.0', 'leaf==1.2']);
    const [base] = lock.packagesFor(environmentOf()).packages;
    expect(base?.files.map(({ filename }) => filename)).toEqual(['base-1.0-py3-none-any.whl']);
  });
});

describe('pdm.lock', () => {
  const always = [
    'base[socks]==1.0',
    'docs==4.0 (url)',
    'fast-er==2.1',
    'fork-two==1.0',
    'forked==2.0',
    'gitty==0.9 (vcs)',
    'helper==0.9 (path)',
    'leaf==1.2',
    'local==1.0',
    'native==5.0',
    'other-only==6.0',
    'shim==3.0',
    'sock-et==1.7',
    'source-only==0.3',
  ];

  it('gives all that is locked, or the default group and what is named', () => {
    const all = [...always, 'tester-core==1.1', 'tester==8.0'];
    const lock = readSample('pdm/pdm.lock', 'pdm/pyproject.toml');
    expect(pinsOf(lock)).toEqual(all);
    expect(pinsOf(readSample('pdm/pdm.lock'))).toEqual(all);
    expect(pinsOf(lock, { groups: [] })).toEqual(always);
    // Once something is named, the groups for development come unasked, if the project says which.
    expect(pinsOf(lock, { extras: ['quick'] })).toEqual(all);
    expect(pinsOf(readSample('pdm/pdm.lock'), { extras: ['quick'] })).toEqual(always);
  });

  it('with static addresses says where each file lies', () => {
    const local = packageIn('pdm/pdm.static.lock', 'local');
    expect(local?.files[0]).toMatchObject({
      filename: 'local-1.0+cpu-py3-none-any.whl',
      url: expect.stringMatching(/local-1\.0%2Bcpu-py3-none-any\.whl$/),
    });
    expect(packageIn('pdm/pdm.lock', 'local')?.files[0]?.url).toBeNull();
    expect(packageIn('pdm/pdm.lock', 'docs')?.files[0]?.url).toMatch(/docs-4\.0/);
  });

  it('names packages for other Pythons, which pdm installs all the same', () => {
    const text =
      '[metadata]\nlock_version = "4.5.0"\nstrategy = ["inherit_metadata"]\n[[package]]\nname = "a"\nversion = "1"\nrequires_python = ">=3.12"\ngroups = ["default"]\n';
    const { packages, problems } = readLockFile('pdm.lock', text).packagesFor(environmentOf());
    expect(packages.map(({ name }) => name)).toEqual(['a']);
    expect(problems).toEqual(['a 1 is for Python >=3.12.']);
  });

  it('says so when none of its targets fits', () => {
    const text =
      '[metadata]\nlock_version = "4.5.0"\nstrategy = ["inherit_metadata"]\n[[metadata.targets]]\nrequires_python = ">=3.9"\nplatform = "windows_amd64"\n';
    const lock = readLockFile('pdm.lock', text);
    expect(lock.packagesFor(environmentOf()).problems).toEqual([
      'The lock is not for this environment (its `targets`).',
    ]);
    expect(lock.packagesFor(environmentOf('3.11', 'win_amd64')).problems).toEqual([]);
  });
});

describe('Pipfile.lock', () => {
  const lock = readSample('pipenv/Pipfile.lock');

  it('gives its default category, others when they are named', () => {
    const always = [
      'base[socks]==1.0',
      'fast-er==2.1',
      'gitty==? (vcs)',
      'helper==? (path)',
      'leaf==1.2',
      'local==1.0+cpu',
      'native==5.0',
      'other-only==6.0',
      'sock-et==1.7',
      'source-only==0.3',
    ];
    expect(lock.groups).toEqual(['develop', 'docs']);
    expect(pinsOf(lock)).toEqual(always);
    expect(pinsOf(lock, { groups: ['develop'] })).toEqual([
      ...always,
      'tester-core==1.1',
      'tester==8.0',
    ]);
  });

  it('has digests without files, and the address of the index by its name', () => {
    expect(packageIn('pipenv/Pipfile.lock', 'other-only')).toMatchObject({
      files: [],
      sha256s: ['bf928bc7076202a3471e1a9e3f4c1617b28875ee80290f99097716081cfa9ae5'],
      index: 'http://127.0.0.1:18766/simple/',
    });
  });

  it('says so where it names no version, since the machine that locked did not need it', () => {
    const { problems } = lock.packagesFor(WINDOWS);
    expect(problems).toEqual(['The lock names no version of only-windows.']);
  });
});
