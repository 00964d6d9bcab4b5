import { readFile, realpath, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Argument } from 'commander';
import type { Config } from '../config/config.ts';
import { OFFICIAL_FILE_HOST, OFFICIAL_INDEX_URL } from '../config/upstream-schema.ts';
import { ConfigurationError, codeOf } from '../core/errors.ts';
import type { MirrorPlaces } from '../packaging/lock/mirror-addresses.ts';
import { rewriteLock } from '../repository/lock-rewriting.ts';
import type { FoundAddress } from '../repository/lock-rewriting.ts';
import { OfficialAddresses } from '../repository/official-addresses.ts';
import { writeAtomically } from '../store/atomic-file.ts';
import { layoutOf } from '../store/layout.ts';
import { PageFiles } from '../store/page-files.ts';
import { isCacheThere } from './cache-folder.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb, VerbContext } from './verb.ts';

/** Where image builds see the cache folder (the element `pypi`). */
const FOLDER_IN_BUILDS = 'file:///tmp/pypi';

/** What was found in one lock file. */
interface Looked {
  readonly file: string;
  readonly path: string;
  readonly text: string;
  readonly found: readonly FoundAddress[];
}

/** `wheelcellar lock canonicalize|check FILE…`: locks made through the mirror, as if it had not been there. */
export const verb: Verb = {
  name: 'lock',
  summary:
    "Turn mirror addresses in lock files back into the indexes' own, or fail when there are any",
  configure: (command) => {
    command
      .addArgument(new Argument('<action>', 'what to do').choices(['canonicalize', 'check']))
      .argument('<files...>', 'uv.lock, pylock.toml, poetry.lock, pdm.lock, requirements.txt, …')
      .option(
        '--mirror <url>',
        'a root of the mirror, such as https://pypi.example (repeatable)',
        (value: string, before: readonly string[]) => [...before, value],
        [],
      )
      .option('--stdout', 'canonicalize: print the one file instead of replacing it')
      .option('--dry-run', 'canonicalize: only tell what would change');
    addUpstreamFlags(command);
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options } = context;
    const [action, ...files] = args;
    if (options['stdout'] === true && files.length > 1)
      throw new ConfigurationError(['--stdout takes one file.']);
    const settings = context.config();
    const looked = [];
    for (const file of files) looked.push(await look(file, context, settings));
    const isCheck = action === 'check';
    if (!isCheck && options['stdout'] === true) io.stdout.write(textOf(looked));
    else if (!isCheck && options['dryRun'] !== true) await Promise.all(looked.map(replace));
    if (options['json'] === true)
      printJson(
        io,
        looked.map(({ file, found }) => ({ file, found })),
      );
    else report(context, looked, isCheck);
    const all = looked.flatMap(({ found }) => found);
    const bad = isCheck ? all : all.filter(({ official }) => official === null);
    return bad.length === 0 ? EXIT.ok : EXIT.failed;
  },
};

async function look(file: string, { io, options }: VerbContext, settings: Config): Promise<Looked> {
  const path = resolve(io.cwd, file);
  // Every byte is one character, so that what is not touched stays as it is.
  const text = (await readLock(file, path)).toString('latin1');
  const pages = isCacheThere(settings) ? new PageFiles(layoutOf(settings.cache.dir)) : null;
  const official = new OfficialAddresses(
    settings.upstreams,
    { indexUrl: OFFICIAL_INDEX_URL, fileHost: OFFICIAL_FILE_HOST },
    pages,
  );
  const mirrors = (options['mirror'] ?? []) as readonly string[];
  const { text: rewritten, found } = await rewriteLock(text, placesOf(settings, mirrors), official);
  return { file, path, text: rewritten, found };
}

async function readLock(file: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const why = codeOf(error) === 'ENOENT' ? 'is not there' : `cannot be read: ${codeOf(error)}`;
    throw new ConfigurationError([`${file} ${why}.`], { cause: error });
  }
}

/** The mirror's own addresses, as far as the configuration tells, and those of its upstreams. */
function placesOf(settings: Config, mirrors: readonly string[]): MirrorPlaces {
  const problems = mirrors
    .filter((url) => !/^(?:https?|file):\/\//i.test(url) || !URL.canParse(url))
    .map((url) => `--mirror: ${JSON.stringify(url)} is no http, https or file URL.`);
  if (problems.length > 0) throw new ConfigurationError(problems);
  const { basePath, cache, allowedHosts, listen, upstreams } = settings;
  const upstreamHosts = upstreams.flatMap(({ url, fileHosts }) => [
    new URL(url).host,
    ...(fileHosts ?? []),
  ]);
  return {
    // An index's address stands for the mirror that it belongs to.
    roots: [
      ...mirrors.map((url) => url.replace(/(?:\/simple)?\/*$/, '')),
      ...listen.flatMap(({ host, port }) =>
        namesOf(host).map((name) => `http://${name}:${port}${basePath === '/' ? '' : basePath}`),
      ),
      pathToFileURL(join(cache.dir, 'mirror')).href,
      FOLDER_IN_BUILDS,
    ],
    hosts: [
      ...allowedHosts,
      ...listen.flatMap(({ host }) => namesOf(host)).map((name) => name.replace(/^\[|\]$/g, '')),
    ],
    basePath,
    upstreamHosts: [...upstreamHosts, new URL(OFFICIAL_INDEX_URL).host, OFFICIAL_FILE_HOST],
  };
}

/** The names by which a listener is reached from this machine, as they stand in URLs. */
function namesOf(host: string): readonly string[] {
  const loopback = ['127.0.0.1', 'localhost', '[::1]'];
  if (host === '0.0.0.0' || host === '::') return [...loopback, hostname().toLowerCase()];
  if (loopback.includes(host) || host === '::1') return loopback;
  return [host.includes(':') ? `[${host}]` : host.toLowerCase()];
}

/** Replaces the file in one step; a link to it stays a link, and its mode stays. */
async function replace({ path, text, found }: Looked): Promise<void> {
  if (found.every(({ official }) => official === null)) return;
  const target = await realpath(path);
  const { mode } = await stat(target);
  const bytes = Buffer.from(text, 'latin1');
  await writeAtomically(target, dirname(target), bytes, { mode: mode & 0o7777, durable: true });
}

function textOf(looked: readonly Looked[]): string {
  return looked.map(({ text }) => Buffer.from(text, 'latin1').toString('utf8')).join('');
}

function report({ io, options }: VerbContext, looked: readonly Looked[], isCheck: boolean): void {
  const isPrinting = options['stdout'] === true;
  const isListing = isCheck || options['dryRun'] === true;
  const say = (line: string): void => {
    if (isPrinting) io.stderr.write(`${line}\n`);
    else printLine(io, line);
  };
  for (const { file, found } of looked) {
    for (const { line, address, official, reason } of found) {
      const place = `${file}:${line}: ${address}`;
      if (official === null) say(`${place} cannot be turned back: ${reason}`);
      else if (isListing) say(`${place} ${official === '' ? 'goes' : `→ ${official}`}`);
    }
    const turned = found.filter(({ official }) => official !== null).length;
    const count = `${turned} address${turned === 1 ? '' : 'es'}`;
    if (isCheck && found.length === 0) say(`${file}: no address of a mirror`);
    if (!isCheck && !isPrinting)
      say(`${file}: ${count} ${options['dryRun'] === true ? 'would be ' : ''}turned back`);
  }
}
