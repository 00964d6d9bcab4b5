/** Bundles that lie, each in one way. */
import { readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Header } from 'tar';
import { tarEnd, tarFileHead, tarPadding } from '../../src/packaging/tar-archive.ts';
import { sha256Of } from './fake-upstream.ts';

/** What a test changes in `bundle.json`. */
export interface LooseManifest {
  since: string | null;
  parts: { path: string; sizeBytes: number; sha256: string }[];
  files: { path: string; sizeBytes: number; sha256: string; entry: { filename: string } | null }[];
}

/** One entry of an archive, true or not. */
interface LooseEntry {
  readonly path: string;
  readonly content: Buffer;
  readonly type?: 'SymbolicLink' | 'Link' | 'CharacterDevice' | 'FIFO';
}

/** A lie: what it is, the words that name it, and how it is told in an unpacked bundle. */
export interface FolderLie {
  readonly name: string;
  readonly words: RegExp;
  readonly tell: (folder: string) => Promise<void>;
}

/** As {@link FolderLie}, in the entries of an archive. */
export interface ArchiveLie {
  readonly name: string;
  readonly words: RegExp;
  readonly tell: (entries: LooseEntry[]) => LooseEntry[];
  /** What is done to the whole archive afterwards. */
  readonly after?: (archive: Buffer) => Buffer;
}

async function editManifest(
  folder: string,
  edit: (manifest: LooseManifest) => void,
): Promise<void> {
  const path = join(folder, 'bundle.json');
  const manifest = JSON.parse(await readFile(path, 'utf8')) as LooseManifest;
  edit(manifest);
  await writeFile(path, JSON.stringify(manifest));
}

/** Changes a page and has the manifest agree, so that only reading the page can find it. */
async function editPage(
  folder: string,
  form: 'html' | 'json',
  edit: (text: string) => string,
): Promise<void> {
  const path = `simple/project-000001/index.${form}`;
  const text = edit(await readFile(join(folder, path), 'utf8'));
  await writeFile(join(folder, path), text);
  await editManifest(folder, ({ parts }) => {
    const part = parts.find((each) => each.path === path);
    if (part === undefined) throw new Error(`no part ${path}`);
    part.sizeBytes = Buffer.byteLength(text);
    part.sha256 = sha256Of(Buffer.from(text));
  });
}

async function firstPackage(folder: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(folder, 'bundle.json'), 'utf8')) as LooseManifest;
  return manifest.files[0]?.path ?? '';
}

/** Everything that a folder can lie about. */
export const FOLDER_LIES: readonly FolderLie[] = [
  {
    name: 'a flipped byte',
    words: /has the sha256 [0-9a-f]{64}; the manifest says/,
    tell: async (folder) => {
      const path = join(folder, await firstPackage(folder));
      const bytes = await readFile(path);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      await writeFile(path, bytes);
    },
  },
  {
    name: 'a byte more',
    words: /has \d+ bytes; the manifest says \d+/,
    tell: async (folder) => {
      const path = join(folder, await firstPackage(folder));
      await writeFile(path, Buffer.concat([await readFile(path), Buffer.from('x')]));
    },
  },
  {
    name: 'an extra file',
    words: /packages\/evil\.txt is in the bundle, but not in its manifest/,
    tell: (folder) => writeFile(join(folder, 'packages', 'evil.txt'), 'evil'),
  },
  {
    name: 'a missing file',
    words: /is missing from the bundle/,
    tell: async (folder) => rm(join(folder, await firstPackage(folder))),
  },
  {
    name: 'a symbolic link',
    words: /is no plain file/,
    tell: async (folder) => {
      const path = join(folder, await firstPackage(folder));
      await rm(path);
      await symlink('/etc/hostname', path);
    },
  },
  {
    name: 'a wrong digest in the manifest',
    words: /has the sha256 [0-9a-f]{64}; the manifest says f{64}/,
    tell: (folder) =>
      editManifest(folder, ({ parts }) => {
        const [part] = parts;
        if (part !== undefined) part.sha256 = 'f'.repeat(64);
      }),
  },
  {
    name: 'a manifest that leaves the bundle',
    words: /"packages\/\.\.\/\.\.\/evil-1\.0\.tar\.gz", which is no place in a bundle/,
    tell: (folder) =>
      editManifest(folder, ({ files }) => {
        const [file] = files;
        if (file !== undefined) file.path = 'packages/../../evil-1.0.tar.gz';
      }),
  },
  {
    name: 'a manifest with an absolute path',
    words: /"\/etc\/passwd", which is no place in a bundle/,
    tell: (folder) =>
      editManifest(folder, ({ files }) => {
        const [file] = files;
        if (file !== undefined) file.path = '/etc/passwd';
      }),
  },
  {
    name: 'a manifest that names a file twice',
    words: /names packages\/\S+ twice/,
    tell: (folder) =>
      editManifest(folder, ({ files }) => {
        const [file] = files;
        if (file !== undefined) files.push(file);
      }),
  },
  {
    name: 'a package that is named as another project',
    words: /is no file of other/,
    tell: (folder) =>
      editManifest(folder, ({ files }) => {
        const [file] = files;
        if (file !== undefined) Object.assign(file, { project: 'other' });
      }),
  },
  {
    name: 'a page with another digest',
    words: /index\.html lists \S+ with another sha256/,
    tell: (folder) =>
      editPage(folder, 'html', (text) => text.replace(/sha256=[0-9a-f]{8}/, 'sha256=00000000')),
  },
  {
    name: 'a JSON page with another digest',
    words: /index\.json lists \S+ with another sha256/,
    tell: (folder) =>
      editPage(folder, 'json', (text) =>
        text.replace(/"sha256":"[0-9a-f]{8}/, '"sha256":"00000000'),
      ),
  },
  {
    name: 'a page that leads elsewhere',
    words: /index\.html leads \S+ to another place/,
    tell: (folder) =>
      editPage(folder, 'html', (text) =>
        text.replace('href="../../packages/', 'href="https://evil.invalid/packages/'),
      ),
  },
  {
    name: 'a page with a file less',
    words: /index\.html does not list/,
    tell: (folder) => editPage(folder, 'html', (text) => text.replace(/ *<a .*\n/, '')),
  },
  {
    name: 'a page with a file more',
    words: /index\.html lists project_?-?000001-9\.9\.tar\.gz, which is not in the bundle/,
    tell: (folder) =>
      editPage(folder, 'html', (text) =>
        text.replace(
          '</h1>',
          `</h1><a href="../../packages/project-000001-9.9.tar.gz#sha256=${'0'.repeat(64)}">project-000001-9.9.tar.gz</a>`,
        ),
      ),
  },
  {
    name: 'a manifest of another format',
    words: /has format 2, not 1/,
    tell: (folder) => editManifest(folder, (manifest) => Object.assign(manifest, { format: 2 })),
  },
  {
    name: 'a manifest that is no JSON',
    words: /bundle\.json is no JSON/,
    tell: (folder) => writeFile(join(folder, 'bundle.json'), '{"format": 1'),
  },
  {
    name: 'no manifest',
    words: /This is no bundle/,
    tell: (folder) => rm(join(folder, 'bundle.json')),
  },
];

const NOTHING = Buffer.alloc(0);

/** What only an archive can lie about. */
export const ARCHIVE_LIES: readonly ArchiveLie[] = [
  {
    name: 'a path that leaves the bundle',
    words: /"\.\.\/\.\.\/evil\.txt" is no path inside a bundle/,
    tell: (entries) => [...entries, { path: '../../evil.txt', content: Buffer.from('evil') }],
  },
  {
    name: 'an absolute path',
    words: /"\/tmp\/evil\.txt" is no path inside a bundle/,
    tell: (entries) => [...entries, { path: '/tmp/evil.txt', content: Buffer.from('evil') }],
  },
  {
    name: 'a symbolic link',
    words: /packages\/link is a SymbolicLink/,
    tell: (entries) => [
      ...entries,
      { path: 'packages/link', content: NOTHING, type: 'SymbolicLink' },
    ],
  },
  {
    name: 'a hard link',
    words: /packages\/link is a Link/,
    tell: (entries) => [...entries, { path: 'packages/link', content: NOTHING, type: 'Link' }],
  },
  {
    name: 'a device',
    words: /packages\/null is a CharacterDevice/,
    tell: (entries) => [
      ...entries,
      { path: 'packages/null', content: NOTHING, type: 'CharacterDevice' },
    ],
  },
  {
    name: 'a file twice',
    words: /is in the bundle twice/,
    tell: (entries) => [...entries, ...entries.slice(-1)],
  },
  {
    name: 'an extra file',
    words: /packages\/evil\.txt is in the bundle, but not in its manifest/,
    tell: (entries) => [...entries, { path: 'packages/evil.txt', content: Buffer.from('evil') }],
  },
  {
    name: 'a manifest that does not come first',
    words: /begins with \S+ instead of bundle\.json/,
    tell: ([first, second, ...rest]) =>
      [second, first, ...rest].filter((each) => each !== undefined),
  },
  {
    name: 'an end that is cut off',
    words: /The archive is damaged|ends early/,
    tell: (entries) => entries,
    after: (archive) => archive.subarray(0, archive.length - 300),
  },
  {
    name: 'half of it cut off',
    words: /The archive is damaged|ends early/,
    tell: (entries) => entries,
    after: (archive) => archive.subarray(0, archive.length >> 1),
  },
];

/** An archive with exactly these entries. */
export function packArchive(entries: readonly LooseEntry[]): Buffer {
  const blocks = entries.flatMap(({ path, content, type }) => {
    const padding = tarPadding(content.length);
    return [headOf({ path, content, ...(type && { type }) }), content, padding];
  });
  return gzipSync(Buffer.concat([...blocks, tarEnd()]));
}

function headOf({ path, content, type }: LooseEntry): Buffer {
  if (type === undefined) return tarFileHead(path, content.length, 0);
  const block = Buffer.alloc(512);
  new Header({
    path,
    type,
    size: 0,
    mode: 0o644,
    linkpath: type.includes('Link') ? '/etc/passwd' : '',
  }).encode(block);
  return block;
}

/** The files of an unpacked bundle as entries, the manifest first. */
export async function entriesOf(folder: string): Promise<LooseEntry[]> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = names
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name).slice(folder.length + 1))
    .toSorted();
  const ordered = ['bundle.json', ...paths.filter((path) => path !== 'bundle.json')];
  return await Promise.all(
    ordered.map(async (path) => ({ path, content: await readFile(join(folder, path)) })),
  );
}
