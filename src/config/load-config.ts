/**
 * How settings are made: each source is read into the shape of the configuration file, checked by
 * itself (so that every problem is named where it was written, all at once), its paths are made
 * absolute, and the sources are laid over each other:
 *
 *   defaults ← $DIB_IMAGE_CACHE ← file ← WHEELCELLAR_* ← DIB_OFFLINE, DIB_NO_PYPI_PIP ← flags
 */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { codeOf, ConfigurationError, messageOf } from '../core/errors.ts';
import { absolutePath, defaultConfigFile, withAbsolutePaths } from './config-paths.ts';
import type { Config, ConfigInput } from './config.ts';
import {
  CONFIG_FILE_VARIABLE,
  credentialVariables,
  findOrphanCredentials,
  readEnvironmentLayer,
  readForeignSwitchLayer,
  readImageCacheLayer,
  withCredentials,
} from './environment-layer.ts';
import { readFileLayer } from './file-layer.ts';
import type { LayerReading } from './file-layer.ts';
import { extraIndexClashes, indexFlagsGiven, readFlagLayer, withIndexFlags } from './flag-layer.ts';
import { problemsOf } from './problems.ts';
import type { Layer, Origin } from './problems.ts';
import { overlay, valueAt } from './raw-document.ts';
import type { RawDocument } from './raw-document.ts';
import { configKeys, DEFAULT_DOCUMENT, toConfig } from './schema.ts';

/** Where a key's value came from. */
export interface KeySource {
  readonly origin: Origin;
  /** `FILE:LINE`, a variable's or flag's name, or several with commas; `null` for a default. */
  readonly place: string | null;
}

/** The settings and their story. */
export interface ExplainedConfig {
  readonly config: Config;
  /** By key name (`cache.max_size`); has every key. */
  readonly sources: ReadonlyMap<string, KeySource>;
  /** The configuration file that was read; `null` when there is none. */
  readonly file: string | null;
}

/**
 * The settings of one run: defaults ← file ← environment ← flags.
 *
 * @throws ConfigurationError with every problem at once
 */
export function loadConfig(input: ConfigInput): Config {
  return explainConfig(input).config;
}

/**
 * Like `loadConfig`, and says where each value came from.
 *
 * @throws ConfigurationError with every problem at once
 */
export function explainConfig(input: ConfigInput): ExplainedConfig {
  const { env, homeDir, flags = {} } = input;
  const cwd = input.cwd ?? '.';
  const file = findFile(input, cwd);
  const sources: readonly (LayerReading & { readonly base: string })[] = [
    { ...readImageCacheLayer(env), base: cwd },
    ...(file === null
      ? []
      : [{ ...readFileLayer(file.path, file.text), base: dirname(file.path) }]),
    { ...readEnvironmentLayer(env), base: cwd },
    { ...readForeignSwitchLayer(env), base: cwd },
    { ...readFlagLayer(flags), base: cwd },
  ];
  refuse(sources.flatMap(({ layer, problems }) => [...problems, ...problemsOf(layer)]));

  const layers = sources.map(({ layer, base }) => ({
    ...layer,
    document: withAbsolutePaths(layer.document, base, homeDir),
  }));
  const defaults = withAbsolutePaths(DEFAULT_DOCUMENT, homeDir, homeDir);
  const merged = layers.reduce<RawDocument>(
    (below, layer) => overlay(below, layer.document),
    defaults,
  );
  const upstreams = merged['upstreams'] as readonly RawDocument[];
  refuse([...extraIndexClashes(upstreams, flags), ...listenProblems(merged, layers)]);

  const config = toConfig({ ...merged, upstreams: withIndexFlags(upstreams, flags) });
  refuse(findOrphanCredentials(config.upstreams, env));
  return {
    config: { ...config, upstreams: withCredentials(config.upstreams, env) },
    sources: withCredentialSources(sourcesOf(layers, indexFlagsGiven(flags)), env),
    file: file?.path ?? null,
  };
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new ConfigurationError([...new Set(problems)]);
}

/** A file that was named must be there; the one at the usual place may be. */
function findFile(input: ConfigInput, cwd: string): { path: string; text: string } | null {
  const { env, homeDir, readFile = (path: string): string => readFileSync(path, 'utf8') } = input;
  const named = input.configFile ?? (env[CONFIG_FILE_VARIABLE] || undefined);
  const path =
    named === undefined
      ? defaultConfigFile(env['XDG_CONFIG_HOME'], homeDir)
      : absolutePath(named, cwd, homeDir);
  try {
    return { path, text: readFile(path) };
  } catch (error) {
    const isMissing = ['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '');
    if (isMissing && named === undefined) return null;
    const reason = isMissing ? 'there is no such file' : messageOf(error);
    const hint =
      input.configFile === undefined && named !== undefined
        ? `The file is named by ${CONFIG_FILE_VARIABLE}.`
        : 'Give the path of a YAML file with -c, or leave -c out.';
    throw new ConfigurationError([`Cannot read the configuration file ${path}: ${reason}.`], {
      cause: error,
      hint,
    });
  }
}

function listenProblems(merged: RawDocument, layers: readonly Layer[]): readonly string[] {
  const { listen, unix } = merged;
  if (!Array.isArray(listen) || listen.length > 0 || unix !== null) return [];
  const place = layers.findLast((layer) => 'listen' in layer.document)?.place(['listen']) ?? '';
  return [
    `${place}: listen is empty and unix is not set; give at least one host:port or a socket.`,
  ];
}

function sourcesOf(
  layers: readonly Layer[],
  indexFlags: readonly string[],
): ReadonlyMap<string, KeySource> {
  const sources = configKeys().map(({ name, path }): [string, KeySource] => {
    if (name === 'upstreams' && indexFlags.length > 0) {
      return [name, { origin: 'flag', place: indexFlags.join(', ') }];
    }
    const layer = layers.findLast(({ document }) => valueAt(document, path) !== undefined);
    return [name, { origin: layer?.origin ?? 'default', place: layer?.place(path) ?? null }];
  });
  return new Map(sources);
}

/** Credentials come beside the list of upstreams, wherever that is from. */
function withCredentialSources(
  sources: ReadonlyMap<string, KeySource>,
  env: ConfigInput['env'],
): ReadonlyMap<string, KeySource> {
  const variables = credentialVariables(env);
  const upstreams = sources.get('upstreams');
  if (variables.length === 0 || upstreams === undefined) return sources;
  const places = [
    upstreams.place ?? upstreams.origin,
    `environment variable ${variables.join(', ')}`,
  ];
  return new Map([...sources, ['upstreams', { ...upstreams, place: places.join(', ') }]]);
}
