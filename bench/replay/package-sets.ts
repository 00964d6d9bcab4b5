import { writeWheel } from '../../test/support/wheel-writer.ts';
import type { WrittenWheel } from '../../test/support/wheel-writer.ts';

/** One project of a set of real, installable wheels. */
interface SetProject {
  readonly name: string;
  readonly requires: readonly string[];
  /** Of its newest wheel; older ones are a tenth smaller. */
  readonly kilobytes: number;
  /** How many versions there are: 1.0, 1.1, … */
  readonly versions: number;
}

/** Packages that are installed together. */
interface PackageSet {
  /** What the installer is asked for. */
  readonly requirements: readonly string[];
  readonly projects: readonly SetProject[];
}

const CHAIN_LENGTH = 30;
const link = (at: number): string => `chain-${String(at).padStart(2, '0')}`;

/** Thirty wheels of which each needs the next: the worst case, as each page is known after a file. */
const CHAIN: PackageSet = {
  requirements: [link(1)],
  projects: Array.from({ length: CHAIN_LENGTH }, (_, index) => ({
    name: link(index + 1),
    requires: index + 1 < CHAIN_LENGTH ? [`${link(index + 2)}>=1`] : [],
    kilobytes: 20 + ((index * 37) % 180),
    versions: 1,
  })),
};

/** The shape of flask and what it needs. */
const FLASK_LIKE: PackageSet = {
  requirements: ['flaskoid'],
  projects: [
    {
      name: 'flaskoid',
      requires: [
        'werkzoid>=1.5',
        'jinjoid>=1.2',
        'danger-oid>=1.2',
        'clickoid>=1.1',
        'blink-oid>=1.3',
      ],
      kilobytes: 103,
      versions: 40,
    },
    { name: 'werkzoid', requires: ['markup-oid>=1.1'], kilobytes: 225, versions: 60 },
    { name: 'jinjoid', requires: ['markup-oid>=1.0'], kilobytes: 135, versions: 50 },
    { name: 'markup-oid', requires: [], kilobytes: 22, versions: 60 },
    { name: 'danger-oid', requires: [], kilobytes: 16, versions: 20 },
    { name: 'clickoid', requires: [], kilobytes: 102, versions: 45 },
    { name: 'blink-oid', requires: [], kilobytes: 9, versions: 15 },
  ],
};

const member = (at: number): string => `broad-${String(at).padStart(2, '0')}`;

/** Twenty-five packages: five that are asked for, four levels deep, with much in common. */
const BROAD: PackageSet = {
  requirements: [1, 2, 3, 4, 5].map(member),
  projects: Array.from({ length: 25 }, (_, index) => {
    const at = index + 1;
    const needs = [at + 5, at + 6, at + 11].filter((other) => other <= 25 && at <= 18);
    return {
      name: member(at),
      requires: needs.map((other) => `${member(other)}>=1.1`),
      kilobytes: 15 + ((at * 53) % 300),
      versions: 12,
    };
  }),
};

export type PackageSetName = '30-chain' | 'flask-like' | '25 packages';

/** Sets by name; an install scenario names one. */
const PACKAGE_SETS: Readonly<Record<PackageSetName, PackageSet>> = {
  '30-chain': CHAIN,
  'flask-like': FLASK_LIKE,
  '25 packages': BROAD,
};

/** All wheels of a project of a set, oldest first; `undefined` for other names. */
export function wheelsOf(name: string): WrittenWheel[] | undefined {
  const project = projects.get(name);
  return project === undefined
    ? undefined
    : Array.from({ length: project.versions }, (_, minor) => wheelOf(project, minor));
}

/** `name==version` of all that a set installs: the newest of each, or each at the version before. */
export function installedBy(set: PackageSetName, versions: 'newest' | 'pinned'): string[] {
  return PACKAGE_SETS[set].projects
    .map((project) => `${project.name}==1.${pick(project, versions)}`)
    .toSorted();
}

/** What to ask for: the set's requirements, or every project at an exact older version. */
export function requirementsOf(set: PackageSetName, versions: 'newest' | 'pinned'): string[] {
  return versions === 'newest' ? [...PACKAGE_SETS[set].requirements] : installedBy(set, versions);
}

/** Names of all projects of all sets. */
export function setProjects(): string[] {
  return [...projects.keys()];
}

const projects: ReadonlyMap<string, SetProject> = new Map(
  Object.values(PACKAGE_SETS)
    .flatMap((set) => set.projects)
    .map((project) => [project.name, project]),
);

function pick(project: SetProject, versions: 'newest' | 'pinned'): number {
  // Three before the newest still fits every `>=` above where there are several.
  const back = versions === 'pinned' && project.versions > 4 ? 3 : 0;
  return project.versions - 1 - back;
}

function wheelOf(project: SetProject, minor: number): WrittenWheel {
  const isNewest = minor === project.versions - 1;
  return writeWheel({
    name: project.name,
    version: `1.${minor}`,
    requires: project.requires,
    requiresPython: '>=3.8',
    paddingBytes: Math.round(project.kilobytes * (isNewest ? 1000 : 900)),
  });
}
