import { parseProjectName } from '../packaging/names.ts';
import type { ProjectName } from '../packaging/names.ts';

/** A requirement line that names a git repository. */
export interface VcsRequirement {
  /** `null` when the line does not say it. */
  readonly name: ProjectName | null;
  /** `[socks,http2]`; empty for none. */
  readonly extras: string;
  /** As behind `;`; empty for none. */
  readonly marker: string;
  /** As git takes it. */
  readonly url: string;
  /** Branch, tag, commit, or any other ref; `null` for the default branch. */
  readonly ref: string | null;
  /** Folder of the project in the repository, `/` between names; empty for the top. */
  readonly subdirectory: string;
}

/** How git may be asked to get what a requirement names; `ext::` and the like run programs. */
export const REMOTE_PROTOCOLS: readonly string[] = ['https', 'http', 'ssh', 'git'];

const NAMED = /^([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*@\s*(git\+\S+)(?:\s*;\s*(.+))?$/;
const BARE = /^(git\+\S+)(?:\s+;\s*(.+))?$/;
const PLACE = /^git\+((?:https?|ssh|git|file):\/\/[^/#]*)(\/[^#]*)(?:#(.*))?$/;

/**
 * Reads a line with a `git+` URL, in the form of PEP 508 (`name @ git+https://…`) or in pip's own
 * (`-e git+https://…@ref#egg=name&subdirectory=folder`); `undefined` for any other line.
 */
export function parseVcsRequirement(line: string): VcsRequirement | undefined {
  const plain = line.replace(/^(?:-e|--editable)[\s=]*/, '').trim();
  const [, name, extras, named, namedMarker] = NAMED.exec(plain) ?? [];
  const [, bare, bareMarker] = BARE.exec(plain) ?? [];
  const place = PLACE.exec(named ?? bare ?? '');
  if (place === null) return undefined;
  const [, origin = '', path = '', fragment = ''] = place;
  const at = path.lastIndexOf('@');
  const facts = new URLSearchParams(fragment);
  const [, eggName, eggExtras] = /^([^[]+)(\[[^\]]*\])?$/.exec(facts.get('egg') ?? '') ?? [];
  const said = name ?? eggName;
  const project = said === undefined ? null : parseProjectName(said);
  const ref = at < 0 ? null : decoded(path.slice(at + 1));
  const subdirectory = (facts.get('subdirectory') ?? '').replace(/^\/+|\/+$/g, '');
  if (project === undefined || ref === '' || ref?.startsWith('-') === true) return undefined;
  if (subdirectory.split('/').some((part) => part === '..' || part === '.git')) return undefined;
  return {
    name: project,
    extras: extras ?? eggExtras ?? '',
    marker: namedMarker ?? bareMarker ?? '',
    url: `${origin}${at < 0 ? path : path.slice(0, at)}`,
    ref,
    subdirectory,
  };
}

/** Whether it leads to a folder of this machine. */
export function isLocal({ url }: VcsRequirement): boolean {
  return url.startsWith('file:');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
