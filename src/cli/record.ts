import { randomBytes } from 'node:crypto';
import { access, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { recordedLock } from '../build/recorded-lock.ts';
import { keepRecording } from '../build/recorded-set.ts';
import { createMirror, mirrorThrough } from '../compose.ts';
import { ConfigurationError, NotFoundError, StorageError, codeOf } from '../core/errors.ts';
import { NotedRepository } from '../repository/noted-repository.ts';
import type { RecordedSet, SetSummary } from '../store/set-table.ts';
import { isCacheThere, withStore } from './cache-folder.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag, addUpstreamFlags } from './flags.ts';
import { formatBytes, formatCount, formatTime } from './format.ts';
import { runMirrored } from './mirrored-build.ts';
import { environmentOf } from './serve.ts';
import { quietly } from './set-flags.ts';
import { tableLines } from './table.ts';
import type { Column } from './table.ts';
import { printJson, printLine, printPaged } from './verb.ts';
import type { Io, Verb, VerbContext } from './verb.ts';

/** As PEP 751 lets a lock file be named: no dots. */
const SET_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const LOCK_NAME = /^pylock\.([^.]+)\.toml$/;

/** `wheelcellar record -o SET -- CMD …`: keeps what a build uses as a set that can be replayed. */
export const verb: Verb = {
  name: 'record',
  summary: 'Run a build and keep all that it installs from as a set (see replay)',
  configure: (command) => {
    command
      .argument('[command...]', 'what to run; write it after "--"')
      .option('-o, --output <set>', 'name of the set, or where its lock goes: dir/pylock.NAME.toml')
      .option('--list', 'list the recorded sets')
      .option('--delete <set>', 'forget a set; its files may be evicted again');
    addUpstreamFlags(command);
    addJsonFlag(command);
  },
  run: async (context) => {
    const { args, options } = context;
    const { output, list, delete: doomed } = options;
    const tasks = [output !== undefined, list === true, doomed !== undefined].filter(
      Boolean,
    ).length;
    if (tasks !== 1 || (output === undefined) !== (args.length === 0)) {
      throw new ConfigurationError(
        ['One of these is wanted: -o SET -- CMD …, --list, --delete SET.'],
        {
          hint: 'Such as: wheelcellar record -o web -- pip install -r requirements.txt',
        },
      );
    }
    if (list === true) return await listSets(context);
    if (typeof doomed === 'string') return await deleteSet(context, doomed);
    return await record(context, outputOf(output as string, context.io.cwd));
  },
};

interface Output {
  readonly name: string;
  readonly lockPath: string;
}

/** @throws ConfigurationError */
function outputOf(text: string, cwd: string): Output {
  const filename = basename(text);
  const named = LOCK_NAME.exec(filename)?.[1];
  const name = named ?? text;
  if (!SET_NAME.test(name)) {
    throw new ConfigurationError([`${JSON.stringify(text)} is no name of a set.`], {
      hint: 'Letters, digits, "-" and "_"; or a path that ends in pylock.NAME.toml.',
    });
  }
  return { name, lockPath: resolve(cwd, named === undefined ? `pylock.${name}.toml` : text) };
}

async function record(context: VerbContext, { name, lockPath }: Output): Promise<number> {
  const { io, args, options, config } = context;
  // After a long build it would be a pity.
  await access(dirname(lockPath)).catch((error: unknown) => {
    throw new ConfigurationError([`There is no folder ${dirname(lockPath)} for the lock.`], {
      cause: error,
    });
  });
  const settings = quietly(config(), context);
  const env = environmentOf(settings, io);
  const mirror = await createMirror(settings, env);
  try {
    const noted = new NotedRepository(mirror.repository);
    const seen = mirrorThrough(mirror, noted, settings);
    const recordedAt = env.clock.now();
    const status = await runMirrored(context, args, seen, settings, env);
    if (status !== 0) {
      tell(io, `the build ended with status ${status}; nothing is recorded`);
      return status;
    }
    const networkMode = settings.offline ? 'offline' : 'normal';
    const { signal } = new AbortController();
    const recording = { name, command: args, recordedAt, noted };
    const set = await keepRecording(mirror, recording, { signal, networkMode });
    const urls = new Map(settings.upstreams.map((upstream) => [upstream.name, upstream.url]));
    await writeWhole(lockPath, recordedLock(set, urls));
    await mirror.store.flushStaticPages();
    report(io, options['json'] === true, set, lockPath);
    return EXIT.ok;
  } finally {
    await mirror.close(0);
  }
}

function report(io: Io, isJson: boolean, set: RecordedSet, lockPath: string): void {
  const { name, recordedAt, command, pages, files } = set;
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (isJson) {
    const listed = files.map(({ entry, upstream, path, project, version, ...file }) => {
      const { filename, url } = entry;
      const { sha256, sizeBytes, metadataSha256 } = file;
      const digests = { sha256, sizeBytes, metadataSha256 };
      return { project, version, filename, upstream, path, url, ...digests };
    });
    printJson(io, { name, recordedAt, command, lock: lockPath, bytes, pages, files: listed });
  }
  const projects = new Set(files.map(({ project }) => project)).size;
  tell(
    io,
    `${name}: ${formatCount(files.length, 'file')} of ${formatCount(projects, 'project')}, ${formatBytes(bytes)}; ${formatCount(pages.length, 'page')} read`,
  );
  tell(io, `lock  ${lockPath}`);
  if (files.length === 0)
    tell(io, 'the build asked for no file: does it install from another index?');
  else tell(io, `again  wheelcellar replay ${name} -- ${command.join(' ')}`);
}

async function listSets(context: VerbContext): Promise<number> {
  const { io, options, config } = context;
  const sets = isCacheThere(config())
    ? await withStore(context, async ({ records }) => records.sets.summaries())
    : [];
  if (options['json'] === true) printJson(io, { sets });
  else {
    const lines = sets.length === 0 ? [] : tableLines(COLUMNS, sets);
    await printPaged(io, lines, sets.length === 0 ? 'No set is recorded.' : '');
  }
  return EXIT.ok;
}

const COLUMNS: readonly Column<SetSummary>[] = [
  { title: 'SET', align: 'left', text: ({ name }) => name },
  { title: 'FILES', align: 'right', text: ({ files }) => String(files) },
  { title: 'SIZE', align: 'right', text: ({ bytes }) => formatBytes(bytes) },
  { title: 'RECORDED', align: 'left', text: ({ recordedAt }) => formatTime(recordedAt) },
  { title: 'COMMAND', align: 'left', text: ({ command }) => command.join(' ').slice(0, 60) },
];

async function deleteSet(context: VerbContext, name: string): Promise<number> {
  const { io, options, config } = context;
  const isGone =
    isCacheThere(config()) &&
    (await withStore(context, async ({ records, kept }) => {
      const was = await records.sets.remove(name);
      await kept.mirror();
      return was;
    }));
  if (!isGone) {
    throw new NotFoundError(`There is no recorded set ${JSON.stringify(name)}.`, {
      hint: '"wheelcellar record --list" lists them.',
    });
  }
  if (options['json'] === true) printJson(io, { deleted: name });
  else printLine(io, `${name}: forgotten; its files may be evicted again`);
  return EXIT.ok;
}

/** @throws StorageError */
async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`);
  try {
    await writeFile(temporary, text, { flush: true });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new StorageError(`The set is kept, but ${path} cannot be written: ${codeOf(error)}.`, {
      cause: error,
    });
  }
}

function tell(io: Io, line: string): void {
  io.stderr.write(`wheelcellar: ${line}\n`);
}
