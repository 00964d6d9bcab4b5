import type { PartialFlags } from './config.ts';
import type { LayerReading } from './file-layer.ts';
import { shown } from './problems.ts';
import { withValue } from './raw-document.ts';
import type { KeyPath, RawDocument } from './raw-document.ts';
import { findIssues } from './schema.ts';

const FLAG_KEYS = [
  { field: 'listen', flag: '--listen', path: ['listen'] },
  { field: 'unix', flag: '--unix', path: ['unix'] },
  { field: 'cacheDir', flag: '--cache-dir', path: ['cache', 'dir'] },
  { field: 'maxSize', flag: '--max-size', path: ['cache', 'max_size'] },
  { field: 'maxAge', flag: '--max-age', path: ['cache', 'max_age'] },
  { field: 'indexTtl', flag: '--index-ttl', path: ['index', 'ttl'] },
  { field: 'workers', flag: '--workers', path: ['workers'] },
  { field: 'basePath', flag: '--base-path', path: ['base_path'] },
  { field: 'trustProxy', flag: '--trust-proxy', path: ['trust_proxy'] },
  { field: 'offline', flag: '--offline', path: ['offline'] },
  { field: 'preferOffline', flag: '--prefer-offline', path: ['prefer_offline'] },
  { field: 'ahead', flag: '--no-ahead', path: ['ahead', 'enabled'] },
  { field: 'logFormat', flag: '--log-format', path: ['log', 'format'] },
  { field: 'logLevel', flag: '--log-level', path: ['log', 'level'] },
] as const;

/** The name an index given by `--index-url` has when there is no upstream whose place it takes. */
const FIRST_UPSTREAM = 'pypi';

/** Reads the flags that set a key; `--index-url` and `--extra-index` change a list: see `withIndexFlags`. */
export function readFlagLayer(flags: PartialFlags): LayerReading {
  let document: RawDocument = {};
  for (const { field, path } of FLAG_KEYS) {
    const value = flags[field];
    if (value !== undefined) document = withValue(document, path, value);
  }
  const place = (path: KeyPath): string =>
    FLAG_KEYS.find((each) => each.path.every((part, index) => path[index] === part))?.flag ?? '';
  return { layer: { origin: 'flag', document, place }, problems: indexFlagProblems(flags) };
}

/** The names of the flags that changed the list of upstreams. */
export function indexFlagsGiven(flags: PartialFlags): readonly string[] {
  const first = flags.indexUrl === undefined ? [] : ['--index-url'];
  return (flags.extraIndexes ?? []).length === 0 ? first : [...first, '--extra-index'];
}

/**
 * The list of upstreams after `--index-url` and `--extra-index`. The first keeps its name and its
 * globs; file hosts and credentials were meant for the URL that is replaced and go with it.
 */
export function withIndexFlags(
  upstreams: readonly RawDocument[],
  flags: PartialFlags,
): readonly RawDocument[] {
  const extras = (flags.extraIndexes ?? []).map(extraUpstream);
  if (flags.indexUrl === undefined) return [...upstreams, ...extras];
  const { name = FIRST_UPSTREAM, projects } = upstreams[0] ?? {};
  const first = { name, url: flags.indexUrl, ...(projects === undefined ? {} : { projects }) };
  return [first, ...upstreams.slice(1), ...extras];
}

/** Names that `--extra-index` takes a second time. */
export function extraIndexClashes(
  upstreams: readonly RawDocument[],
  flags: PartialFlags,
): readonly string[] {
  const taken = new Set(upstreams.map(({ name }) => name));
  if (flags.indexUrl !== undefined && upstreams.length === 0) taken.add(FIRST_UPSTREAM);
  return (flags.extraIndexes ?? []).flatMap((text) => {
    const { name } = extraUpstream(text);
    if (taken.has(name))
      return [`--extra-index: there is an upstream ${String(name)} already; give another name.`];
    taken.add(name);
    return [];
  });
}

function extraUpstream(text: string): RawDocument {
  const at = text.indexOf('=');
  return { name: text.slice(0, at), url: text.slice(at + 1) };
}

function indexFlagProblems(flags: PartialFlags): readonly string[] {
  const wrongUrl =
    flags.indexUrl === undefined
      ? []
      : upstreamProblems('--index-url', { name: 'x', url: flags.indexUrl });
  const wrongExtras = (flags.extraIndexes ?? []).flatMap((text) => {
    const upstream = extraUpstream(text);
    if (!/^[^=:/]+=/.test(text)) {
      return [
        `--extra-index: ${shown([], text)} is not NAME=URL, such as torch=https://example.org/simple/.`,
      ];
    }
    return upstreamProblems('--extra-index', upstream);
  });
  return [...wrongUrl, ...wrongExtras];
}

function upstreamProblems(flag: string, upstream: RawDocument): readonly string[] {
  return findIssues({ upstreams: [upstream] }).map((issue) => {
    const key = String(issue.path.at(-1));
    return `${flag}: ${key} is ${shown([key], upstream[key])}; give ${issue.message}.`;
  });
}
