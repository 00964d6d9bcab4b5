/** The interpreter and the machine that something is to be installed for. */

/** One Python interpreter. */
export interface Interpreter {
  readonly implementation: 'cpython' | 'pypy';
  readonly major: number;
  readonly minor: number;
  /** `3.12.4`; `.0` where it is not known. */
  readonly fullVersion: string;
  /** Built without the global lock (PEP 703). */
  readonly isFreeThreaded: boolean;
  /** The first part of its tags: `cp312`, `pp310`. */
  readonly tag: string;
  /** The ABI of its own extension modules: `cp312`, `cp313t`, `pypy310_pp73`. */
  readonly abi: string;
}

/** The variables of markers (packaging.python.org, "Dependency specifiers"), but for extras. */
export interface MarkerEnvironment {
  readonly os_name: string;
  readonly sys_platform: string;
  readonly platform_machine: string;
  readonly platform_python_implementation: string;
  /** Not told by a platform tag; empty. */
  readonly platform_release: string;
  readonly platform_system: string;
  /** Not told by a platform tag; empty. */
  readonly platform_version: string;
  readonly python_version: string;
  readonly python_full_version: string;
  readonly implementation_name: string;
  readonly implementation_version: string;
}

/** All PyPy versions since 7.3 have this ABI. */
const PYPY_ABI = 'pp73';

const INTERPRETER = /^(cp|pp)?(\d)\.?(\d{1,2})(?:\.(\d+(?:(?:a|b|rc)\d+)?))?(t)?$/;

/**
 * The interpreter that people name by its version: `3.12`, `3.12.4`, `313`, `3.13t` (free-threaded),
 * `pp3.10` (PyPy). `undefined` when it is none of these.
 */
export function parseInterpreter(text: string): Interpreter | undefined {
  const [, kind = 'cp', majorText, minorText, rest, threads] = INTERPRETER.exec(text) ?? [];
  if (majorText === undefined || minorText === undefined) return undefined;
  const [major, minor] = [Number(majorText), Number(minorText)];
  const isPypy = kind === 'pp';
  if (isPypy && threads !== undefined) return undefined;
  const nodot = `${major}${minor}`;
  return {
    implementation: isPypy ? 'pypy' : 'cpython',
    major,
    minor,
    fullVersion: `${major}.${minor}.${rest ?? '0'}`,
    isFreeThreaded: threads !== undefined,
    tag: `${kind}${nodot}`,
    abi: isPypy ? `pypy${nodot}_${PYPY_ABI}` : `cp${nodot}${abiFlags(major, minor, threads)}`,
  };
}

/** Before 3.8 a build with pymalloc, the usual one, said so in its ABI. */
function abiFlags(major: number, minor: number, threads: string | undefined): string {
  if (threads !== undefined) return 't';
  return major === 3 && minor < 8 ? 'm' : '';
}

/** The markers' variables of an interpreter on a machine, which is named by a platform tag. */
export function markerEnvironment(interpreter: Interpreter, platform: string): MarkerEnvironment {
  const system = systemOf(platform);
  const implementation = interpreter.implementation === 'pypy' ? 'PyPy' : 'CPython';
  return {
    ...system,
    platform_python_implementation: implementation,
    platform_release: '',
    platform_version: '',
    python_version: `${interpreter.major}.${interpreter.minor}`,
    python_full_version: interpreter.fullVersion,
    implementation_name: interpreter.implementation,
    // PyPy's own version is not told by Python's.
    implementation_version: interpreter.fullVersion,
  };
}

type SystemVariables = Pick<
  MarkerEnvironment,
  'os_name' | 'sys_platform' | 'platform_system' | 'platform_machine'
>;

const WINDOWS_MACHINES: Readonly<Record<string, string>> = {
  win_amd64: 'AMD64',
  win_arm64: 'ARM64',
  win32: 'x86',
};

function systemOf(platform: string): SystemVariables {
  const tag = platform.toLowerCase().replace(/[-. ]/g, '_');
  if (tag.startsWith('win')) {
    return {
      os_name: 'nt',
      sys_platform: 'win32',
      platform_system: 'Windows',
      platform_machine: WINDOWS_MACHINES[tag] ?? 'AMD64',
    };
  }
  if (tag.startsWith('macosx')) {
    return {
      os_name: 'posix',
      sys_platform: 'darwin',
      platform_system: 'Darwin',
      platform_machine: tag.replace(/^macosx_\d+_\d+_/, ''),
    };
  }
  return {
    os_name: 'posix',
    sys_platform: 'linux',
    platform_system: 'Linux',
    platform_machine: tag.replace(/^(?:linux|manylinux(?:_\d+_\d+|\d+)|musllinux_\d+_\d+)_/, ''),
  };
}
