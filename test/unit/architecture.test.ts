import { readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../../src/', import.meta.url));

/** Imports go from a folder to one of a lower number, or stay inside their folder. */
const LAYERS: Readonly<Record<string, number>> = {
  core: 0,
  config: 1,
  packaging: 1,
  simple: 2,
  upstream: 3,
  store: 3,
  repository: 4,
  resolver: 4,
  service: 5,
  bundle: 5,
  build: 5,
  mirror: 5,
  prefetch: 5,
  server: 6,
  cli: 8,
};
/** Files beside the folders: the one that assembles the program, what the package exports, its paths. */
const ROOT_FILES: Readonly<Record<string, number>> = {
  'paths.ts': 0,
  'open-store.ts': 6,
  'compose.ts': 7,
  'index.ts': 9,
};
/** Imports that the numbers allow and the design does not. */
const NEVER: readonly (readonly [from: string, to: string])[] = [
  ['server', 'store'],
  ['server', 'upstream'],
];
/** The only folders (or files) that may import a package. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  express: ['server'],
  'prom-client': ['server'],
  'node:http': ['server'],
  'proxy-addr': ['server'],
  undici: ['upstream'],
  'lru-cache': ['repository'],
  'better-sqlite3': ['store'],
  'proper-lockfile': ['store'],
  htmlparser2: ['simple'],
  '@renovatebot/pep440': ['packaging'],
  yauzl: ['packaging'],
  tar: ['packaging'],
  'smol-toml': ['packaging'],
  yaml: ['config'],
  zod: ['config'],
  'fastest-levenshtein': ['config'],
  commander: ['cli'],
  'cli-progress': ['cli'],
  pino: ['core/logger.ts'],
  'pino-pretty': ['core/logger.ts'],
  'node:child_process': ['service', 'bundle', 'build', 'mirror', 'resolver', 'cli/pager.ts'],
};

/** `import … from 'x'`, `export … from 'x'`, `import 'x'` and `import('x')`. */
const IMPORT = /(?:^(?:import|export)\s[\w$*{},\s]*?\bfrom\s+|^import\s+|\bimport\(\s*)'([^']+)'/gm;

interface Import {
  readonly from: string;
  /** A path below src, or a package name. */
  readonly to: string;
  readonly isPackage: boolean;
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((path) =>
  path.endsWith('.ts'),
);
const imports: readonly Import[] = files.flatMap((from) => {
  const text = readFileSync(join(SRC, from), 'utf8');
  const found = text.matchAll(IMPORT);
  return [...found].map(([, specifier = '']) => resolveImport(from, specifier));
});

function resolveImport(from: string, specifier: string): Import {
  if (specifier.startsWith('.')) {
    return { from, to: relative(SRC, join(SRC, from, '..', specifier)), isPackage: false };
  }
  const name = /^(?:node:[^/]+|@[^/]+\/[^/]+|[^/]+)/.exec(specifier)?.[0] ?? specifier;
  return { from, to: name, isPackage: true };
}

function folderOf(path: string): string {
  return path.includes('/') ? (path.split('/')[0] ?? '') : path;
}

function layerOf(path: string): number {
  return LAYERS[folderOf(path)] ?? ROOT_FILES[path] ?? Number.NaN;
}

function isAllowed({ from, to }: Import): boolean {
  if (folderOf(from) === folderOf(to)) return true;
  const isForbidden = NEVER.some(([a, b]) => folderOf(from) === a && folderOf(to) === b);
  return !isForbidden && layerOf(from) > layerOf(to);
}

const print = ({ from, to }: Import): string => `${from} → ${to}`;

describe('architecture', () => {
  it('finds the imports of the sources', () => {
    expect(imports.map(print)).toContain('simple/model.ts → packaging/names.ts');
    expect(imports.map(print)).toContain('core/logger.ts → pino');
  });

  it('has a layer for every file', () => {
    expect(files.filter((path) => Number.isNaN(layerOf(path)))).toEqual([]);
  });

  it('imports downwards only', () => {
    const inside = imports.filter(({ isPackage }) => !isPackage);
    expect(inside.filter((found) => !isAllowed(found)).map(print)).toEqual([]);
  });

  it('lets store and upstream meet in the repository layer and in compose.ts only', () => {
    const meeting = files.filter((path) =>
      ['store', 'upstream'].every((folder) =>
        imports.some(({ from, to }) => from === path && folderOf(to) === folder),
      ),
    );
    expect(
      meeting.filter((path) => !['repository', 'compose.ts'].includes(folderOf(path))),
    ).toEqual([]);
  });

  it('lets each package be imported by its owner only', () => {
    const strangers = imports.filter(({ from, to, isPackage }) => {
      const owners = isPackage ? OWNERS[to] : undefined;
      return (
        owners !== undefined && !owners.some((owner) => [folderOf(from), from].includes(owner))
      );
    });
    expect(strangers.map(print)).toEqual([]);
  });

  it('names an owner for every package', () => {
    const used = imports.filter(({ to, isPackage }) => isPackage && !to.startsWith('node:'));
    expect(used.filter(({ to }) => OWNERS[to] === undefined).map(print)).toEqual([]);
  });
});
