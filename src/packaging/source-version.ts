import { parse } from 'smol-toml';

/** The documents of a source tree that say which version it is; `undefined` where there is none. */
export interface VersionDocuments {
  readonly pyproject: string | undefined;
  readonly setupConfig: string | undefined;
}

/**
 * The version of a commit: the tree's own with `+g<commit>` (PEP 440, "Local version identifiers"). A
 * version that names its commit already, as setuptools-scm makes them, stays.
 */
export function commitVersion(version: string, commit: string): string {
  const [, local] = version.split('+');
  if (local === undefined) return `${version}+g${commit.slice(0, 12)}`;
  if (local.toLowerCase().includes(`g${commit.slice(0, 7)}`)) return version;
  return `${version}.g${commit.slice(0, 12)}`;
}

/**
 * The documents of a tree that says it is `before`, changed so that its build says `after`:
 * where the version is written in `[project]` or `[tool.poetry]` it is replaced; setuptools is told what to
 * put behind its own; from other backends that find it elsewhere it is taken over (PEP 621).
 */
export function withVersion(
  { pyproject, setupConfig }: VersionDocuments,
  before: string,
  after: string,
): VersionDocuments {
  const written = pyproject === undefined ? undefined : writtenVersion(pyproject, after);
  // What it had there is in the whole version already.
  if (written !== undefined)
    return { pyproject: written, setupConfig: setupConfig && withTag(setupConfig, () => '') };
  if (pyproject === undefined || /^setuptools\b|^pbr\b|^$/.test(backendOf(pyproject))) {
    const suffix = after.slice(before.length);
    const tagged = withTag(setupConfig ?? '', (own) => `${own}${suffix}`);
    return { pyproject, setupConfig: tagged };
  }
  return { pyproject: fixedVersion(pyproject, after), setupConfig };
}

function backendOf(pyproject: string): string {
  try {
    const system = parse(pyproject)['build-system'] as { 'build-backend'?: unknown } | undefined;
    const backend = system?.['build-backend'];
    return typeof backend === 'string' ? backend : '';
  } catch {
    return '';
  }
}

/** The document with another version where one is written; `undefined` when none is. */
function writtenVersion(pyproject: string, version: string): string | undefined {
  let table = '';
  let isFound = false;
  const lines = pyproject.split('\n').map((line) => {
    const head = /^\s*\[([^[\]]+)\]\s*(?:#.*)?$/.exec(line);
    if (head !== null) table = head[1]?.replace(/\s/g, '') ?? '';
    if (isFound || (table !== 'project' && table !== 'tool.poetry')) return line;
    return line.replace(/^(\s*version\s*=\s*)(["'])[^"']*\2/, (_all, start: string) => {
      isFound = true;
      return `${start}"${version}"`;
    });
  });
  return isFound ? lines.join('\n') : undefined;
}

/** A dynamic version made a written one. */
function fixedVersion(pyproject: string, version: string): string {
  const dynamic = /^(\s*dynamic\s*=\s*\[)([^\]]*)\]/m;
  const names = dynamic.exec(pyproject)?.[2];
  if (names === undefined || !/["']version["']/.test(names)) return pyproject;
  const rest = names.replace(/["']version["']\s*,?/, '');
  return pyproject.replace(dynamic, (_all, start: string) => {
    return `version = "${version}"\n${start.trimStart()}${rest}]`;
  });
}

/** setuptools' own suffix of versions; what it made its sdist with stands there already. */
function withTag(setupConfig: string, tag: (own: string) => string): string {
  const own = /^(tag[_-]build\s*[=:])[ \t]*(.*?)[ \t]*$/m;
  if (own.test(setupConfig))
    return setupConfig.replace(own, (_all, key: string, was: string) => `${key} ${tag(was)}`);
  const wanted = tag('');
  if (wanted === '') return setupConfig;
  if (/^\[egg_info\]\s*$/m.test(setupConfig))
    return setupConfig.replace(/^\[egg_info\][^\n]*/m, (head) => `${head}\ntag_build = ${wanted}`);
  return `${setupConfig}\n[egg_info]\ntag_build = ${wanted}\n`;
}
