import { NotFoundError, RefusedError } from '../core/errors.ts';
import type { HeldFile } from '../store/catalog.ts';
import { fitsSpecifier } from '../store/kept-files.ts';
import type { Store } from '../store/store.ts';
import type { Selection } from '../packaging/selection.ts';
import { isCacheThere, selectionOf, withMirror } from './cache-folder.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { formatBytes, formatCount, formatSpan } from './format.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb } from './verb.ts';

/** `wheelcellar delete NAME[==V]…`: takes files out of the mirror, one's own included. */
export const verb: Verb = {
  name: 'delete',
  summary: 'Take files out of the mirror',
  configure: (command) => {
    command.argument('<projects...>', 'names, or names and versions: flask, flask==3.0.0');
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options, config } = context;
    const selections = args.map(selectionOf);
    if (!isCacheThere(config())) throw nothingOf(selections[0]);
    const { graceMs } = config().cache;
    const deleted = await withMirror(context, async ({ store }) => {
      const files = selections.flatMap((selection) => filesOf(store, selection));
      const gone = await store.catalog.deleteFiles(files, graceMs);
      await store.finishStaticPages();
      await store.catalog.deleteDeparted();
      return gone;
    });
    const bytes = deleted.reduce((sum, file) => sum + file.sizeBytes, 0);
    const distributions = deleted.filter(({ kind }) => kind === 'distribution');
    if (options['json'] === true) {
      const files = distributions.map(({ project, filename, upstream, path, sizeBytes }) => ({
        project,
        filename,
        upstream,
        path,
        sizeBytes,
      }));
      printJson(io, { deleted: files, bytes, graceMs });
      return EXIT.ok;
    }
    for (const { filename } of distributions) printLine(io, filename);
    printLine(
      io,
      `${formatCount(distributions.length, 'file')} deleted, ${formatBytes(bytes)}; the bytes leave the disk ${formatSpan(graceMs)} from now`,
    );
    return EXIT.ok;
  },
};

/** @throws NotFoundError when there is none, RefusedError when one is kept or in a set */
function filesOf(store: Store, selection: Selection): HeldFile[] {
  const { project, specifier } = selection;
  const files = store.catalog.filesOf(project).filter((file) => fitsSpecifier(file, specifier));
  if (files.length === 0) throw nothingOf(selection);
  const pin = store.records.pins
    .ofProject(project)
    .find((each) => files.some((file) => fitsSpecifier(file, each.specifier)));
  if (pin !== undefined) {
    throw new RefusedError(`${project}${pin.specifier} is kept.`, {
      hint: `Take that back first: wheelcellar unkeep "${project}${pin.specifier}"`,
    });
  }
  const sets = store.records.sets.namesByPath(project);
  const set = files.flatMap(({ path }) => sets.get(path) ?? [])[0];
  if (set !== undefined) {
    throw new RefusedError(`${project}${specifier} is in the recorded set ${set}.`, {
      hint: `Forget the set first: wheelcellar record --delete ${set}`,
    });
  }
  return files;
}

function nothingOf(selection: Selection | undefined): NotFoundError {
  const what = `${selection?.project ?? ''}${selection?.specifier ?? ''}`;
  return new NotFoundError(`No file of ${what} is held.`, {
    hint: '"wheelcellar ls" lists what is held.',
  });
}
