import { existsSync } from 'node:fs';
import { NotFoundError } from '../core/errors.ts';
import { elementsPath } from '../paths.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb } from './verb.ts';

/** `wheelcellar elements`: the folder to put into `ELEMENTS_PATH`. */
export const verb: Verb = {
  name: 'elements',
  summary: 'Print the folder of the diskimage-builder elements, for ELEMENTS_PATH',
  configure: addJsonFlag,
  run: async ({ io, options }) => {
    const path = elementsPath();
    if (!existsSync(path)) {
      throw new NotFoundError(`The folder of the elements is missing: ${path}`, {
        hint: 'The installation is incomplete; install the package again.',
      });
    }
    if (options['json'] === true) printJson(io, { elements: path });
    else printLine(io, path);
    return EXIT.ok;
  },
};
