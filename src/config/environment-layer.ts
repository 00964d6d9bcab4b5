import { parse } from 'yaml';
import type { UpstreamConfig } from './config.ts';
import { nearest, suggestion } from './nearest.ts';
import type { LayerReading } from './file-layer.ts';
import { withValue } from './raw-document.ts';
import type { KeyPath, RawDocument } from './raw-document.ts';
import { configKeys } from './schema.ts';
import type { ConfigKey } from './schema.ts';
import { environmentNameOf } from './upstream-schema.ts';

/** Environment variables by name; one that is empty counts as not set. */
export type EnvironmentRecord = Readonly<Record<string, string | undefined>>;

const PREFIX = 'WHEELCELLAR_';

/** Names the configuration file itself, so it is no key of it. */
export const CONFIG_FILE_VARIABLE = 'WHEELCELLAR_CONFIG';

const CREDENTIAL_PATTERN = /^WHEELCELLAR_UPSTREAM_([A-Z0-9_]+)_(USERNAME|PASSWORD)$/;

/**
 * Variables of diskimage-builder that mean the same here as there, by the key they set. Non-empty is
 * what counts: its own tests are `[ -n "$DIB_OFFLINE" ]`, so `0` means yes.
 */
const FOREIGN_SWITCHES = [
  { variable: 'DIB_OFFLINE', path: ['offline'], value: true },
  { variable: 'DIB_NO_PYPI_PIP', path: ['official_index'], value: 'forbidden' },
] as const;

/** The cache folder that `$DIB_IMAGE_CACHE` implies: above the default, below the configuration file. */
export function readImageCacheLayer(env: EnvironmentRecord): LayerReading {
  const folder = env['DIB_IMAGE_CACHE'];
  const document = folder ? { cache: { dir: `${folder.replace(/\/+$/, '')}/pypi` } } : {};
  const place = (): string => 'environment variable DIB_IMAGE_CACHE';
  return { layer: { origin: 'environment', document, place }, problems: [] };
}

/** Reads every `WHEELCELLAR_*` variable; one that is no key's is a problem, so that typos do not pass. */
export function readEnvironmentLayer(env: EnvironmentRecord): LayerReading {
  const problems = [...unknownVariables(env)];
  let document: RawDocument = {};
  for (const key of configKeys()) {
    const text = env[key.environmentName];
    if (!text) continue;
    try {
      document = withValue(document, key.path, valueOf(key, text));
    } catch {
      // The reader's message could quote a password.
      problems.push(
        `environment variable ${key.environmentName}: is no valid YAML; give a list in [ ].`,
      );
    }
  }
  const place = (path: KeyPath): string => `environment variable ${variableFor(path)}`;
  return { layer: { origin: 'environment', document, place }, problems };
}

/**
 * The switches of diskimage-builder. They only ever forbid, so they come after our own variables: two
 * sources that disagree about being offline must not open a connection.
 */
export function readForeignSwitchLayer(env: EnvironmentRecord): LayerReading {
  const set = FOREIGN_SWITCHES.filter(({ variable }) => env[variable]);
  const document = set.reduce<RawDocument>(
    (all, { path, value }) => withValue(all, path, value),
    {},
  );
  const place = (path: KeyPath): string =>
    `environment variable ${set.find((each) => each.path[0] === path[0])?.variable ?? ''}`;
  return { layer: { origin: 'environment', document, place }, problems: [] };
}

/** Fills in what `WHEELCELLAR_UPSTREAM_<NAME>_USERNAME` and `…_PASSWORD` say. */
export function withCredentials(
  upstreams: readonly UpstreamConfig[],
  env: EnvironmentRecord,
): readonly UpstreamConfig[] {
  return upstreams.map((upstream) => {
    const stem = `${PREFIX}UPSTREAM_${environmentNameOf(upstream.name)}`;
    return {
      ...upstream,
      username: env[`${stem}_USERNAME`] || upstream.username,
      password: env[`${stem}_PASSWORD`] || upstream.password,
    };
  });
}

/** Credentials of upstreams that are not configured: most likely a mistyped name. */
export function findOrphanCredentials(
  upstreams: readonly UpstreamConfig[],
  env: EnvironmentRecord,
): readonly string[] {
  const known = new Set(upstreams.map(({ name }) => environmentNameOf(name)));
  return credentialVariables(env)
    .filter((variable) => !known.has(CREDENTIAL_PATTERN.exec(variable)?.[1] ?? ''))
    .map((variable) => {
      const [, name = '', what = ''] = CREDENTIAL_PATTERN.exec(variable) ?? [];
      const near = nearest(name, [...known]);
      const advice = near ? `; did you mean ${PREFIX}UPSTREAM_${near}_${what}?` : '.';
      return `environment variable ${variable}: there is no upstream of that name${advice}`;
    });
}

function unknownVariables(env: EnvironmentRecord): readonly string[] {
  const known = [...configKeys().map((key) => key.environmentName), CONFIG_FILE_VARIABLE];
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && env[name] !== undefined)
    .filter((name) => !known.includes(name) && !CREDENTIAL_PATTERN.test(name))
    .toSorted()
    .map((name) => {
      const leaf = nearest(
        name.slice(PREFIX.length),
        known.map((each) => each.slice(PREFIX.length)),
      );
      return `unknown environment variable ${name}${suggestion(leaf && PREFIX + leaf)}`;
    });
}

/** The variables that hold credentials of upstreams, sorted. */
export function credentialVariables(env: EnvironmentRecord): readonly string[] {
  return Object.keys(env)
    .filter((name) => env[name] && CREDENTIAL_PATTERN.test(name))
    .toSorted();
}

/** Text that cannot be read as the kind stays text, so that the schema names what is allowed. */
function valueOf(key: ConfigKey, text: string): unknown {
  if (key.nullable && text === 'null') return null;
  switch (key.kind) {
    case 'boolean':
      return text === 'true' || (text === 'false' ? false : text);
    case 'number':
      return /^\d+$/.test(text) ? Number(text) : text;
    case 'list':
      return text.split(',').flatMap((part) => part.trim() || []);
    case 'structure':
      return parse(text, { prettyErrors: false }) as unknown;
    case 'text':
      return text;
  }
}

function variableFor(path: KeyPath): string {
  const key = configKeys().find((each) => each.path.every((part, index) => path[index] === part));
  return key?.environmentName ?? '';
}
