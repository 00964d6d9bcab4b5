import { parseProjectName } from './names.ts';
import type { ProjectName } from './names.ts';
import { isValidSpecifier } from './versions.ts';

/** A project, and which of its versions are meant. */
export interface Selection {
  readonly project: ProjectName;
  /** Specifier set without spaces (PEP 440); empty for every version. */
  readonly specifier: string;
}

/** Name, then nothing or a specifier set, in parentheses or not. */
const SELECTION = /^\s*([A-Za-z0-9][A-Za-z0-9._-]*?)\s*(?:\(([^()]*)\)|([<>=!~][^()]*))?\s*$/;

/**
 * What people write to name files of a project: `flask`, `Flask==3.0`, `flask>=2,<3`. `undefined` when
 * it is not that.
 */
export function parseSelection(text: string): Selection | undefined {
  const [, name = '', inParentheses, bare] = SELECTION.exec(text) ?? [];
  const project = parseProjectName(name);
  const specifier = (inParentheses ?? bare ?? '').replace(/\s+/g, '');
  if (project === undefined || !isValidSpecifier(specifier)) return undefined;
  return { project, specifier };
}
