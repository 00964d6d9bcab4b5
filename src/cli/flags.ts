import { Option } from 'commander';
import type { Command } from 'commander';
import type { PartialFlags } from '../config/config.ts';

/** Adds the flags that every verb takes: `-c`, `--cache-dir`, `--offline`. `main` does this. */
export function addCommonFlags(command: Command): void {
  command
    .option('-c, --config <file>', 'configuration file')
    .option('--cache-dir <dir>', 'folder of the cache')
    .addOption(new Option('--offline', 'ask no upstream at all'));
}

/** Adds the flags of verbs that may reach an upstream: `--index-url`, `--extra-index`. */
export function addUpstreamFlags(command: Command): void {
  command
    .option('--index-url <url>', "take this index's URL in place of the first upstream's")
    .option('--extra-index <name=url>', 'ask this index after the others (repeatable)', gather);
}

/** Adds all flags of `serve`, those of `addUpstreamFlags` included. */
export function addServeFlags(command: Command): void {
  command
    .option('--listen <host:port>', 'address to listen on (repeatable, or with commas)', gatherList)
    .option('--unix <path>', 'Unix socket to listen on as well');
  addUpstreamFlags(command);
  command
    .addOption(
      new Option(
        '--prefer-offline',
        'serve what is held without asking whether it is fresh',
      ).conflicts('offline'),
    )
    .option('--index-ttl <duration>', 'freshness of index pages, such as 10m')
    .option('--max-size <size>', 'size of the cache, such as 20GB')
    .option('--no-ahead', 'do not ask indexes ahead of installers')
    .option('--workers <count>', 'processes that serve; 1 by default', wholeNumber)
    .option('--base-path <path>', 'path that all routes begin with, such as /pypi')
    .option('--trust-proxy <peer>', 'peer whose X-Forwarded-* headers are believed', gatherList)
    .option('--log-format <format>', 'text, json or auto')
    .option('--log-level <level>', 'debug, info, warn, error or silent');
}

/** Adds `--json`, for verbs that read. */
export function addJsonFlag(command: Command): void {
  command.option('--json', 'print JSON');
}

/** The settings among parsed flags, as `loadConfig` takes them. */
export function settingFlags(options: Readonly<Record<string, unknown>>): PartialFlags {
  const { extraIndex, ...rest } = options;
  const known = Object.entries(rest).filter(
    // A `--no-…` that is not given is `true` to commander, and says nothing.
    ([name, value]) => SETTING_FLAGS.has(name) && !(name === 'ahead' && value === true),
  );
  // commander has checked the types: values are texts, switches are true, repeatable flags are lists.
  const flags: PartialFlags = Object.fromEntries(known);
  return extraIndex === undefined
    ? flags
    : { ...flags, extraIndexes: extraIndex as readonly string[] };
}

/** Flags by commander's name that are settings under the same name. */
const SETTING_FLAGS: ReadonlySet<string> = new Set<keyof PartialFlags>([
  'listen',
  'unix',
  'cacheDir',
  'indexUrl',
  'offline',
  'preferOffline',
  'ahead',
  'indexTtl',
  'maxSize',
  'maxAge',
  'workers',
  'basePath',
  'trustProxy',
  'logFormat',
  'logLevel',
]);

/** Text that is no number stays text, for the settings' own complaint. */
function wholeNumber(value: string): number | string {
  return /^\d{1,9}$/.test(value) ? Number(value) : value;
}

/** A URL may hold commas, so each is a flag of its own. */
function gather(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function gatherList(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...value.split(',').map((part) => part.trim())];
}
