import { describe, expect, it } from 'vitest';
import { isWanted } from '../../../src/packaging/markers.ts';
import { parseInstaller } from '../../../src/packaging/installer.ts';
import type { InstallerMachine } from '../../../src/packaging/installer.ts';

/** As sent by pip 26.3 and uv 0.13.9 on Debian 12; the others are made of the same parts. */
const PIP =
  'pip/26.3 {"ci":null,"cpu":"x86_64","distro":{"id":"bookworm","libc":{"lib":"glibc","version":"2.36"},"name":"Debian GNU/Linux","version":"12"},"implementation":{"name":"CPython","version":"3.11.7"},"installer":{"name":"pip","version":"26.3"},"openssl_version":"OpenSSL 3.0.19 27 Jan 2026","python":"3.11.7","rustc_version":"1.95.0","setuptools_version":"65.5.0","system":{"name":"Linux","release":"6.18.44"}}';
const DEBIANS_PIP =
  'pip/23.0.1 {"ci":null,"cpu":"aarch64","distro":{"id":"bookworm","libc":{"lib":"glibc","version":"2.36"},"name":"Debian GNU/Linux","version":"12"},"implementation":{"name":"CPython","version":"3.11.2"},"installer":{"name":"pip","version":"23.0.1"},"openssl_version":"OpenSSL 3.0.11 19 Sep 2023","python":"3.11.2","setuptools_version":"66.1.1","system":{"name":"Linux","release":"6.1.0-18-arm64"}}';
const MACS_PIP =
  'pip/24.0 {"ci":null,"cpu":"arm64","distro":{"name":"macOS","version":"14.4.1"},"implementation":{"name":"CPython","version":"3.12.2"},"installer":{"name":"pip","version":"24.0"},"openssl_version":"OpenSSL 3.2.1 30 Jan 2024","python":"3.12.2","system":{"name":"Darwin","release":"23.4.0"}}';
const OLD_MACS_PIP =
  'pip/21.3.1 {"cpu":"x86_64","distro":{"name":"macOS","version":"10.15.7"},"implementation":{"name":"CPython","version":"3.8.2"},"python":"3.8.2","system":{"name":"Darwin","release":"19.6.0"}}';
const WINDOWS_PIP =
  'pip/24.0 {"ci":null,"cpu":"AMD64","implementation":{"name":"CPython","version":"3.12.2"},"installer":{"name":"pip","version":"24.0"},"openssl_version":"OpenSSL 3.0.13 30 Jan 2024","python":"3.12.2","system":{"name":"Windows","release":"11"}}';
const PYPY_PIP =
  'pip/23.2.1 {"ci":null,"cpu":"x86_64","distro":{"id":"jammy","libc":{"lib":"glibc","version":"2.35"},"name":"Ubuntu","version":"22.04"},"implementation":{"name":"PyPy","version":"7.3.15"},"installer":{"name":"pip","version":"23.2.1"},"openssl_version":"OpenSSL 3.0.2 15 Mar 2022","python":"3.10.13","system":{"name":"Linux","release":"6.5.0"}}';
const ALPINE_UV =
  'uv/0.4.30 {"installer":{"name":"uv","version":"0.4.30"},"python":"3.12.7","implementation":{"name":"CPython","version":"3.12.7"},"distro":{"name":"Alpine Linux","version":"3.20","id":null,"libc":{"lib":"musl","version":"1.2"}},"system":{"name":"Linux","release":"6.6.0"},"cpu":"x86_64","openssl_version":null,"setuptools_version":null,"rustc_version":null,"ci":true}';

/** What uv of today says of itself when it runs `subcommand`. */
function uv(subcommand: readonly string[] | null, python: string | null = '3.11.7'): string {
  const installer = { name: 'uv', version: '0.13.9', ...(subcommand && { subcommand }) };
  const facts = {
    installer,
    ...(python === null
      ? { python: null, implementation: null }
      : { python, implementation: { name: 'CPython', version: python } }),
    distro: {
      name: 'Debian GNU/Linux',
      version: '12',
      id: 'bookworm',
      libc: { lib: 'glibc', version: '2.36' },
    },
    system: { name: 'Linux', release: '6.18.44' },
    cpu: 'x86_64',
    openssl_version: null,
    setuptools_version: null,
    rustc_version: null,
    ci: null,
  };
  return `uv/0.13.9 ${JSON.stringify(facts)}`;
}

/** pip with these facts in place of its own. */
function pipThatSays(facts: unknown): string {
  return `pip/26.3 ${JSON.stringify(facts)}`;
}

const LINUX = {
  cpu: 'x86_64',
  distro: { libc: { lib: 'glibc', version: '2.36' } },
  implementation: { name: 'CPython' },
  python: '3.11.7',
  system: { name: 'Linux' },
};

function accepts({ ranking }: InstallerMachine, python: string, abi: string, platform: string) {
  return ranking.rankOf({ python: [python], abi: [abi], platform: [platform] }) !== null;
}

function machineOf(userAgent: string): InstallerMachine {
  const machine = parseInstaller(userAgent)?.machine;
  if (machine === undefined || machine === null) throw new Error('no machine');
  return machine;
}

describe('the machine of', () => {
  it.each([
    ['pip', PIP, '3.11.7', 'linux', 'x86_64', 'cp311', 'manylinux_2_36_x86_64'],
    ["Debian's pip", DEBIANS_PIP, '3.11.2', 'linux', 'aarch64', 'cp311', 'manylinux2014_aarch64'],
    ['pip on macOS', MACS_PIP, '3.12.2', 'darwin', 'arm64', 'cp312', 'macosx_14_0_arm64'],
    ['pip on macOS', OLD_MACS_PIP, '3.8.2', 'darwin', 'x86_64', 'cp38', 'macosx_10_15_x86_64'],
    ['pip on Windows', WINDOWS_PIP, '3.12.2', 'win32', 'AMD64', 'cp312', 'win_amd64'],
    ['uv on Alpine', ALPINE_UV, '3.12.7', 'linux', 'x86_64', 'cp312', 'musllinux_1_2_x86_64'],
    ['uv', uv(['pip', 'install']), '3.11.7', 'linux', 'x86_64', 'cp311', 'manylinux_2_36_x86_64'],
  ])('%s is known', (_name, userAgent, python, system, cpu, tag, platform) => {
    const machine = machineOf(userAgent);
    expect(machine.interpreter).toMatchObject({ implementation: 'cpython', fullVersion: python });
    expect(machine.environment).toMatchObject({
      sys_platform: system,
      platform_machine: cpu,
      python_full_version: python,
    });
    expect(accepts(machine, tag, tag, platform)).toBe(true);
    expect(accepts(machine, 'py3', 'none', 'any')).toBe(true);
    expect(accepts(machine, 'cp27', 'cp27m', platform)).toBe(false);
  });

  it('PyPy takes wheels of PyPy and not of CPython', () => {
    const machine = machineOf(PYPY_PIP);
    expect(machine.environment).toMatchObject({
      platform_python_implementation: 'PyPy',
      python_version: '3.10',
    });
    expect(accepts(machine, 'pp310', 'pypy310_pp73', 'manylinux_2_28_x86_64')).toBe(true);
    expect(accepts(machine, 'cp310', 'cp310', 'manylinux_2_28_x86_64')).toBe(false);
  });

  it.each([
    ['glibc', PIP, 'manylinux_2_36_x86_64', 'manylinux_2_37_x86_64', 'musllinux_1_2_x86_64'],
    ['musl', ALPINE_UV, 'musllinux_1_2_x86_64', 'musllinux_1_3_x86_64', 'manylinux_2_17_x86_64'],
    ['macOS', MACS_PIP, 'macosx_11_0_arm64', 'macosx_15_0_arm64', 'macosx_14_0_x86_64'],
    ['Windows', WINDOWS_PIP, 'win_amd64', 'win32', 'win_arm64'],
  ])(
    'a client with %s takes no wheel of another or a newer one',
    (_name, agent, own, ...others) => {
      const machine = machineOf(agent);
      const tag = machine.interpreter.tag;
      expect(accepts(machine, tag, tag, own)).toBe(true);
      for (const other of others)
        expect([other, accepts(machine, tag, tag, other)]).toEqual([other, false]);
    },
  );

  it('markers are decided for', () => {
    const { environment } = machineOf(MACS_PIP);
    expect(
      isWanted('sys_platform == "darwin" and platform_machine == "arm64"', environment, []),
    ).toBe(true);
    expect(isWanted('sys_platform == "win32" or python_version < "3.12"', environment, [])).toBe(
      false,
    );
    expect(machineOf(PIP).environment.platform_release).toBe('6.18.44');
  });

  it('Linux without a C library takes wheels of no C library', () => {
    const machine = machineOf(pipThatSays({ ...LINUX, distro: {} }));
    expect(accepts(machine, 'py3', 'none', 'linux_x86_64')).toBe(true);
    expect(accepts(machine, 'py3', 'none', 'manylinux_2_17_x86_64')).toBe(false);
  });
});

describe('an installer', () => {
  it.each([
    ['pip', PIP, 'pip', true],
    ['uv of before it named its command', ALPINE_UV, 'uv', true],
    ['uv pip install', uv(['pip', 'install']), 'uv', true],
    ['uv sync', uv(['sync']), 'uv', true],
    ['uv run', uv(['run']), 'uv', true],
    ['uv that names no command', uv(null), 'uv', true],
    ['uv lock', uv(['lock']), 'uv', false],
    ['uv tree', uv(['tree']), 'uv', false],
    ['uv export', uv(['export']), 'uv', false],
    ['uv pip compile', uv(['pip', 'compile']), 'uv', false],
    ['uv pip tree', uv(['pip', 'tree']), 'uv', false],
    ['a command that only begins like one', uv(['lockstep']), 'uv', true],
  ])('%s is known, and whether it wants files', (_name, userAgent, name, wantsFiles) => {
    expect(parseInstaller(userAgent)).toMatchObject({ name, wantsFiles });
  });

  it('that names no Python is known without a machine', () => {
    expect(parseInstaller(uv(['pip', 'install'], null))).toMatchObject({
      name: 'uv',
      machine: null,
    });
  });

  it.each([
    ['python', { ...LINUX, python: '3.13.0+' }],
    ['python', { ...LINUX, python: 3.11 }],
    ['python', { ...LINUX, python: null }],
    ['cpu', { ...LINUX, cpu: null }],
    ['cpu', { ...LINUX, cpu: 64 }],
    ['system', { ...LINUX, system: { name: 'Plan 9' } }],
    ['system', { ...LINUX, system: null }],
    ['Windows machine', { ...LINUX, system: { name: 'Windows' }, cpu: 'itanium' }],
  ])('whose %s is none that is known has no machine', (_what, facts) => {
    expect(parseInstaller(pipThatSays(facts))).toMatchObject({ name: 'pip', machine: null });
  });

  it.each([
    ['distro', { ...LINUX, distro: null }],
    ['libc', { ...LINUX, distro: { libc: null } }],
    ['version of the libc', { ...LINUX, distro: { libc: { lib: 7, version: 2.36 } } }],
    ['implementation', { ...LINUX, implementation: null }],
    ['installer', { ...LINUX, installer: null }],
    ['subcommand', { ...LINUX, installer: { subcommand: 'lock' } }],
    ['words of the subcommand', { ...LINUX, installer: { subcommand: [null, {}, []] } }],
  ])('whose %s is no text is taken without it', (_what, facts) => {
    expect(parseInstaller(pipThatSays(facts))).toMatchObject({
      wantsFiles: true,
      machine: { environment: { sys_platform: 'linux', platform_machine: 'x86_64' } },
    });
  });
});

describe('no installer', () => {
  it.each([
    [''],
    ['python-requests/2.31.0'],
    ['poetry/1.8.2 CPython/3.12.2 Linux/6.5.0'],
    ['pdm/2.12.4 CPython/3.11.7 Linux/6.1.0'],
    ['curl/8.5.0'],
    ['Mozilla/5.0 (X11; Linux x86_64) {"python":"3.11.7"}'],
    ['setuptools/69.0.2 Python-urllib/3.11'],
    ['pip'],
    ['pip/26.3'],
    ['pip/26.3 '],
    ['pip/1 {'],
    ['pip/1 {}}'],
    ['pip/1 []'],
    ['pip/1 null'],
    ['pip/1 7'],
    ['pip/1 "text"'],
    ['pip/1 {"a":1} and more'],
    ['PIP/26.3 {}'],
    ['pipx/1.4 {}'],
    ['uvicorn/0.30 {}'],
    ['x pip/26.3 {}'],
  ])('is %j', (userAgent) => {
    expect(parseInstaller(userAgent)).toBeUndefined();
  });

  it('says more than 4096 characters, and finding out takes no time', () => {
    const startedAt = performance.now();
    expect(parseInstaller(`pip/1 {"a":"${'x'.repeat(100_000)}"}`)).toBeUndefined();
    expect(parseInstaller(`pip/1 ${'{'.repeat(4_000)}`)).toBeUndefined();
    expect(parseInstaller(`pip/1 ${'{"a":'.repeat(600)}1${'}'.repeat(600)}`)).toBeDefined();
    expect(performance.now() - startedAt).toBeLessThan(500);
  });
});

// Tags are made of each version up to the one that is named, and of the name of the processor.
describe('a machine that cannot be', () => {
  it('with the Python of another century is none', () => {
    const python = (version: string): object => ({ ...LINUX, python: version });
    expect(parseInstaller(pipThatSays(python('3.60.0')))).toMatchObject({ machine: null });
    expect(machineOf(pipThatSays(python('3.59.0'))).interpreter.tag).toBe('cp359');
  });

  it.each([
    ['glibc', { ...LINUX, distro: { libc: { lib: 'glibc', version: '2.4000' } } }],
    ['musl', { ...LINUX, distro: { libc: { lib: 'musl', version: '1.4000' } } }],
    ['macOS', { ...LINUX, system: { name: 'Darwin' }, distro: { version: '4000.1' } }],
    ['macOS', { ...LINUX, system: { name: 'Darwin' }, distro: { version: '10.4000' } }],
    ['glibc', { ...LINUX, distro: { libc: { lib: 'glibc', version: '2.60' } } }],
    ['macOS', { ...LINUX, system: { name: 'Darwin' }, distro: { version: '60.0' } }],
  ])('with a %s of such a version is not followed up to there', (_what, facts) => {
    const { environment, ranking } = machineOf(pipThatSays(facts));
    expect(environment.platform_machine).toBe('x86_64');
    const versions = ['_2_3000', '_2_60', '_1_3000', '_3000_0', '_10_3000', '_60_0'];
    const systems = ['manylinux', 'musllinux', 'macosx'];
    const platforms = systems.flatMap((system) => versions.map((version) => system + version));
    for (const platform of platforms) {
      const wheel = { python: ['py3'], abi: ['none'], platform: [`${platform}_x86_64`] };
      expect(ranking.rankOf(wheel)).toBeNull();
    }
  });

  it('with a processor of a long or an odd name is none', () => {
    for (const cpu of ['x'.repeat(17), 'x86 64', 'x86_64\n', '']) {
      expect(parseInstaller(pipThatSays({ ...LINUX, cpu }))).toMatchObject({ machine: null });
    }
  });
});
