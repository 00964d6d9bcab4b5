/** Platform tags: what a machine can run, best first (packaging.python.org, "Platform compatibility tags"). */

/** glibc went from 2.50 on without a new major version so far; musl from 1.2 on. */
const OLDEST_GLIBC_MINOR = 17;
/** On x86 there were manylinux1 (glibc 2.5) and manylinux2010 (2.12) before (PEP 513, PEP 571). */
const OLDEST_GLIBC_MINOR_X86 = 5;
const X86: ReadonlySet<string> = new Set(['x86_64', 'i686']);
/** Architectures that any manylinux wheel may be for (PEP 599, PEP 600). */
const GLIBC_MINOR_OF: Readonly<Record<string, number>> = {
  manylinux2014: 17,
  manylinux2010: 12,
  manylinux1: 5,
};
const LEGACY_TAG_OF: ReadonlyMap<number, string> = new Map(
  Object.entries(GLIBC_MINOR_OF).map(([tag, minor]) => [minor, tag]),
);

/**
 * The platform tags of a machine that is named by the newest tag it accepts:
 * `manylinux_2_28_x86_64` is a Linux with glibc 2.28, `musllinux_1_2_aarch64` one with musl 1.2,
 * `macosx_12_0_arm64` macOS 12 on Apple's processors, `win_amd64` Windows. Anything else stands for itself.
 */
export function platformTags(platform: string): readonly string[] {
  const tag = normalizedPlatform(platform);
  const glibc = /^manylinux_2_(\d+)_(\w+)$/.exec(tag);
  if (glibc !== null) return glibcTags(Number(glibc[1]), glibc[2] ?? '');
  const legacy = /^(manylinux(?:1|2010|2014))_(\w+)$/.exec(tag);
  if (legacy !== null) return glibcTags(GLIBC_MINOR_OF[legacy[1] ?? ''] ?? 0, legacy[2] ?? '');
  const musl = /^musllinux_1_(\d+)_(\w+)$/.exec(tag);
  if (musl !== null) return muslTags(Number(musl[1]), musl[2] ?? '');
  const mac = /^macosx_(\d+)_(\d+)_(\w+)$/.exec(tag);
  if (mac !== null) return macTags([Number(mac[1]), Number(mac[2])], mac[3] ?? '');
  return [tag];
}

/** A platform tag in lower case, with `_` for what may not stand in a tag (PEP 425). */
export function normalizedPlatform(platform: string): string {
  return platform.toLowerCase().replace(/[-. ]/g, '_');
}

/** PEP 600, PEP 656: `linux_<arch>` first, then every older C library. */
function glibcTags(minor: number, arch: string): string[] {
  const oldest = X86.has(arch) ? OLDEST_GLIBC_MINOR_X86 : OLDEST_GLIBC_MINOR;
  const tags = [`linux_${arch}`];
  for (let each = minor; each >= oldest; each--) {
    tags.push(`manylinux_2_${each}_${arch}`);
    const legacy = LEGACY_TAG_OF.get(each);
    if (legacy !== undefined) tags.push(`${legacy}_${arch}`);
  }
  return tags;
}

function muslTags(minor: number, arch: string): string[] {
  const older = Array.from({ length: minor + 1 }, (_, at) => `musllinux_1_${minor - at}_${arch}`);
  return [`linux_${arch}`, ...older];
}

type MacVersion = readonly [major: number, minor: number];

function macTags([major, minor]: MacVersion, arch: string): string[] {
  const tags: string[] = [];
  const add = (version: MacVersion, formats: readonly string[]): void => {
    for (const format of formats) tags.push(`macosx_${version[0]}_${version[1]}_${format}`);
  };
  if (major === 10) {
    for (let each = minor; each >= 0; each--) add([10, each], macFormats([10, each], arch));
  }
  if (major < 11) return tags;
  for (let each = major; each > 10; each--) add([each, 0], macFormats([each, 0], arch));
  // macOS 11 on Intel runs what was built for 10.x; on Apple's processors only the Intel half of
  // a universal2 wheel can name such an old system.
  for (let each = 16; each > 3; each--) {
    add([10, each], arch === 'x86_64' ? macFormats([10, each], arch) : ['universal2']);
  }
  return tags;
}

function isBefore([major, minor]: MacVersion, [otherMajor, otherMinor]: MacVersion): boolean {
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}

/** The kinds of fat and thin binaries that a processor runs under this version, best first. */
function macFormats(version: MacVersion, arch: string): string[] {
  const formats = [arch];
  if (arch === 'x86_64') {
    if (isBefore(version, [10, 4])) return [];
    formats.push('intel', 'fat64', 'fat3');
  } else if (arch === 'i386') {
    if (isBefore(version, [10, 4])) return [];
    formats.push('intel', 'fat3', 'fat');
  } else if (arch === 'ppc64') {
    if (isBefore([10, 5], version) || isBefore(version, [10, 4])) return [];
    formats.push('fat64');
  } else if (arch === 'ppc') {
    if (isBefore([10, 6], version)) return [];
    formats.push('fat3', 'fat');
  }
  if (arch === 'arm64' || arch === 'x86_64') formats.push('universal2');
  if (['x86_64', 'i386', 'ppc64', 'ppc', 'intel'].includes(arch)) formats.push('universal');
  return formats;
}
