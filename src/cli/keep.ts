import { NotFoundError } from '../core/errors.ts';
import { selectionOf, withStore } from './cache-folder.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { formatBytes, formatCount } from './format.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb } from './verb.ts';

/** `wheelcellar keep NAME[SPEC]…`: files that are never evicted, those to come included. */
export const verb: Verb = {
  name: 'keep',
  summary: 'Never evict files of a project',
  configure: (command) => {
    command.argument('<projects...>', 'names, or names and versions: flask, "flask>=2,<3"');
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options } = context;
    const selections = args.map(selectionOf);
    const kept = await withStore(context, async (store) => {
      const results = [];
      for (const { project, specifier } of selections) {
        const files = await store.kept.keep(project, specifier);
        const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
        const count = files.filter(({ kind }) => kind === 'distribution').length;
        results.push({ project, specifier, files: count, bytes });
      }
      return results;
    });
    if (options['json'] === true) printJson(io, { kept });
    else {
      for (const { project, specifier, files, bytes } of kept) {
        const held = files === 0 ? 'none is held yet' : `${formatBytes(bytes)} held now`;
        printLine(io, `${project}${specifier}: ${formatCount(files, 'file')} kept, ${held}`);
      }
    }
    return EXIT.ok;
  },
};

/** `wheelcellar unkeep NAME[SPEC]…`: takes such wishes back. */
export const unkeepVerb: Verb = {
  name: 'unkeep',
  summary: 'Let files of a project be evicted again',
  configure: (command) => {
    command.argument('<projects...>', 'as given to keep; a name alone takes all its wishes back');
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options } = context;
    const selections = args.map(selectionOf);
    const released = await withStore(context, async (store) => {
      for (const { project, specifier } of selections) {
        const pins = store.records.pins.ofProject(project);
        if (pins.some((pin) => specifier === '' || pin.specifier === specifier)) continue;
        const known = pins.map((pin) => `${project}${pin.specifier}`).join(', ');
        throw new NotFoundError(`${project}${specifier} is not kept.`, {
          hint: pins.length === 0 ? `Nothing of ${project} is.` : `What is kept: ${known}.`,
        });
      }
      const results = [];
      for (const { project, specifier } of selections) {
        const pins = await store.kept.unkeep(project, specifier === '' ? null : specifier);
        results.push({ project, specifier, pins });
      }
      return results;
    });
    if (options['json'] === true) printJson(io, { released });
    else {
      for (const { project, specifier } of released)
        printLine(io, `${project}${specifier}: not kept any more`);
    }
    return EXIT.ok;
  },
};
