import { Argument } from 'commander';
import { explainConfig } from '../config/load-config.ts';
import { configJsonSchema } from '../config/schema.ts';
import { settingsOf, showConfig } from '../config/show-config.ts';
import { EXIT } from './exit-status.ts';
import { addJsonFlag, addServeFlags } from './flags.ts';
import { printJson, printLine } from './verb.ts';
import type { Verb, VerbContext } from './verb.ts';

/** `wheelcellar config check|show|schema`; takes the flags of `serve`, to try what they would do. */
export const verb: Verb = {
  name: 'config',
  summary: 'Check the configuration, show it with where each value came from, or print its schema',
  configure: (command) => {
    command.addArgument(
      new Argument('<action>', 'what to do').choices(['check', 'show', 'schema']),
    );
    addServeFlags(command);
    addJsonFlag(command);
  },
  run: async (context) => {
    const [action] = context.args;
    if (action === 'schema') printJson(context.io, configJsonSchema());
    else if (action === 'show') show(context);
    else check(context);
    return EXIT.ok;
  },
};

function check({ io, options, config }: VerbContext): void {
  config();
  if (options['json'] === true) printJson(io, { valid: true });
  else printLine(io, 'configuration is valid');
}

function show({ io, options, configInput }: VerbContext): void {
  const explained = explainConfig(configInput);
  if (options['json'] !== true) {
    io.stdout.write(showConfig(explained));
    return;
  }
  printJson(io, { file: explained.file, settings: settingsOf(explained) });
}
