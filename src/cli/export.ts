import { resolve } from 'node:path';
import { exportTree } from '../bundle/export-tree.ts';
import { createMirror } from '../compose.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { formatBytes, formatCount } from './format.ts';
import { stopOnSignal } from './lazy-resolver.ts';
import { startProgress } from './progress.ts';
import { environmentOf } from './serve.ts';
import { quietly } from './set-flags.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb } from './verb.ts';

/** `wheelcellar export DIR`: what is held now, as a tree that stays as it is. */
export const verb: Verb = {
  name: 'export',
  summary: 'Write what is held as a static tree for nginx, rsync or an object store',
  configure: (command) => {
    command
      .argument('<dir>', 'folder of the tree; run again, only what changed is written')
      .option('--prune', 'remove what an earlier export wrote and is held no more')
      .option('--simple-prefix <path>', 'put the index below this folder, such as simple', '');
    addJsonFlag(command);
  },
  run: async (context) => {
    const { io, args, options, config } = context;
    const folder = resolve(io.cwd, args[0] ?? '');
    // A snapshot of what is here: nobody is asked.
    const settings = { ...quietly(config(), context), offline: true };
    const stop = stopOnSignal(io);
    const mirror = await createMirror(settings, environmentOf(settings, io));
    const bar = startProgress(io, 'exporting');
    try {
      const tree = await exportTree(mirror, {
        folder,
        prefix: String(options['simplePrefix']).replaceAll(/^\/+|\/+$/g, ''),
        prune: options['prune'] === true,
        signal: stop.signal,
        onProgress: (done, total) => bar.update(done, total),
      });
      bar.stop();
      if (options['json'] === true) printJson(io, { folder, ...tree });
      else {
        const { files, projects, sizeBytes, linked, copied, unchanged, gone, pruned } = tree;
        printLine(
          io,
          `${folder}: ${formatCount(files, 'file')} of ${formatCount(projects, 'project')}, ${formatBytes(sizeBytes)}`,
        );
        printLine(
          io,
          `${linked} linked, ${copied} copied, ${unchanged} unchanged, ${formatCount(tree.pagesWritten, 'page')} written, ${pruned} removed`,
        );
        if (gone > pruned) printLine(io, `${gone - pruned} are held no more; --prune removes them`);
      }
      return EXIT.ok;
    } finally {
      bar.stop();
      stop.forget();
      await mirror.close(0);
    }
  },
};
