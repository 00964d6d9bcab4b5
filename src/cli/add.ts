import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { createMirror } from '../compose.ts';
import { ConfigurationError } from '../core/errors.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { environmentOf } from './serve.ts';
import { printJson, printLine } from './verb.ts';
import type { Io, Verb } from './verb.ts';

/** `wheelcellar add FILE…`: one's own wheels and sdists, beside running servers or without any. */
export const verb: Verb = {
  name: 'add',
  summary: 'Put wheels and sdists of your own into the mirror',
  configure: (command) => {
    command.argument('<files...>', 'wheels and sdists');
    addJsonFlag(command);
  },
  run: async ({ io, args, options, config }) => {
    const settings = config();
    const mirror = await createMirror(settings, environmentOf(settings, io));
    const added = [];
    try {
      for (const file of args) {
        const held = await mirror.store.local.add(existingFile(io, file));
        added.push({
          project: held.project,
          filename: held.filename,
          sha256: held.sha256,
          path: held.path,
        });
        if (options['json'] !== true)
          printLine(io, `${held.project}  ${held.filename}  sha256 ${held.sha256}`);
      }
    } finally {
      await mirror.store.flushStaticPages();
      await mirror.close(0);
    }
    if (options['json'] === true) printJson(io, added);
    return EXIT.ok;
  },
};

function existingFile(io: Io, file: string): string {
  const path = resolve(io.cwd, file);
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === true) return path;
  throw new ConfigurationError([`There is no file ${file}.`]);
}
