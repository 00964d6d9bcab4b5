import { writeSdist, writeWheel } from './wheel-writer.ts';
import type { WrittenFile } from './wheel-writer.ts';

/** A small index for installers to work on, and what they must make of it. */
export interface SampleSet {
  /** Normalized project name → its files; fits the `projects` of a fake upstream. */
  readonly projects: Readonly<Record<string, WrittenFile[]>>;
  /** What to ask an installer for to get everything. */
  readonly requirements: readonly string[];
  /** `name==version`, normalized and sorted: what is installed afterwards. */
  readonly installed: readonly string[];
  /** Those of `installed` that come as a wheel, with their file. */
  readonly wheels: Readonly<Record<string, WrittenFile>>;
}

/** Names of the sample set's only sdist. */
const SDIST_PROJECT = 'sample-source';
const CHAIN_LENGTH = 30;

/**
 * A chain of 30 projects (each needs the next; names with dots and capitals), a diamond whose two sides
 * leave only the middle of three versions of its bottom, and a project that comes as an sdist alone:
 * 36 wheels and one sdist, 34 of them and the sdist installed.
 */
export function sampleSet(): SampleSet {
  const bottoms = ['1.0', '1.5', '2.0'].map((version) =>
    writeWheel({ name: 'diamond-bottom', version }),
  );
  const sdist = writeSdist({ name: SDIST_PROJECT, version: '0.3' });
  const chain = Array.from({ length: CHAIN_LENGTH }, (_, index) => chainLink(index + 1));
  const diamond = [
    writeWheel({ name: 'diamond', version: '1.0', requires: ['diamond-left', 'diamond-right'] }),
    writeWheel({ name: 'diamond-left', version: '1.0', requires: ['diamond-bottom>=1.2'] }),
    writeWheel({ name: 'diamond-right', version: '1.0', requires: ['diamond-bottom<2'] }),
  ];
  const chosen = [...chain, ...diamond, ...bottoms.filter(isMiddleVersion)];
  const wheels = Object.fromEntries(chosen.map((file) => [pinOf(file), file]));
  return {
    projects: {
      ...Object.fromEntries([...chain, ...diamond].map((file) => [projectOf(file), [file]])),
      'diamond-bottom': bottoms,
      [SDIST_PROJECT]: [sdist],
    },
    requirements: ['sample-chain-01', 'diamond', SDIST_PROJECT],
    installed: [...Object.keys(wheels), `${SDIST_PROJECT}==0.3`].toSorted(),
    wheels,
  };
}

/** Link 1 is as big as a small real wheel and says what Python it needs; the last link needs nothing. */
function chainLink(number: number): WrittenFile {
  return writeWheel({
    name: `Sample.Chain_${twoDigits(number)}`,
    version: `1.${number}`,
    requires: number < CHAIN_LENGTH ? [`sample-chain-${twoDigits(number + 1)}>=1`] : [],
    requiresPython: '>=3.8',
    paddingBytes: number === 1 ? 300_000 : 2_000,
  });
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}

function isMiddleVersion(file: WrittenFile): boolean {
  return file.filename.includes('-1.5-');
}

function projectOf(file: WrittenFile): string {
  return (file.filename.split('-')[0] ?? '').replaceAll('_', '-');
}

function pinOf(file: WrittenFile): string {
  return `${projectOf(file)}==${file.filename.split('-')[1] ?? ''}`;
}
