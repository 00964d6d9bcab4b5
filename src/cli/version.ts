import process from 'node:process';
import { packageFacts } from '../paths.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag } from './flags.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb } from './verb.ts';

/** `wheelcellar version`: name, version, and the Node version it runs on. */
export const verb: Verb = {
  name: 'version',
  summary: 'Print the version',
  configure: addJsonFlag,
  run: async ({ io, options }) => {
    const { name, version } = packageFacts();
    const node = process.versions.node;
    if (options['json'] === true) printJson(io, { name, version, node });
    else printLine(io, `${name} ${version} (Node ${node})`);
    return EXIT.ok;
  },
};
