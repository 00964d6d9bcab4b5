import { gzipSync } from 'node:zlib';
import { Header, Parser, Pax } from 'tar';
import type { ReadEntry } from 'tar';
import { IntegrityError, WheelcellarError, messageOf } from '../core/errors.ts';
import { parseProjectName } from './names.ts';
import type { ProjectName } from './names.ts';
import { commitVersion, withVersion } from './source-version.ts';
import { isValidVersion } from './versions.ts';

/** An sdist that says which commit it is of. */
export interface CommitSdist {
  readonly project: ProjectName;
  /** As its build says it, too. */
  readonly version: string;
  /** `<name>-<version>+g<commit>.tar.gz` (PEP 625). */
  readonly filename: string;
  readonly content: Buffer;
}

const BLOCK_BYTES = 512;
const MOST_EXPANDED_BYTES = 512 * 1024 * 1024;

interface Member {
  readonly path: string;
  readonly type: ReadEntry['type'];
  readonly mode: number;
  readonly linkpath: string;
  readonly content: Buffer;
}

/**
 * An sdist (`.tar.gz`, PEP 625) as one of its commit: name, folder, `PKG-INFO` and what its build takes the
 * version from say so. The same commit gives the same bytes: owners are left out, every time is the commit's.
 *
 * @throws IntegrityError when it cannot be read or does not say its name and version
 */
export async function commitSdist(
  archive: Uint8Array,
  { commit, committedAt }: { readonly commit: string; readonly committedAt: Date },
): Promise<CommitSdist> {
  const members = await readMembers(archive);
  const top = members[0]?.path.split('/')[0] ?? '';
  const facts = members.find(({ path }) => path === `${top}/PKG-INFO`)?.content.toString();
  const name = fieldOf(facts, 'Name');
  const before = fieldOf(facts, 'Version');
  const project = parseProjectName(name);
  if (project === undefined || !isValidVersion(before))
    throw new IntegrityError('The sdist does not say its name and version in a PKG-INFO.');
  const version = commitVersion(before, commit);
  const stem = `${project.replaceAll('-', '_')}-${version}`;
  const renamed = (path: string): string =>
    path === top || path.startsWith(`${top}/`) ? `${stem}${path.slice(top.length)}` : path;
  const changed = before === version ? members : withDocuments(members, top, before, version);
  const blocks = changed.flatMap((member) =>
    blocksOf({ ...member, path: renamed(member.path) }, committedAt),
  );
  const content = gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK_BYTES)]));
  return { project, version, filename: `${stem}.tar.gz`, content };
}

function withDocuments(
  members: readonly Member[],
  top: string,
  before: string,
  after: string,
): Member[] {
  const textOf = (name: string): string | undefined =>
    members.find(({ path }) => path === `${top}/${name}`)?.content.toString('utf8');
  const { pyproject, setupConfig } = withVersion(
    { pyproject: textOf('pyproject.toml'), setupConfig: textOf('setup.cfg') },
    before,
    after,
  );
  const texts = new Map<string, string>(
    Object.entries({ 'pyproject.toml': pyproject, 'setup.cfg': setupConfig }).flatMap(
      ([name, text]) => (text === undefined ? [] : [[`${top}/${name}`, text] as const]),
    ),
  );
  const changed = members.map((member) => {
    const text = texts.get(member.path);
    texts.delete(member.path);
    if (text !== undefined) return { ...member, content: Buffer.from(text) };
    if (!/^[^/]+\/(?:[^/]+\/){0,2}PKG-INFO$/.test(member.path)) return member;
    const facts = member.content.toString('utf8');
    const line = /^Version:[ \t]*.*$/m;
    return { ...member, content: Buffer.from(facts.replace(line, `Version: ${after}`)) };
  });
  const added = [...texts].map(([path, text]) => ({
    path,
    type: 'File' as const,
    mode: 0o644,
    linkpath: '',
    content: Buffer.from(text),
  }));
  return [...changed, ...added];
}

function fieldOf(facts: string | undefined, name: string): string {
  const [head = ''] = (facts ?? '').split(/\r?\n\r?\n/);
  return new RegExp(`^${name}:[ \\t]*(\\S+)`, 'mi').exec(head)?.[1] ?? '';
}

async function readMembers(archive: Uint8Array): Promise<Member[]> {
  const members: Promise<Member>[] = [];
  let expandedBytes = 0;
  try {
    await new Promise<void>((resolve, reject) => {
      const parser = new Parser({
        strict: true,
        onReadEntry: (entry) => {
          expandedBytes += entry.size;
          if (expandedBytes > MOST_EXPANDED_BYTES) {
            reject(new Error(`it expands to more than ${MOST_EXPANDED_BYTES} bytes`));
            entry.resume();
            return;
          }
          const { type, mode = 0o644, linkpath = '' } = entry;
          const path = entry.path.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '');
          const member = entry
            .concat()
            .then((content) => ({ path, type, mode, linkpath, content }));
          members.push(member);
        },
      });
      parser.on('error', reject);
      parser.on('end', () => resolve());
      parser.end(Buffer.from(archive));
    });
    return await Promise.all(members);
  } catch (error) {
    if (error instanceof WheelcellarError) throw error;
    throw new IntegrityError(`The sdist cannot be read: ${messageOf(error)}.`, { cause: error });
  }
}

function blocksOf({ path, type, mode, linkpath, content }: Member, mtime: Date): Buffer[] {
  const isFolder = type === 'Directory';
  const facts = {
    path: isFolder ? `${path}/` : path,
    type,
    // Owners differ between machines, and so do masks.
    mode: isFolder || (mode & 0o100) !== 0 ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    size: content.length,
    mtime,
    linkpath,
  };
  const header = new Header(facts);
  header.encode();
  const padding = Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES);
  const long = header.needPax ? [new Pax({ path: facts.path, linkpath }).encode()] : [];
  const block = header.block;
  if (block === undefined) throw new IntegrityError(`${path} cannot be written into an sdist.`);
  return [...long, block, content, padding];
}
