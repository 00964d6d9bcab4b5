import { normalizedPlatform } from '../packaging/platforms.ts';

/** glibc minor versions that uv has a name for, oldest first. */
const GLIBC_MINORS: readonly number[] = [17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40];

const WINDOWS: Readonly<Record<string, string>> = {
  win_amd64: 'x86_64-pc-windows-msvc',
  win_arm64: 'aarch64-pc-windows-msvc',
  win32: 'i686-pc-windows-msvc',
};

/** What uv is told of a machine. */
export interface UvPlatform {
  /** For `--python-platform`. */
  readonly name: string;
  /** For `MACOSX_DEPLOYMENT_TARGET`; `null` on other systems. */
  readonly macVersion: string | null;
}

/**
 * uv's name for the machine of a platform tag. Of a glibc that uv does not name, the next older one:
 * then no wheel is counted on that the machine cannot run. `undefined` for machines that uv does not know;
 * a text that is no tag is taken for a name of uv's own.
 */
export function uvPlatform(platform: string): UvPlatform | undefined {
  const tag = normalizedPlatform(platform);
  const [, minorText, glibcArch = ''] =
    /^manylinux_2_(\d+)_(\w+)$/.exec(tag) ?? legacyManylinux(tag) ?? [];
  if (minorText !== undefined) return glibcPlatform(Number(minorText), glibcArch);
  const [, muslArch] = /^musllinux_1_\d+_(\w+)$/.exec(tag) ?? [];
  if (muslArch !== undefined) {
    const isNamed = muslArch === 'x86_64' || muslArch === 'aarch64';
    return isNamed ? named(`${muslArch}-unknown-linux-musl`) : undefined;
  }
  const [, major, minor, macArch] = /^macosx_(\d+)_(\d+)_(\w+)$/.exec(tag) ?? [];
  if (macArch !== undefined) {
    const arch = { arm64: 'aarch64', x86_64: 'x86_64' }[macArch];
    if (arch === undefined) return undefined;
    return { name: `${arch}-apple-darwin`, macVersion: `${major}.${minor}` };
  }
  if (tag in WINDOWS) return named(WINDOWS[tag] ?? '');
  const [, linuxArch] = /^linux_(\w+)$/.exec(tag) ?? [];
  if (linuxArch !== undefined) return glibcPlatform(17, linuxArch);
  return platform.includes('-') || /^(?:linux|macos|windows)$/.test(platform)
    ? named(platform)
    : undefined;
}

function named(name: string): UvPlatform {
  return { name, macVersion: null };
}

function glibcPlatform(minor: number, arch: string): UvPlatform | undefined {
  if (arch === 'riscv64') return named('riscv64-unknown-linux');
  if (arch !== 'x86_64' && arch !== 'aarch64') return undefined;
  const known = GLIBC_MINORS.findLast((each) => each <= minor);
  return known === undefined ? undefined : named(`${arch}-manylinux_2_${known}`);
}

/** In the shape of the newer form's match. */
function legacyManylinux(tag: string): readonly (string | undefined)[] | null {
  const [, year, arch] = /^manylinux(1|2010|2014)_(\w+)$/.exec(tag) ?? [];
  return arch === undefined ? null : ['', year === '2014' ? '17' : '16', arch];
}
