import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigurationError } from '../core/errors.ts';
import { metadataFacts } from '../packaging/core-metadata.ts';
import type { LockedPackage } from '../packaging/lock/lock-model.ts';
import { parseProjectName } from '../packaging/names.ts';
import type { LockedDemand } from './demand.ts';

/** What of `direct_url.json` is read (PEP 610). */
interface DirectUrl {
  readonly url?: string;
  readonly vcs_info?: unknown;
}

/**
 * What is installed in an environment, by its `.dist-info` folders (PEP 376): each package at its
 * version, whatever the target. pip itself is left out unless it was asked for: environments bring it.
 *
 * @param folder of a virtual environment, or a `site-packages`
 * @throws ConfigurationError when nothing is installed there
 */
export function installedDemand(folder: string): LockedDemand {
  const places = sitePackages(folder);
  const packages = places.flatMap((place) =>
    listed(place)
      .filter((name) => name.endsWith('.dist-info'))
      .flatMap((name) => packageOf(join(place, name))),
  );
  if (packages.length === 0) {
    throw new ConfigurationError([`Nothing is installed in ${folder}.`], {
      hint: 'Name the folder of a virtual environment, or its site-packages.',
    });
  }
  return { label: folder, packagesFor: () => ({ packages, problems: [] }) };
}

function sitePackages(folder: string): string[] {
  const pythons = listed(join(folder, 'lib')).filter((name) => /^python\d/.test(name));
  return [
    ...pythons.map((name) => join(folder, 'lib', name, 'site-packages')),
    join(folder, 'Lib', 'site-packages'),
    folder,
  ];
}

function packageOf(distInfo: string): LockedPackage[] {
  const bytes = read(join(distInfo, 'METADATA'));
  if (bytes === undefined) return [];
  const { name: written, version } = metadataFacts(bytes);
  const name = parseProjectName(written);
  if (name === undefined || version === '' || name === 'pip') return [];
  const found = { name, version, extras: [], files: [], sha256s: [], index: null };
  const direct = read(join(distInfo, 'direct_url.json'));
  if (direct === undefined) return [{ ...found, source: 'index', location: null }];
  const { url = '', vcs_info: vcs } = JSON.parse(direct.toString()) as DirectUrl;
  const source = vcs !== undefined ? 'vcs' : url.startsWith('file:') ? 'path' : 'url';
  return [{ ...found, source, location: url }];
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
