import { writeTarGz } from '../support/tar-writer.ts';
import { writeSdist, writeWheel } from '../support/wheel-writer.ts';
import type { WrittenFile } from '../support/wheel-writer.ts';
import { sha256Of } from '../support/fake-upstream.ts';
import type { FakeFile } from '../support/fake-upstream.ts';

/** Files by normalized project name, as a fake upstream takes them. */
export type Projects = Readonly<Record<string, readonly FakeFile[]>>;

/** Big enough that nobody takes all of it for its metadata by accident. */
const BIG_BYTES = 2_500_000;

/** One project for each thing that a client must get right, each as small as can be. */
export function clientProjects(): Projects {
  const alpha = { name: 'alpha', version: '1.0', requires: ['beta>=1'] };
  return {
    alpha: [writeWheel(alpha), writeSdist(alpha)],
    beta: [writeWheel({ name: 'beta', version: '1.0', paddingBytes: BIG_BYTES })],
    // PEP 592: 1.1 is for those who pin it.
    yanky: [
      writeWheel({ name: 'yanky', version: '1.0' }),
      { ...writeWheel({ name: 'yanky', version: '1.1' }), yanked: 'broken <badly> & "so"' },
    ],
    pythonic: [
      writeWheel({ name: 'pythonic', version: '1.0', requiresPython: '>=3.6,<5' }),
      writeWheel({ name: 'pythonic', version: '2.0', requiresPython: '>=4' }),
    ],
    'delta-pkg-x': [writeWheel({ name: 'Delta_Pkg.X', version: '1.0' })],
    // The + is %2B in pip's requests and + in uv's.
    cpuish: [writeWheel({ name: 'cpuish', version: '1.0+cpu' })],
    dated: [
      { ...writeWheel({ name: 'dated', version: '1.0' }), uploadTime: '2023-02-03T04:05:06Z' },
      { ...writeWheel({ name: 'dated', version: '2.0' }), uploadTime: '2025-02-03T04:05:06Z' },
    ],
    source: [writeSdist({ name: 'source', version: '0.3' })],
    'setup-py': [writeSetupPySdist('setup_py', '0.4')],
  };
}

/** The same projects as an index lists them that knows neither sizes, metadata nor upload times. */
export function withoutMetadata(projects: Projects): Projects {
  return Object.fromEntries(
    Object.entries(projects).map(([name, files]) => [
      name,
      files.map(({ metadata: _metadata, ...file }) => file),
    ]),
  );
}

/** What asks for everything in `clientProjects`, but for the sdists, which not every client can build. */
export const REQUIREMENTS: readonly string[] = [
  'alpha',
  'Delta_Pkg.X',
  'pythonic',
  'cpuish',
  'yanky',
];

/** What `REQUIREMENTS` must lead to. */
export const INSTALLED: readonly string[] = [
  'alpha==1.0',
  'beta==1.0',
  'cpuish==1.0+cpu',
  'delta-pkg-x==1.0',
  'pythonic==1.0',
  'yanky==1.0',
];

/** A requirements file in hash-checking mode for those pins, with the digest of every file of theirs. */
export function hashedRequirements(projects: Projects, pins: readonly string[]): string {
  return pins
    .map((pin) => {
      const [name = '', version = ''] = pin.split('==');
      const files = (projects[name] ?? []).filter(({ filename }) =>
        filename.startsWith(`${name.replaceAll('-', '_')}-${version}`),
      );
      const hashes = files.map(({ content }) => ` --hash=sha256:${sha256Of(content)}`);
      return `${pin}${hashes.join('')}\n`;
    })
    .join('');
}

/** An sdist as they were before PEP 517: `setup.py` and nothing that says how to build. */
function writeSetupPySdist(name: string, version: string): WrittenFile {
  const stem = `${name}-${version}`;
  const about = `Metadata-Version: 1.0\nName: ${name}\nVersion: ${version}\n`;
  // easy_install zips what it builds, and zip files know no times before 1980, such as the archive's.
  const dated = `import os\nos.utime("${name}.py")\n`;
  const setup = `${dated}from setuptools import setup\nsetup(name="${name}", version="${version}", py_modules=["${name}"])\n`;
  const members = Object.entries({
    'PKG-INFO': about,
    'setup.py': setup,
    [`${name}.py`]: `__version__ = "${version}"\n`,
  });
  const content = writeTarGz(
    members.map(([path, text]) => ({ path: `${stem}/${path}`, content: Buffer.from(text) })),
  );
  return { filename: `${stem}.tar.gz`, content, sha256: sha256Of(content) };
}
