/** Requirements as people and packages write them (packaging.python.org, "Dependency specifiers"). */
import { parseProjectName } from './names.ts';
import type { ProjectName } from './names.ts';
import { isValidSpecifier } from './versions.ts';

/** One requirement, taken apart. */
export interface Requirement {
  readonly name: ProjectName;
  /** As written. */
  readonly extras: readonly string[];
  /** Specifier set without spaces (PEP 440); empty for every version. */
  readonly specifier: string;
  /** What stands behind `@`; `null` without it. */
  readonly url: string | null;
  /** What stands behind `;`; empty without it. */
  readonly marker: string;
}

const NAME_AND_EXTRAS = /^\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\]]*)\])?\s*/;

/** Longer texts are not read: they come from upstream. */
const LONGEST = 10_000;

/** The requirement that a text is, or `undefined` when it is none. */
export function parseRequirement(text: string): Requirement | undefined {
  if (text.length > LONGEST) return undefined;
  const found = NAME_AND_EXTRAS.exec(text);
  const name = parseProjectName(found?.[1] ?? '');
  if (found === null || name === undefined) return undefined;
  const extras = extrasOf(found[2]);
  if (extras === undefined) return undefined;
  const rest = text.slice(found[0].length);
  if (rest.startsWith('@')) {
    // Behind a URL a semicolon belongs to it unless a space stands before.
    const [, url, marker = ''] = /^@\s*(\S+)(?:\s+;(.*))?\s*$/s.exec(rest) ?? [];
    return url === undefined
      ? undefined
      : { name, extras, specifier: '', url, marker: marker.trim() };
  }
  const at = rest.indexOf(';');
  const marker = at === -1 ? '' : rest.slice(at + 1).trim();
  const written = (at === -1 ? rest : rest.slice(0, at)).trim().replace(/^\((.*)\)$/, '$1');
  const specifier = written.replace(/\s+/g, '');
  if (specifier !== '' && !/^[<>=!~]/.test(specifier)) return undefined;
  if (!isValidSpecifier(specifier)) return undefined;
  return { name, extras, specifier, url: null, marker };
}

/** The version that a specifier set allows alone (`==1.0`, `===1.0`), or `undefined`. */
export function pinnedVersion(specifier: string): string | undefined {
  return /^===?([^,*<>=!~]+)$/.exec(specifier)?.[1];
}

function extrasOf(text: string | undefined): readonly string[] | undefined {
  if (text === undefined || text.trim() === '') return [];
  const extras = text.split(',').map((extra) => extra.trim());
  return extras.every((extra) => parseProjectName(extra) !== undefined) ? extras : undefined;
}
