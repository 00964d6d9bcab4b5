import { access, constants, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { createMirror } from '../compose.ts';
import { ConfigurationError, codeOf } from '../core/errors.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { environmentOf } from './serve.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb } from './verb.ts';

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
    const files = args.map((file) => resolve(io.cwd, file));
    // All or nothing, as far as that can be told beforehand.
    const problems = await Promise.all(files.map(problemOf));
    const found = problems.filter((problem) => problem !== null);
    if (found.length > 0) throw new ConfigurationError(found);
    const mirror = await createMirror(settings, environmentOf(settings, io));
    const added = [];
    try {
      for (const file of files) {
        const held = await mirror.store.local.add(file);
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

/** Why this file cannot be added, as a sentence. */
async function problemOf(file: string): Promise<string | null> {
  try {
    if (!(await stat(file)).isFile()) return `${file} is not a file.`;
    await access(file, constants.R_OK);
    return null;
  } catch (error) {
    return codeOf(error) === 'ENOENT'
      ? `There is no file ${file}.`
      : `${file} cannot be read: ${codeOf(error)}.`;
  }
}
