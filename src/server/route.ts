import { isNormalized, parseProjectName } from '../packaging/names.ts';
import type { ProjectName } from '../packaging/names.ts';

/**
 * What a request path asks for. `depth` is the number of folders between the mirror's root and the page:
 * links in it are relative, so any prefix, host or proxy works.
 */
export type Route =
  | { readonly kind: 'root'; readonly depth: number }
  | { readonly kind: 'project'; readonly project: ProjectName; readonly depth: number }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'redirect'; readonly location: string }
  | { readonly kind: 'own'; readonly path: string }
  | { readonly kind: 'unknown' };

/**
 * Where an index can be mounted, longest first: ours, devpi's two forms, proxpi's, and the bare host for
 * people who set `DIB_PYPI_MIRROR_URL=http://host:3141/`.
 */
const INDEX_ROOTS: readonly (readonly string[])[] = [
  ['root', 'pypi', '+simple'],
  ['root', 'pypi', 'simple'],
  ['simple'],
  ['index'],
  [],
];

/** First segments that are routes, never projects (`/simple/<name>/` serves projects of these names). */
const RESERVED: ReadonlySet<string> = new Set([
  'simple',
  'packages',
  'pypi',
  'root',
  'index',
  'legacy',
  'favicon.ico',
  'robots.txt',
  '.well-known',
  '-',
]);

const UNKNOWN: Route = { kind: 'unknown' };

/**
 * Reads a request target (path and query). Every segment is decoded exactly once; doubled slashes count
 * as one, since pipenv asks for `simple//name/`.
 */
export function parseRoute(target: string, basePath: string): Route {
  const query = target.indexOf('?');
  const rawPath = query < 0 ? target : target.slice(0, query);
  const search = query < 0 ? '' : target.slice(query);
  const below = belowBase(rawPath, basePath);
  if (below === undefined) return UNKNOWN;
  const raw = below.split('/').filter((segment, at, all) => segment !== '' || at === all.length - 1);
  const segments = raw.map(decodeSegment);
  if (!segments.every((segment) => segment !== undefined)) return UNKNOWN;
  const isFolder = segments.at(-1) === '';
  const names = isFolder ? segments.slice(0, -1) : segments;
  if (names[0] === '-') return { kind: 'own', path: names.slice(1).join('/') };
  if (names[0] === 'packages' && names.length > 2) {
    return isFolder ? UNKNOWN : { kind: 'file', path: names.join('/') };
  }
  return indexRoute(names, isFolder, search);
}

function indexRoute(names: readonly string[], isFolder: boolean, search: string): Route {
  const root = INDEX_ROOTS.find((candidate) => candidate.every((segment, at) => names[at] === segment)) ?? [];
  const rest = names.slice(root.length);
  const [name, ...more] = rest;
  if (more.length > 0) return UNKNOWN;
  if (name === undefined) {
    if (isFolder || root.length === 0) return { kind: 'root', depth: root.length };
    return { kind: 'redirect', location: `${root.at(-1)}/${search}` };
  }
  if (root.length === 0 && RESERVED.has(name)) return UNKNOWN;
  const project = parseProjectName(name);
  if (project === undefined) return UNKNOWN;
  if (!isFolder) return { kind: 'redirect', location: `${project}/${search}` };
  if (!isNormalized(name)) return { kind: 'redirect', location: `../${project}/${search}` };
  return { kind: 'project', project, depth: root.length + 1 };
}

/** The path without the prefix that all routes share; `undefined` when it does not have it. */
function belowBase(path: string, basePath: string): string | undefined {
  if (!path.startsWith('/')) return undefined;
  if (basePath === '/') return path.slice(1);
  if (path === basePath) return '';
  return path.startsWith(`${basePath}/`) ? path.slice(basePath.length + 1) : undefined;
}

/** One segment, decoded; `undefined` when it could not be a name: bad encoding, slashes, control characters, dots only. */
function decodeSegment(raw: string): string | undefined {
  let segment: string;
  try {
    segment = raw.includes('%') ? decodeURIComponent(raw) : raw;
  } catch {
    return undefined;
  }
  if (segment === '.' || segment === '..' || segment.length > 255) return undefined;
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return /[\u0000-\u001f\u007f/\\]/.test(segment) ? undefined : segment;
}
