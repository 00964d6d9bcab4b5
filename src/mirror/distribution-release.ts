import { readFile } from 'node:fs/promises';
import { release, type } from 'node:os';

/** Distributors that `lsb_release -i` spells in another way than with a capital first letter. */
const DISTRIBUTORS: Readonly<Record<string, string>> = {
  almalinux: 'AlmaLinux',
  centos: 'CentOS',
  linuxmint: 'LinuxMint',
  'opensuse-leap': 'openSUSE',
  'opensuse-tumbleweed': 'openSUSE',
  ol: 'OracleServer',
  rhel: 'RedHatEnterprise',
  sles: 'SUSE',
};

/**
 * `Ubuntu-24.04`, `Debian-12`: the folder of wheels that only hold on this distribution, as `lsb_release`
 * would spell it, from the text of an os-release file. A distribution without versions is `rolling`.
 */
export function distributionRelease(osRelease: string): string | undefined {
  const fields = new Map(
    osRelease
      .split('\n')
      .map((line) => /^([A-Z_]+)=(["']?)(.*?)\2\s*$/.exec(line))
      .flatMap((match) => (match === null ? [] : [[match[1] ?? '', match[3] ?? ''] as const])),
  );
  const id = fields.get('ID') ?? '';
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(id)) return undefined;
  const distributor = DISTRIBUTORS[id] ?? id.charAt(0).toUpperCase() + id.slice(1);
  const version = fields.get('VERSION_ID') ?? '';
  return `${distributor}-${/^[A-Za-z0-9][A-Za-z0-9._+-]*$/.test(version) ? version : 'rolling'}`;
}

/** That of this machine; one without an os-release file is named by its kernel (`Darwin-24.1.0`). */
export async function thisDistributionRelease(): Promise<string> {
  for (const file of ['/etc/os-release', '/usr/lib/os-release']) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const found = distributionRelease(text);
    if (found !== undefined) return found;
  }
  return `${type()}-${release()}`;
}
