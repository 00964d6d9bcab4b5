import { isNormalized, parseProjectName } from '../packaging/names.ts';
import type { ProjectName } from '../packaging/names.ts';
import { decodePathSegment } from '../simple/link.ts';

/**
 * What a request path asks for. `depth` is the number of folders between the mirror's root and the page:
 * links in it are relative, so any prefix, host or proxy works.
 */
export type Route =
  | { readonly kind: 'root'; readonly depth: number }
  | { readonly kind: 'project'; readonly project: ProjectName; readonly depth: number }
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 'legacy-json';
      readonly project: ProjectName;
      readonly version: string | null;
    }
  | { readonly kind: 'provenance'; readonly project: ProjectName; readonly filename: string }
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

/** No target has these (RFC 9112 §3.2), and no `Location` may get them from one. */
const NOT_IN_A_TARGET = /[\0-\x20\x7f]/;

/** Pages lie at most so deep: each depth is a page of its own in memory. */
const DEEPEST = 12;

/**
 * Reads a request target (path and query). Every segment is decoded exactly once; doubled slashes count
 * as one, since pipenv asks for `simple//name/`. They do count for relative links, where clients take
 * each slash for a folder.
 */
export function parseRoute(target: string, basePath: string): Route {
  if (NOT_IN_A_TARGET.test(target)) return UNKNOWN;
  const query = target.indexOf('?');
  const rawPath = query < 0 ? target : target.slice(0, query);
  const search = query < 0 ? '' : target.slice(query);
  const below = belowBase(rawPath, basePath);
  if (below === undefined) return UNKNOWN;
  // Without its slash, the base's own page would have links that lead beside it.
  if (below === null) return { kind: 'redirect', location: `${lastSegment(basePath)}/${search}` };
  const raw = below.split('/');
  const depth = raw.length - 1;
  const names = raw.filter((segment) => segment !== '').map(decodePathSegment);
  if (!names.every((name) => name !== undefined) || depth > DEEPEST) return UNKNOWN;
  const trailingSlashes = /\/*$/.exec(below)?.[0].length ?? 0;
  const isFolder = trailingSlashes > 0 || names.length === 0;
  if (names[0] === '-') return { kind: 'own', path: names.slice(1).join('/') };
  if (names[0] === 'packages' && names.length > 2) {
    return isFolder ? UNKNOWN : { kind: 'file', path: names.join('/') };
  }
  if (!isFolder) return documentRoute(names) ?? folderRedirect(names, search);
  return folderRoute(names, depth, trailingSlashes, search);
}

/**
 * Documents beside the index: the legacy JSON (pip-tools asks for `/<name>/json`, too) and attestations
 * (PEP 740).
 */
function documentRoute(names: readonly string[]): Route | undefined {
  const [first = '', second = '', third = '', fourth = ''] = names;
  const isJson = names.at(-1) === 'json';
  const isMounted = first === 'pypi';
  if (isJson && isMounted && (names.length === 3 || names.length === 4)) {
    const project = parseProjectName(second);
    const version = names.length === 4 ? third : null;
    return project === undefined ? UNKNOWN : { kind: 'legacy-json', project, version };
  }
  if (isJson && names.length === 2 && !RESERVED.has(first)) {
    const project = parseProjectName(first);
    return project === undefined ? UNKNOWN : { kind: 'legacy-json', project, version: null };
  }
  if (first === 'integrity' && names.length === 5 && names[4] === 'provenance') {
    const project = parseProjectName(second);
    return project === undefined ? UNKNOWN : { kind: 'provenance', project, filename: fourth };
  }
  return undefined;
}

/** The index that the names lie in, and what is asked for below it. */
function mounted(names: readonly string[]): { isBare: boolean; rest: readonly string[] } {
  const root = INDEX_ROOTS.find((mount) => mount.every((segment, at) => names[at] === segment));
  const length = root?.length ?? 0;
  return { isBare: length === 0, rest: names.slice(length) };
}

/** A page without the slash at its end: links in it would lead astray. */
function folderRedirect(names: readonly string[], search: string): Route {
  const { isBare, rest } = mounted(names);
  const [name, ...more] = rest;
  if (name === undefined) return { kind: 'redirect', location: `${names.at(-1)}/${search}` };
  const project = projectAt(name, more, isBare);
  return project === undefined ? UNKNOWN : { kind: 'redirect', location: `${project}/${search}` };
}

function folderRoute(
  names: readonly string[],
  depth: number,
  trailingSlashes: number,
  search: string,
): Route {
  const { isBare, rest } = mounted(names);
  const [name, ...more] = rest;
  if (name === undefined) return { kind: 'root', depth };
  const project = projectAt(name, more, isBare);
  if (project === undefined) return UNKNOWN;
  if (isNormalized(name)) return { kind: 'project', project, depth };
  const up = '../'.repeat(trailingSlashes);
  return { kind: 'redirect', location: `${up}${project}/${search}` };
}

function projectAt(
  name: string,
  more: readonly string[],
  isBare: boolean,
): ProjectName | undefined {
  if (more.length > 0 || (isBare && RESERVED.has(name))) return undefined;
  return parseProjectName(name);
}

/**
 * The path without the prefix that all routes share and its slashes before; `null` when it is the prefix
 * without a slash at its end, `undefined` when it does not have it.
 */
function belowBase(path: string, basePath: string): string | null | undefined {
  if (!path.startsWith('/')) return undefined;
  if (basePath === '/') return path.slice(1);
  const bare = path.replace(/^\/+/, '/');
  if (bare === basePath) return null;
  return bare.startsWith(`${basePath}/`) ? bare.slice(basePath.length + 1) : undefined;
}

function lastSegment(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
