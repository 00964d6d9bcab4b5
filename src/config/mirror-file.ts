import { z } from 'zod';
import { ConfigurationError } from '../core/errors.ts';
import { absolutePath } from './config-paths.ts';
import { readFileLayer } from './file-layer.ts';
import { flag, list, oneOf, path as pathValue } from './leaves.ts';
import { nearest } from './nearest.ts';
import { shown } from './problems.ts';
import type { Layer } from './problems.ts';
import { valueAt } from './raw-document.ts';
import type { KeyPath } from './raw-document.ts';

/** Wheels: the index's, built only where it has none; all built here; or none. */
export type WheelChoice = 'fetch' | 'build' | 'none';

/** One mirror of a `mirror.yaml`. */
export interface MirrorSettings {
  /** Also the name of its folders below the cache root. */
  readonly name: string;
  /** Git URLs and absolute paths. */
  readonly projects: readonly string[];
  /** Absolute path of the index root. */
  readonly output: string;
  /** Absolute paths of requirement files that belong to no project. */
  readonly requirements: readonly string[];
  /** Requirements as one would give them to pip. */
  readonly packages: readonly string[];
  /** Globs over branches (`origin/stable/*`); empty for all. */
  readonly branches: readonly string[];
  /** Versions of Python; empty for this machine's. */
  readonly pythons: readonly string[];
  /** Platform tags; empty for this machine. */
  readonly platforms: readonly string[];
  readonly wheels: WheelChoice;
  /** Whether lines with git URLs are left out, or mirrored as sdists of their commits. */
  readonly vcs: 'leave-out' | 'build';
  /** Whether files stay listed that no branch asks for any more. */
  readonly keep: 'all' | 'listed';
  /** An index that is asked before the configured ones. */
  readonly url: string | null;
  /** The configured index that is asked first. */
  readonly upstream: string | null;
  /** Where a lock file is written, with `{project}` and `{branch}`; absolute. */
  readonly lock: string | null;
  /** Whether folders are reachable under the name as written, too (`MarkupSafe`). */
  readonly legacyNames: boolean;
}

/** A `mirror.yaml`, checked. */
export interface MirrorFile {
  /** Absolute path of the folder for work trees and downloads. */
  readonly cacheRoot: string;
  readonly mirrors: readonly MirrorSettings[];
}

const NAME_FORMS = 'a name that can be a folder: letters, digits, dots, - and _';
const PYTHON_FORMS = 'a version of Python in quotes, such as "3.10"';
const URL_FORMS = 'the http or https URL of an index';

const text = (forms: string): z.ZodType<string> =>
  z.string({ error: forms }).min(1, { error: forms });

const mirrorShape = {
  name: z.string({ error: NAME_FORMS }).regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,100}$/, {
    error: NAME_FORMS,
  }),
  output: pathValue(),
  projects: list(text('the URL or path of a git repository'), 'a list of URLs').optional(),
  requirements: list(pathValue(), 'a list of requirement files').optional(),
  packages: list(text('a requirement, such as flask>=3'), 'a list of requirements').optional(),
  branches: list(
    text('a pattern of branches, such as origin/main'),
    'a list of patterns',
  ).optional(),
  python: list(
    z.string({ error: PYTHON_FORMS }).regex(/^(?:pp)?\d\.\d{1,2}(?:\.\d+)?t?$/, {
      error: PYTHON_FORMS,
    }),
    'a list of versions',
  ).optional(),
  platforms: list(
    z.string({ error: 'a platform tag' }).regex(/^[a-z][a-z0-9_]+$/, {
      error: 'a platform tag, such as manylinux_2_28_x86_64',
    }),
    'a list of platform tags',
  ).optional(),
  wheels: oneOf(['fetch', 'build', 'none']).optional(),
  keep: oneOf(['all', 'listed']).optional(),
  url: z
    .string({ error: URL_FORMS })
    .regex(/^https?:\/\/[^/]/, { error: URL_FORMS })
    .refine((value) => URL.canParse(value), { error: URL_FORMS })
    .optional(),
  upstream: text('the name of a configured upstream').optional(),
  lock: pathValue().optional(),
  'legacy-names': flag().optional(),
  vcs: oneOf(['leave-out', 'build']).optional(),
};

const fileSchema = z.strictObject({
  'cache-root': pathValue(),
  mirrors: list(
    z.strictObject(mirrorShape, { error: 'a mirror with its name and its output' }),
    'a list of mirrors',
  ),
});

const TOP_KEYS = ['cache-root', 'mirrors'];
const MIRROR_KEYS = Object.keys(mirrorShape);

/**
 * Reads a `mirror.yaml` (YAML 1.2): the keys of openstack's `pypi-mirror`, and ours. Relative paths begin
 * at `baseDir`, the folder of the file.
 *
 * @param file its name in messages
 * @throws ConfigurationError with every problem and its line; unknown keys with the nearest known one
 */
export function readMirrorFile(
  file: string,
  content: string,
  baseDir: string,
  homeDir: string,
): MirrorFile {
  const { layer, problems } = readFileLayer(file, content);
  if (problems.length > 0) throw new ConfigurationError(problems);
  const parsed = fileSchema.safeParse(layer.document);
  if (!parsed.success) throw new ConfigurationError(sentencesFor(parsed.error.issues, layer));
  const mirrors = parsed.data.mirrors.map((raw) => settingsOf(raw, baseDir, homeDir));
  const wrong = mirrors.flatMap((mirror, at) => contradictions(mirror, at, mirrors, layer));
  if (mirrors.length === 0) wrong.push(`${layer.place(['mirrors'])}: mirrors is empty.`);
  if (wrong.length > 0) throw new ConfigurationError(wrong);
  return { cacheRoot: absolutePath(parsed.data['cache-root'], baseDir, homeDir), mirrors };
}

type RawMirror = z.infer<z.ZodObject<typeof mirrorShape>>;

function settingsOf(raw: RawMirror, baseDir: string, homeDir: string): MirrorSettings {
  const absolute = (path: string): string => absolutePath(path, baseDir, homeDir);
  return {
    name: raw.name,
    projects: (raw.projects ?? []).map((url) => (isLocalPath(url) ? absolute(url) : url)),
    output: absolute(raw.output).replace(/(?<=.)\/+$/, ''),
    requirements: (raw.requirements ?? []).map(absolute),
    packages: raw.packages ?? [],
    branches: raw.branches ?? [],
    pythons: raw.python ?? [],
    platforms: raw.platforms ?? [],
    wheels: raw.wheels ?? 'fetch',
    vcs: raw.vcs ?? 'leave-out',
    keep: raw.keep ?? 'all',
    url: raw.url ?? null,
    upstream: raw.upstream ?? null,
    lock: raw.lock === undefined ? null : absolute(raw.lock),
    legacyNames: raw['legacy-names'] ?? false,
  };
}

/** What git takes for a path: no scheme, and no `host:path` before the first slash. */
function isLocalPath(url: string): boolean {
  return !url.includes('://') && !/^[^/]+:/.test(url);
}

function contradictions(
  mirror: MirrorSettings,
  at: number,
  all: readonly MirrorSettings[],
  layer: Layer,
): string[] {
  const place = layer.place(['mirrors', at]);
  const found: string[] = [];
  const sources = [mirror.projects, mirror.requirements, mirror.packages];
  if (sources.every((source) => source.length === 0)) {
    found.push(
      `${place}: mirror ${mirror.name} has nothing to mirror; give projects, requirements or packages.`,
    );
  }
  if (all.findIndex(({ name }) => name === mirror.name) < at)
    found.push(`${place}: there is a mirror ${mirror.name} already; give another name.`);
  if (all.findIndex(({ output }) => output === mirror.output) < at)
    found.push(`${place}: another mirror has the output ${mirror.output} already.`);
  if (mirror.vcs === 'build' && mirror.wheels === 'none') {
    found.push(
      `${place}: mirror ${mirror.name} has vcs: build, which runs code, and wheels: none, which runs none; give wheels: fetch.`,
    );
  }
  if (mirror.url !== null && mirror.upstream !== null)
    found.push(`${place}: mirror ${mirror.name} has url and upstream; give one of them.`);
  return found;
}

function sentencesFor(issues: readonly z.core.$ZodIssue[], layer: Layer): string[] {
  return issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => unknownKey([...issue.path, key], layer));
    const value = valueAt(layer.document, issue.path);
    const state = value === undefined ? 'is missing' : `is ${shown(issue.path, value)}`;
    const wanted = layer.place(issue.path);
    const name = nameOf(issue.path);
    return [`${wanted}: ${name === '' ? 'the file' : name} ${state}; give ${issue.message}.`];
  });
}

function unknownKey(keyPath: KeyPath, layer: Layer): string {
  const known = keyPath.length === 1 ? TOP_KEYS : MIRROR_KEYS;
  const near = nearest(String(keyPath.at(-1)), known);
  const hint = near === undefined ? `; known are ${known.join(', ')}.` : `; did you mean ${near}?`;
  return `${layer.place(keyPath)}: unknown key ${nameOf(keyPath)}${hint}`;
}

/** `mirrors[0].output`. */
function nameOf(keyPath: KeyPath): string {
  return keyPath
    .map((part, at) =>
      typeof part === 'number' ? `[${part}]` : `${at > 0 ? '.' : ''}${String(part)}`,
    )
    .join('');
}
