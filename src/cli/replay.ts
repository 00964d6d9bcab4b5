import { missingFiles } from '../build/recorded-set.ts';
import { createMirror, mirrorThrough } from '../compose.ts';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load-config.ts';
import { messageOf, NotFoundError, NotHeldOfflineError } from '../core/errors.ts';
import { SetRepository } from '../repository/set-repository.ts';
import type { RecordedSet } from '../store/set-table.ts';
import type { Store } from '../store/store.ts';
import { addJsonFlag } from './flags.ts';
import { formatCount, formatTime } from './format.ts';
import { runMirrored } from './mirrored-build.ts';
import { environmentOf } from './serve.ts';
import { quietly } from './set-flags.ts';
import { printJson } from './verb.ts';
import type { Verb, VerbContext } from './verb.ts';

/** So many missing files are named one by one. */
const NAMED_FILES = 20;

/** `wheelcellar replay SET -- CMD …`: the build sees what it saw when the set was recorded, and nothing else. */
export const verb: Verb = {
  name: 'replay',
  summary: 'Run a build that sees exactly a recorded set, whatever was released since',
  configure: (command) => {
    command
      .argument('<set>', 'a set of "wheelcellar record --list"')
      .argument('<command...>', 'what to run; write it after "--"');
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options } = context;
    const [name = '', ...words] = args;
    const settings = settingsOf(context);
    const env = environmentOf(settings, io);
    const mirror = await createMirror(settings, env);
    try {
      const set = findSet(mirror.store, name);
      const { signal } = new AbortController();
      const missing = await missingFiles(mirror.repository, set, {
        signal,
        networkMode: 'offline',
      });
      if (missing.length > 0) throw notWhole(set, missing);
      const { files, recordedAt } = set;
      io.stderr.write(
        `wheelcellar: ${name}: ${formatCount(files.length, 'file')} as recorded ${formatTime(recordedAt)}; no index is asked\n`,
      );
      const seen = mirrorThrough(mirror, new SetRepository(mirror.repository, set), settings);
      const status = await runMirrored(context, words, seen, settings, env);
      if (options['json'] === true)
        printJson(io, { name, recordedAt, files: files.length, status });
      return status;
    } finally {
      await mirror.close(0);
    }
  },
};

/** Offline; and what was yanked then was seen then. */
function settingsOf(context: VerbContext): Config {
  const { configInput } = context;
  const offline = loadConfig({ ...configInput, flags: { ...configInput.flags, offline: true } });
  const settings = quietly(offline, context);
  return { ...settings, index: { ...settings.index, hideYanked: 'never' } };
}

/** @throws NotFoundError */
function findSet(store: Store, name: string): RecordedSet {
  const set = store.records.sets.find(name);
  if (set !== undefined) return set;
  const names = store.records.sets.summaries().map((each) => each.name);
  throw new NotFoundError(`There is no recorded set ${JSON.stringify(name)}.`, {
    hint:
      names.length === 0
        ? 'None is recorded yet: wheelcellar record -o SET -- CMD'
        : `There are: ${names.join(', ')}.`,
  });
}

function notWhole(
  { name }: RecordedSet,
  missing: readonly { readonly filename: string; readonly error: unknown }[],
): NotHeldOfflineError {
  const lines = missing
    .slice(0, NAMED_FILES)
    .map(({ filename, error }) => `\n  ${filename}: ${messageOf(error)}`);
  const more = missing.length > NAMED_FILES ? `\n  and ${missing.length - NAMED_FILES} more` : '';
  return new NotHeldOfflineError(
    `${name} is not whole: ${formatCount(missing.length, 'file')} cannot be had as recorded.${lines.join('')}${more}`,
    {
      hint: 'Nothing was run. Fetch them again while online (prefetch, verify --repair), or record anew.',
    },
  );
}
